"""``python -m controlplane.demo PATH``: write the demo's home if it is not there yet, and keep it moving."""

import argparse
import signal
import sys
from datetime import UTC, tzinfo
from pathlib import Path
from threading import Event
from zoneinfo import ZoneInfo

from controlplane.demo.alive import keep_moving
from controlplane.demo.home import NotOurs, Shape, is_complete, write_home
from controlplane.kit.clock import wall_clock


def main() -> int:
    """Exit code: 0 stopped, 1 refused."""
    options = argparse.ArgumentParser(prog="controlplane.demo", description=__doc__)
    options.add_argument("path", type=Path, help="the home; made if it is not there")
    options.add_argument("--sessions", type=int, default=300, help="how many to begin with (300)")
    options.add_argument("--seed", type=int, default=1)
    options.add_argument("--zone", default="", help="of the naive times in the files; the machine's by default")
    options.add_argument("--still", action="store_true", help="write the home and leave it")
    given = options.parse_args()
    stop = Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    zone = _zone(given.zone)
    try:
        if not is_complete(given.path):
            write_home(given.path, Shape(sessions=given.sessions, seed=given.seed, zone=zone), now=wall_clock())
    except NotOurs as refusal:
        print(f"{refusal}: choose another folder", file=sys.stderr)  # noqa: T201 - a program of its own
        return 1
    if not given.still:
        keep_moving(given.path, zone=zone, now=wall_clock, stop=stop)
    return 0


def _zone(name: str) -> tzinfo | None:
    if not name:
        return None
    return UTC if name == "UTC" else ZoneInfo(name)


if __name__ == "__main__":
    sys.exit(main())
