"""Last night's backup is restored, by the real programs, and the agents refill what came after it."""

import json
from datetime import UTC, datetime

import pytest

from controlplane.demo.home import Shape
from tests import programs
from tests.e2e.conftest import Site, agrees


@pytest.fixture
def port():
    return programs.free_port()


def verified(site) -> dict:
    done = programs.agent(site.agent, "verify", "--json", **site._environ)
    assert done.returncode in (0, 1), done.stderr
    return json.loads(done.stdout)


def test_what_came_after_the_backup_is_sent_again_and_both_sides_are_identical(place, port, tmp_path):
    home, file = place / "restored", tmp_path / "cloud.backup"
    with programs.up(home, port=port) as running:
        site = Site(running, place, Shape(sessions=30, zone=UTC), datetime.now(UTC))
        site.once()
        programs.said(home, "db", "backup", file)
        site.once()
        agrees(site)
        changed = site.ended()
        site.change(changed, "cancelled")
        site.truth.sessions[changed] = "cancelled"
        site.once()
        agrees(site)
        assert verified(site)["identical"]

    told = json.loads(programs.said(home, "db", "restore", file, "--yes", "--json"))
    assert told["runtimes"] == 1

    with programs.up(home, port=port) as running:
        site._up = running
        assert not verified(site)["identical"]
        assert site.once() > 0
        assert verified(site)["identical"]
        agrees(site)
        programs.said(home, "db", "rebuild")
        agrees(site)
        [runtime] = site.listing("runtimes")
        assert runtime["ledger"]["compared"].items() >= {"wanted": 0, "newer": 0}.items()
        refused = programs.controlplane(home, "db", "restore", file, "--yes")
        assert (refused.returncode, "Stop it first" in refused.stderr) == (1, True)
