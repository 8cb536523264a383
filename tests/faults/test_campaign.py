"""The short form of the campaign; ``make campaign`` is the full one."""

import re
import subprocess
import sys

import pytest

from tests.faults.campaign.deal import deal

SEED, SCHEDULES = 7, 3


@pytest.fixture(scope="module")
def played():
    """The shortest ways to damage, and some random schedules, each of them twice."""
    words = ["--seed", str(SEED), "--schedules", str(SCHEDULES), "--times", "2", "--shortest"]
    return subprocess.run(
        [sys.executable, "-m", "tests.faults.campaign", *words], capture_output=True, text=True, check=False
    )


def test_every_record_is_where_it_must_be_on_random_ways_and_on_the_shortest_ones_to_damage(played):
    assert played.returncode == 0, played.stdout[-20_000:] + played.stderr[-5_000:]


def test_a_schedule_that_is_played_again_comes_to_the_same_end(played):
    ends = dict(re.findall(r"^(seed-\d+): (epoch .*)$", played.stdout, re.MULTILINE))

    assert sorted(ends) == [f"seed-{SEED + number}" for number in range(SCHEDULES)]
    assert not any(" or " in end for end in ends.values())


def test_a_seed_deals_the_same_schedule_again():
    assert deal(SEED) == deal(SEED) != deal(SEED + 1)


def test_every_kind_of_fault_is_dealt():
    dealt = [deal(seed) for seed in range(500)]
    steps = {step.what for schedule in dealt for step in schedule.steps}
    fates = {fate for schedule in dealt for step in schedule.steps for fate in step.fates}

    assert steps >= {"crash", "rollback", "rollback-older", "restore", "restore-older", "server-crash"}
    assert steps >= {"clone", "vanish", "arrive", "once"}
    assert {name for name, _ in fates} >= {"lose", "mute", "double", "late", "copy", "echo"}
    assert {name for name, _ in fates} >= {"agent-dies", "agent-dies-unheard"}
    around = {
        (name, place) for name in ("server-dies", "link-breaks") for place in ("begun", "uncommitted", "committed")
    }
    assert fates >= around | {("server-dies", "told")}
