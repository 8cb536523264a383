"""Take each rule of the sync protocol out of the code, and see what the campaign says: ``python -m scripts.ablate``.

Each is tried twice in a copy of the checkout: on the shortest way to its damage, and on random schedules from a seed on,
until one fails. Status 1: one of them was not caught on its way, or could not be tried.
"""

import argparse
import asyncio
import os
import re
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

from controlplane.embedded import Services
from scripts.ablations import ABLATIONS
from scripts.sabotage import Moved, Sabotage, broken
from tests.faults.campaign.server import make_template

SEED, SCHEDULES = 1, 200
"""Random schedules that one of them is given."""

FAILED = re.compile(r"^not well: ([^:]+): (.*); again", re.MULTILINE)
DONE = re.compile(r"^(\d+) schedules in", re.MULTILINE)


def main() -> int:
    options = argparse.ArgumentParser(prog="ablate", description=__doc__)
    options.add_argument("only", nargs="*", help="those in whose name one of these words stands")
    options.add_argument("--seed", type=int, default=SEED)
    options.add_argument("--schedules", type=int, default=SCHEDULES, help="0: the shortest ways alone")
    options.add_argument("--at-once", type=int, default=2)
    given = options.parse_args()
    wanted = [each for each in ABLATIONS if not given.only or any(word in each.name for word in given.only)]
    services, missed = Services(), 0
    try:
        superuser = services.postgres()
        urls = asyncio.run(make_template(superuser))
        there = {"TEST_SUPERUSER_URL": superuser, "TEST_APP_URL": urls.app, "TEST_OWNER_URL": urls.owner}
        os.environ |= there  # noqa: TID251 all campaigns work on the same server
        print("| rule | on its shortest way | on random schedules |\n|---|---|---|", flush=True)
        with ThreadPoolExecutor(given.at_once) as several:
            tried = {several.submit(attempt, each, given.seed, given.schedules): each for each in wanted}
            for done in as_completed(tried):
                way, dealt = done.result()
                missed += not way.startswith("caught")
                print(f"| {tried[done].name} | {way} | {dealt} |", flush=True)
    finally:
        services.stop()
    return 1 if missed else 0


def attempt(ablation: Sabotage, seed: int, schedules: int) -> tuple[str, str]:
    """What the campaign says of it, on its way and on random schedules."""
    name = ablation.name.partition(":")[0]
    try:
        with broken(ablation) as copy:
            way = campaign(copy, "--way", name)
            options = ("--seed", str(seed), "--schedules", str(schedules), "--until-one-fails", "--lanes", "1")
            return way, campaign(copy, *options) if schedules else "not tried"
    except Moved as moved:
        return str(moved), "not tried"


def campaign(copy: Path, *options: str) -> str:
    """In a word, what came of it."""
    began = time.monotonic()
    command = [sys.executable, "-m", "tests.faults.campaign", *options]
    done = subprocess.run(command, cwd=copy, capture_output=True, text=True, check=False)  # noqa: S603 our own program
    failed, played = FAILED.search(done.stdout), DONE.search(done.stdout)
    if failed is None:
        return (
            "not caught"
            if done.returncode == 0 and played
            else f"it ended with {done.returncode}: {done.stderr[-300:]}"
        )
    count = f" after {played[1]} schedules" if played and "--way" not in options else ""
    return f"caught by {failed[1]}{count} in {time.monotonic() - began:.0f} s: {failed[2]}"


if __name__ == "__main__":
    sys.exit(main())
