"""Where a call comes from, with and without proxies in front."""

from ipaddress import ip_network

import pytest
from litestar.connection import ASGIConnection

from controlplane.http import limits

OURS = ("10.0.0.0/8",)


@pytest.fixture
async def place(app):
    def asked(host, *forwarded, trusting=OURS):
        app.state.trusted_proxies = tuple(map(ip_network, trusting))
        headers = [(b"x-forwarded-for", value.encode()) for value in forwarded]
        return limits.address(
            ASGIConnection({"type": "http", "client": (host, 1), "litestar_app": app, "headers": headers})
        )

    return asked


def test_without_proxies_of_ours_nobodys_word_counts(place):
    assert place("10.1.1.1", "192.0.2.7", trusting=()) == "10.1.1.1"
    assert place("203.0.113.1", "192.0.2.7") == "203.0.113.1"


def test_behind_proxies_of_ours_it_is_the_last_hop_that_is_not_ours(place):
    assert place("10.1.1.1", "192.0.2.7") == "192.0.2.7"
    assert place("10.1.1.1", "192.0.2.7, 10.2.2.2") == "192.0.2.7"
    assert place("10.1.1.1", "192.0.2.7", "10.2.2.2") == "192.0.2.7"
    assert place("::ffff:10.1.1.1", "2001:db8::7") == "2001:db8::7"


def test_what_the_caller_wrote_itself_does_not_count(place):
    assert place("10.1.1.1", "198.51.100.9, 192.0.2.7") == "192.0.2.7"
    assert place("10.1.1.1", "198.51.100.9, nonsense") == "10.1.1.1"
    assert place("10.1.1.1", "") == "10.1.1.1"
    assert place("10.1.1.1") == "10.1.1.1"
