"""The short form of the fault test; ``make faults`` is the full one."""

import shutil
import tempfile
from pathlib import Path

from tests.faults.run import Run

KILLS, SEED, PAST = 18, 5, 80


def test_whatever_is_killed_and_whenever_every_record_is_there_once():
    folder = Path(tempfile.mkdtemp(prefix="faults-")).resolve()  # kept for inspection unless all is well
    folder.chmod(0o711)  # as root, PostgreSQL's account must get through
    run = Run(folder, kills=KILLS, seed=SEED, past=PAST)

    run.go()

    assert run.killed >= KILLS
    shutil.rmtree(folder)
