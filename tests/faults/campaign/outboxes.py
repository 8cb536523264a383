"""What stands in an agent's outbox, read from a copy: the file itself is the agent's alone."""

import shutil
import sqlite3
import tempfile
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

ROWS = "SELECT record_id, line, log.epoch < state.epoch OR (log.epoch = state.epoch AND seq <= acked) FROM log, state"


class Position(NamedTuple):
    """Where the log stands."""

    epoch: int
    last_seq: int
    acked: int
    head: bytes


class Held(NamedTuple):
    where: Position | None
    lines: dict[bytes, bytes]
    """By record id."""
    acknowledged: set[bytes]
    put_aside: list[object]


NOTHING = Held(None, {}, set(), [])


class Outbox:
    """That of the agent with the home *home*, looked at again when it has changed."""

    def __init__(self, home):
        self._home = home
        self._held, self._looked_at = NOTHING, None

    def held(self):
        """Nothing where there is no outbox yet."""
        files = [path for path in (self._home / "outbox.db", self._home / "outbox.db-wal") if path.exists()]
        looked_at = [(path.stat().st_ino, path.stat().st_mtime_ns, path.stat().st_size) for path in files]
        if looked_at != self._looked_at:
            self._held, self._looked_at = _read(files), looked_at
        return self._held


def _read(files):
    if not files or not files[0].stat().st_size:
        return NOTHING
    with tempfile.TemporaryDirectory(dir=files[0].parents[1]) as name:
        for path in files:
            shutil.copyfile(path, Path(name) / path.name)
        with closing(sqlite3.connect(Path(name) / "outbox.db")) as db:
            try:
                where = db.execute("SELECT epoch, last_seq, acked, head FROM state").fetchone()
            except sqlite3.OperationalError:  # killed before there were tables
                return NOTHING
            rows = db.execute(ROWS).fetchall()
            aside = db.execute("SELECT code, detail FROM quarantine").fetchall()
    told = {record_id for record_id, _, acknowledged in rows if acknowledged}
    return Held(Position(*where), {record_id: line for record_id, line, _ in rows}, told, aside)


def copy(home, into):
    """As a snapshot of the volume would; whoever works with it does nothing at the moment."""
    shutil.rmtree(into, ignore_errors=True)
    shutil.copytree(home, into, ignore=lambda _, names: [name for name in names if name.endswith("-shm")])
