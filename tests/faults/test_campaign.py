"""The short form of the campaign; ``make campaign`` is the full one."""

import subprocess
import sys

from tests.faults.campaign.deal import deal

SEED, SCHEDULES = 7, 8


def test_every_record_is_where_it_must_be_on_random_ways_and_on_the_shortest_ones_to_damage():
    words = ["--seed", str(SEED), "--schedules", str(SCHEDULES), "--shortest"]

    done = subprocess.run(
        [sys.executable, "-m", "tests.faults.campaign", *words], capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stdout[-20_000:] + done.stderr[-5_000:]


def test_a_seed_deals_the_same_schedule_again():
    assert deal(SEED) == deal(SEED) != deal(SEED + 1)


def test_every_kind_of_fault_is_dealt():
    dealt = [deal(seed) for seed in range(500)]
    steps = {step.what for schedule in dealt for step in schedule.steps}
    fates = {name for schedule in dealt for step in schedule.steps for name, _ in step.fates}

    assert steps >= {
        "crash",
        "rollback",
        "restore",
        "restore-older",
        "server-crash",
        "clone",
        "vanish",
        "arrive",
        "once",
    }
    assert fates >= {
        "lose",
        "mute",
        "double",
        "late",
        "copy",
        "echo",
        "agent-dies",
        "agent-dies-unheard",
        "server-dies",
    }
