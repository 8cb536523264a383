"""What goes wrong between the real programs, one thing at a time, and how each of them ends."""

import json
import shutil
from contextlib import closing
from datetime import UTC, datetime

import httpx
import pytest

from controlplane.demo.home import Shape
from controlplane.embedded import Services
from tests import programs
from tests.agent.programs import daemon
from tests.e2e.conftest import Site, agrees
from tests.e2e.scripted import Scripted
from tests.e2e.served import Served

OF_2098 = "session_20980101_000000_0a1b2c3d"
"""A session that says it began in a time that nobody believes."""


class Through:
    """The server as it is reached through a network of the test's own."""

    def __init__(self, up, proxy):
        self.home, self.url, self.get = up.home, proxy.url, up.get


@pytest.fixture
def network(up):
    with closing(Scripted(up.port, {})) as proxy:
        yield proxy


@pytest.fixture
def small(up, place):
    def make(through=None, **environ):
        return Site(through or up, place, Shape(sessions=6, zone=UTC), datetime.now(UTC), **environ)

    return make


def tried(site):
    """What ``once`` says, whatever it comes to."""
    return json.loads(programs.agent(site.agent, "once", "--json", **site._environ).stdout)


def runtime(site):
    [found] = site.listing("runtimes")
    return found


def cancel(site):
    changed = site.ended()
    site.change(changed, "cancelled")
    site.truth.sessions[changed] = "cancelled"
    return changed


def test_answers_that_are_lost_and_batches_that_come_late_or_twice_change_nothing(up, network, small):
    site = small(Through(up, network))
    network.script["/sync/log"] = ["cut", "late", "twice"]

    site.once()

    assert network.script["/sync/log"] == [], "each of them happened"
    agrees(site)
    assert "identical" in programs.agent(site.agent, "verify", **site._environ).stdout


def test_a_disk_that_was_put_back_takes_a_word_of_a_person_and_then_nothing_is_missing(up, small):
    site = small()
    site.once()
    copy = site.agent.with_name("snapshot")
    shutil.copytree(site.agent, copy)
    cancel(site)
    site.once()
    shutil.rmtree(site.agent)
    shutil.copytree(copy, site.agent)

    assert "runtime-locked" in tried(site)["problem"]
    programs.told(up.home, "runtime", "release", runtime(site)["id"], "--tenant", site.slug)
    site.once()

    agrees(site)
    assert (runtime(site)["ledger"]["epoch"], runtime(site)["ledger"]["lost"]) == (2, [])
    assert "identical" in programs.agent(site.agent, "verify", **site._environ).stdout


def test_records_that_are_refused_make_way_stay_there_and_are_shown(small):
    site = small()
    folder = site._state(site.ended()).parent
    shutil.copytree(folder, folder.with_name(OF_2098))

    done = tried(site)

    assert (done["left"], done["quarantined"] > 0) == (0, True)
    agrees(site)
    lost = runtime(site)["ledger"]["lost"]
    assert {(each["kind"], each["reason"]) for each in lost} == {("quarantined", "record-absurd-time")}
    assert sum(each["records"] for each in lost) == done["quarantined"]


def test_a_runtime_that_is_revoked_keeps_what_it_has_and_is_told_nothing_else(up, small):
    site = small()
    site.once()
    programs.told(up.home, "runtime", "revoke", runtime(site)["id"], "--tenant", site.slug)
    cancel(site)

    done = tried(site)

    assert (done["left"] > 0, "revoked" in done["problem"]) == (True, True)
    assert tried(site)["left"] == done["left"]
    assert runtime(site)["state"] == "revoked"


def test_without_the_object_store_the_log_goes_on_and_says_what_cannot_be_restored_yet(up, small):
    site = small(RUNTIME_AGENT_CONTENT="plain")
    site.decide("plain")
    blobs, away = up.home / "blobs", up.home / "blobs-away"
    if blobs.exists():
        blobs.rename(away)
    blobs.write_text("not a folder")
    try:
        done = tried(site)
        agrees(site)
        assert (done["left"], done["chunks_left"] > 0, bool(done["problem"])) == (0, True, True)
        assert not any(each["restorable"] for each in site.listing("checkpoints"))
    finally:
        blobs.unlink()
        if away.exists():
            away.rename(blobs)

    site.once()

    assert any(each["restorable"] for each in site.listing("checkpoints"))


def test_polls_that_a_proxy_cuts_off_delay_a_command_and_nothing_else(up, network, small):
    site = small(Through(up, network))
    site.once()
    network.script["/poll"] = ["cut", "drop"]
    address = f"{up.url}/v1/tenants/{site.slug}/commands"

    with daemon(site.agent, **site._environ):
        assert programs.eventually(lambda: not network.script["/poll"])
        asked = httpx.post(address, json={"kind": "rescan", "runtime": runtime(site)["id"]}, headers=site._bearer)
        told = f"{address}/{asked.json()['id']}"
        assert programs.eventually(lambda: httpx.get(told, headers=site._bearer).json()["state"] == "succeeded")


def test_without_redis_records_and_pages_go_on(app_url, owner_url, home, tmp_path):
    services = Services()
    server = Served(home, app_url, owner_url, redis_url=services.redis(None))
    try:
        server.start()
        site = Site(server, tmp_path, Shape(sessions=6, zone=UTC), datetime.now(UTC))
        site.once()

        services.stop()
        cancel(site)
        site.once()

        agrees(site)
        assert runtime(site)["state"] == "connected"
    finally:
        server.stop()
        services.stop()
