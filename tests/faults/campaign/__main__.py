"""``python -m tests.faults.campaign``: random schedules against the real programs. Exit code 0: all was well each time."""

import argparse
import sys
import time

from tests.faults.campaign.deal import deal, spelled
from tests.faults.campaign.lanes import Campaign
from tests.faults.campaign.shortest import SHORTEST


def main():
    options = argparse.ArgumentParser(prog="campaign", description=__doc__)
    options.add_argument("--schedules", type=int, default=2_000)
    options.add_argument(
        "--seed", type=int, default=0, help="of the first; the others follow it. 0: another one each time"
    )
    options.add_argument("--shortest", action="store_true", help="before them the model's shortest ways to damage")
    options.add_argument("--lanes", type=int, default=2, help="schedules at the same time")
    given = options.parse_args()
    seed = given.seed or int(time.time())
    began = time.monotonic()
    _say(f"{given.schedules} schedules from seed {seed}")
    ways = [spelled(name, words) for name, words in SHORTEST.items()] if given.shortest else []
    campaign = Campaign(ways + [deal(seed + number) for number in range(given.schedules)], given.lanes)
    campaign.go(_say)
    counted = ", ".join(f"{times} {label}" for label, times in sorted(campaign.labels.items()))
    _say(f"{campaign.done} schedules in {time.monotonic() - began:.0f} s ({counted})")
    for name in campaign.failed:
        _say(f"not well: {name}; again: make campaign SEED={name.removeprefix('seed-')} SCHEDULES=1")
    if campaign.failed or campaign.done < len(campaign.schedules):
        _say(f"homes, logs and traces: {campaign.folder}")
        return 1
    _say("every record was where it must be, once, each time")
    return 0


def _say(line):
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
