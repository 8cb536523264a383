"""``python -m tests.faults``: the full form. Exit code 0: every record was there once; 1: not, and how that came."""

import argparse
import shutil
import sys
import tempfile
import time
from pathlib import Path

from tests.faults.run import Run, Wrong

PAST = 300


def main():
    options = argparse.ArgumentParser(prog="faults", description=__doc__)
    options.add_argument("--kills", type=int, default=200)
    options.add_argument("--seed", type=int, default=0, help="0: another one each time")
    options.add_argument("--keep", action="store_true", help="leave homes, logs and trace also when all is well")
    given = options.parse_args()
    seed = given.seed or int(time.time())
    folder = Path(tempfile.mkdtemp(prefix="faults-")).resolve()
    folder.chmod(0o711)
    sys.stdout.write(f"seed {seed}, {given.kills} kills, in {folder}\n")
    sys.stdout.flush()
    began = time.monotonic()
    run = Run(folder, kills=given.kills, seed=seed, past=PAST)
    try:
        run.go()
    except Wrong as wrong:
        sys.stderr.write(f"{wrong}\n")
        return 1
    if not given.keep:
        shutil.rmtree(folder)
    counted = ", ".join(f"{times} {label}" for label, times in sorted(run.trace.labels.items()))
    sys.stdout.write(
        f"every record is there, once: {run.killed} kills in {time.monotonic() - began:.0f} s ({counted})\n"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
