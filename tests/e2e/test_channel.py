"""Polls over a WebSocket by the real programs: what a proxy does to it, and what a command notices of that.

Ten seconds pass until the agent takes what it hears nothing of for swallowed.
"""

import signal
from contextlib import closing
from datetime import UTC, datetime

import httpx
import pytest

from controlplane.demo.home import Shape
from tests.agent.programs import daemon
from tests.e2e.conftest import Site
from tests.e2e.tunnels import PASS, REFUSE, SWALLOW, Tunnel
from tests.programs import eventually


class Through:
    """The server as it is reached through a network of the test's own."""

    def __init__(self, up, network):
        self.home, self.url, self.get = up.home, network.url, up.get


@pytest.fixture
def network(up):
    with closing(Tunnel(up.port)) as tunnel:
        yield tunnel


@pytest.fixture
def site(up, place, network):
    site = Site(Through(up, network), place, Shape(sessions=3, zone=UTC), datetime.now(UTC))
    site.once()
    return site


@pytest.fixture
def asked(up, site):
    """Asks for a look at everything, and comes back when that is done."""
    [runtime] = site.listing("runtimes")
    address = f"{up.url}/v1/tenants/{site.slug}"

    def asked():
        said = {"kind": "rescan", "runtime": runtime["id"]}
        command = httpx.post(f"{address}/commands", json=said, headers=site._bearer).raise_for_status().json()["id"]
        told = f"{address}/commands/{command}"
        return eventually(lambda: httpx.get(told, headers=site._bearer).json()["state"] == "succeeded")

    asked.revoke = lambda: httpx.delete(f"{address}/runtimes/{runtime['id']}", headers=site._bearer)
    return asked


@pytest.mark.parametrize("mode", [REFUSE, SWALLOW])
def test_a_proxy_that_refuses_cuts_off_or_swallows_websockets_delays_commands_by_a_poll(site, network, asked, mode):
    network.mode = PASS if mode == REFUSE else mode
    with daemon(site.agent) as process:
        if mode == REFUSE:
            assert eventually(lambda: network.opened)
            assert asked()
            assert network.polls == 0, "it does without"
            network.mode = REFUSE
            network.cut()
        assert asked()
        assert network.polls
        process.send_signal(signal.SIGTERM)
        said = process.stderr.read()

    assert "channel.closed" in said
    assert "bug" not in said
    assert network.opened == 1, "it is not tried again at once"


def test_a_runtime_that_is_revoked_is_closed_out(site, network, asked):
    with daemon(site.agent) as process:
        assert eventually(lambda: network.opened)
        assert asked()
        assert asked.revoke().is_success
        assert eventually(lambda: network.polls)
        process.send_signal(signal.SIGTERM)
        said = process.stderr.read()

    assert "4403" in said
    assert "revoked" in said
