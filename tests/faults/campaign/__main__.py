"""``python -m tests.faults.campaign``: random schedules against the real programs. Exit code 0: all was well each time."""

import argparse
import resource
import sys
import time

from tests.faults.campaign.deal import deal, spelled
from tests.faults.campaign.lanes import Campaign
from tests.faults.campaign.shortest import SHORTEST

FEW = 20
"""Schedules of which each is named with its end."""


def main():
    options = argparse.ArgumentParser(prog="campaign", description=__doc__)
    options.add_argument("--schedules", type=int, default=2_000)
    options.add_argument(
        "--seed", type=int, default=0, help="of the first; the others follow it. 0: another one each time"
    )
    options.add_argument("--shortest", action="store_true", help="before them the model's shortest ways to damage")
    options.add_argument("--way", choices=SHORTEST, help="nothing but this one of those")
    options.add_argument("--until-one-fails", action="store_true")
    options.add_argument("--times", type=int, default=1, help="play each so often, and see that it ends alike")
    options.add_argument("--lanes", type=int, default=2, help="schedules at the same time")
    given = options.parse_args()
    seed = given.seed or int(time.time())
    began = time.monotonic()
    _say(f"seed {seed}")
    campaign = Campaign(_wanted(given, seed), given.lanes, *([1] if given.until_one_fails else []))
    campaign.go(_say)
    _tell(campaign, time.monotonic() - began)
    unlike = [name for name, ends in campaign.ends.items() if len(ends) > 1]
    for name, why in (campaign.failed | dict.fromkeys(unlike, "it does not end as before")).items():
        _say(f"not well: {name}: {why}; again: make campaign {_spelled(name)}")
    if campaign.failed or unlike or campaign.done < len(campaign.schedules):
        _say(f"homes, logs and traces: {campaign.folder}")
        return 1
    _say("every record was where it must be, once, each time")
    return 0


def _wanted(given, seed):
    if given.way:
        return [spelled(given.way, SHORTEST[given.way])]
    ways = [spelled(name, words) for name, words in SHORTEST.items()] if given.shortest else []
    return ways + [deal(seed + number) for number in range(given.schedules)] * given.times


def _spelled(name):
    """As options of make."""
    return f"SEED={name.removeprefix('seed-')} SCHEDULES=1" if name.startswith("seed-") else f"WAY={name}"


def _tell(campaign, seconds):
    if len(campaign.ends) <= FEW:
        for name, ends in campaign.ends.items():
            _say(f"{name}: {' or '.join(sorted(ends))}")
    for what, times in sorted(campaign.happened.items()):
        _say(f"{times:8,} {what}")
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu_s = used.ru_utime + used.ru_stime
    _say(
        f"{campaign.done} schedules in {seconds:.0f} s, with {cpu_s / max(1, campaign.done):.2f} s of a processor each"
    )


def _say(line):
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
