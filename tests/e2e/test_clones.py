"""A machine is copied with its runtime's identity, by the real programs: it is noticed, and a person decides."""

import json
import shutil
from pathlib import Path

from tests import programs
from tests.e2e.conftest import agrees


def once(site, home: Path) -> dict:
    return json.loads(programs.agent(home, "once", "--json", **site._environ).stdout)


def runtime(site) -> dict:
    [found] = site.listing("runtimes")
    return found


def test_of_two_copies_neither_gets_in_until_one_is_released_and_then_nothing_is_missing(up, site):
    site.once()
    clone = site.agent.with_name("clone")
    shutil.copytree(site.agent, clone)
    changed = site.ended()

    site.once()
    site.change(changed, "cancelled")
    turned_away = once(site, clone)

    assert "runtime-locked" in turned_away["problem"]
    assert runtime(site)["state"] == "locked"
    assert "runtime-locked" in once(site, site.agent)["problem"], "the original as well: nobody can tell which it is"

    shutil.rmtree(clone)
    programs.told(up.home, "runtime", "release", runtime(site)["id"], "--tenant", site.slug)
    site.once()
    site.truth.sessions[changed] = "cancelled"
    agrees(site)
    assert runtime(site)["state"] == "connected"


def test_one_that_is_decommissioned_sends_what_is_left_and_goes(up, site):
    programs.told(up.home, "runtime", "decommission", runtime(site)["id"], "--tenant", site.slug)

    done = programs.agent(site.agent, "run", **site._environ)

    assert done.returncode == 0, done.stderr
    agrees(site)
    assert runtime(site)["state_reason"] == "left; its log is complete"
    assert not (site.agent / "identity.json").exists()


def test_a_key_is_replaced_by_the_command_and_the_next_call_goes_on(up, site):
    before = runtime(site)["key_since"]

    site._agent("rotate-key")

    site.once()
    agrees(site)
    assert before is None
    assert runtime(site)["key_since"]
