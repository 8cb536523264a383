"""Paths of calls: one reading for everybody, and patterns that mean what they look like."""

import time

import pytest

from controlplane.domain.vault import paths
from controlplane.domain.vault.paths import Call, CallPathRefused


def call(path, host="api.acme.example"):
    return Call(method="GET", host=host, path=path, plain=paths.plain(path))


@pytest.mark.parametrize(
    ("pattern", "path", "fits"),
    [
        ("/v1/me", "/v1/me", True),
        ("/v1/me", "/v1/me/", False),
        ("/v1/*", "/v1/me", True),
        ("/v1/*", "/v1/me/a", False),
        ("/v1/**", "/v1", True),
        ("/v1/**", "/v1/a/b", True),
        ("/v1/**/b", "/v1/a/a/b", True),
        ("/v1/**/b", "/v1/a/b/a", False),
        ("/v1/a*c*e", "/v1/abcde", True),
        ("/v1/a*a", "/v1/a", False),
        ("/", "/", True),
        ("api.acme.example/v1/*", "/v1/me", True),
        ("*.acme.example/v1/*", "/v1/me", True),
        ("other.example/v1/*", "/v1/me", False),
        ("/groups/*/issues", "/groups/a%2Fb/issues", False),
        ("/groups/**/issues", "/groups/a%2Fb/issues", True),
    ],
)
def test_a_pattern_allows_what_it_fits_however_that_is_read(pattern, path, fits):
    assert paths.surely_is(call(path), [pattern]) is fits


@pytest.mark.parametrize("path", ["/admin", "/admin/", "/Admin/x", "/admin%2Fx", "/%61dmin/x"])
def test_a_pattern_denies_whatever_somebody_could_take_for_it(path):
    assert paths.may_be(call(path), ["/admin/**"])


@pytest.mark.parametrize(
    "path",
    [
        "/a/../b",
        "/a/%2e%2e/b",
        "/a/%252E%252e/b",
        "/a/.",
        "//a",
        "/a//b",
        "/a%2f%2fb",
        "/a\\b",
        "/a%5cb",
        "/a;b",
        "/%00",
        "/%25252e",
        "/%ff",
    ],
)
def test_a_path_with_two_readings_is_none(path):
    with pytest.raises(CallPathRefused):
        paths.plain(path)


def test_no_pattern_takes_long():
    began = time.perf_counter()

    assert not paths.surely_is(call("/a" * 900), ["/**/a*a*a" * 40 + "/b"])

    assert time.perf_counter() - began < 1
