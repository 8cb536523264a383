"""The SQLite file itself: opening, transactions, and what its errors mean."""

import logging
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import UUID

from runtime_agent.problems import Refusal
from runtime_agent.wire import chain

VERSION = 1
"""Of the tables, in ``PRAGMA user_version``."""

TABLES = """
CREATE TABLE state (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    runtime_id BLOB NOT NULL,
    epoch INTEGER NOT NULL,         -- 0: none granted yet
    last_seq INTEGER NOT NULL,
    head BLOB NOT NULL,             -- of the chain, at last_seq
    upto_bytes INTEGER NOT NULL,    -- length of all lines of this epoch
    acked INTEGER NOT NULL,
    pruned INTEGER NOT NULL,        -- rows up to here are gone
    pruned_head BLOB NOT NULL,
    backed_up INTEGER NOT NULL      -- 1 once the server ever announced a durable mark
) STRICT;
CREATE TABLE log (                  -- rows of an older epoch than the state's are leftovers: the server holds them
    id INTEGER PRIMARY KEY,
    epoch INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    record_id BLOB NOT NULL,
    line BLOB NOT NULL,
    head BLOB NOT NULL,
    upto_bytes INTEGER NOT NULL,
    written_ms INTEGER NOT NULL
) STRICT;
CREATE UNIQUE INDEX log_position ON log (epoch, seq);
CREATE TABLE acks (epoch INTEGER NOT NULL, seq INTEGER NOT NULL, at_ms INTEGER NOT NULL, PRIMARY KEY (epoch, seq)) STRICT, WITHOUT ROWID;
CREATE TABLE quarantine (
    id INTEGER PRIMARY KEY,
    record_id BLOB NOT NULL,        -- of the record put aside
    code TEXT NOT NULL,
    detail TEXT NOT NULL,
    at_ms INTEGER NOT NULL,
    line BLOB NOT NULL
) STRICT;
CREATE TABLE units (
    id INTEGER PRIMARY KEY,
    source TEXT NOT NULL,
    key TEXT NOT NULL,
    fingerprint BLOB NOT NULL,
    seen BLOB NOT NULL,
    due_ms INTEGER,                 -- read again then, whatever the fingerprint says
    tries INTEGER NOT NULL,         -- readings in a row that found something half written
    last BLOB,                      -- what was said of a session that still runs
    troubles BLOB,
    gone_ms INTEGER,
    UNIQUE (source, key)
) STRICT;
CREATE INDEX units_due ON units (source, due_ms) WHERE due_ms IS NOT NULL;
CREATE INDEX units_troubled ON units (id) WHERE troubles IS NOT NULL;
CREATE TABLE entities (
    unit INTEGER NOT NULL,
    kind TEXT NOT NULL,
    key TEXT NOT NULL,
    digest BLOB,                    -- of a state, what was said last; NULL of a fact
    changed_us INTEGER,
    PRIMARY KEY (unit, kind, key)
) STRICT, WITHOUT ROWID;
"""

ADDED = """
CREATE TABLE IF NOT EXISTS compared (id INTEGER PRIMARY KEY CHECK (id = 1), store_id BLOB NOT NULL, at_ms INTEGER NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS refill (     -- forgotten because the server lacks it, and not looked for to the end yet
    unit INTEGER NOT NULL,
    kind TEXT NOT NULL,
    key TEXT NOT NULL,
    PRIMARY KEY (unit, kind, key)
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS refused (
    unit INTEGER NOT NULL,
    kind TEXT NOT NULL,
    key TEXT NOT NULL,
    at_ms INTEGER NOT NULL,
    PRIMARY KEY (unit, kind, key)
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS inbox (
    id TEXT PRIMARY KEY,            -- of a command
    store BLOB NOT NULL,            -- which database of the control plane numbered it
    number INTEGER NOT NULL,
    body BLOB NOT NULL,
    state TEXT NOT NULL,
    until_ms INTEGER NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS spent (      -- by units, in all, by the end of that quarter of an hour since 1970
    key TEXT NOT NULL,
    quarter INTEGER NOT NULL,
    tokens INTEGER NOT NULL,
    micro_usd INTEGER,                  -- NULL: no file tells a price
    PRIMARY KEY (key, quarter)
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS spent_quarter ON spent (quarter);
CREATE TABLE IF NOT EXISTS slices (id INTEGER PRIMARY KEY CHECK (id = 1), body BLOB NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS slice_marks (
    budget TEXT NOT NULL,
    starts_ms INTEGER NOT NULL,
    beyond INTEGER NOT NULL,
    warned INTEGER NOT NULL,
    exhausted INTEGER NOT NULL,
    unenforced TEXT NOT NULL,
    PRIMARY KEY (budget, starts_ms)
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS held_back (key TEXT PRIMARY KEY, at_ms INTEGER NOT NULL) STRICT, WITHOUT ROWID;
"""
"""Tables that programs of this version do well without, so a file that has them is still one of theirs."""

CONTENT = """
CREATE TABLE IF NOT EXISTS contents (   -- checkpoints whose content was looked at; NULL: there was none to send
    unit INTEGER NOT NULL,
    key TEXT NOT NULL,
    record_id BLOB,
    PRIMARY KEY (unit, key)
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS chunks (     -- as they are sent
    id INTEGER PRIMARY KEY,
    sha256 BLOB NOT NULL UNIQUE,
    size INTEGER NOT NULL,
    waits INTEGER NOT NULL,             -- 1 until the server holds it
    body BLOB NOT NULL
) STRICT;
CREATE INDEX IF NOT EXISTS chunks_waiting ON chunks (id) WHERE waits = 1;
CREATE TABLE IF NOT EXISTS chunk_uses (
    sha256 BLOB NOT NULL,
    record_id BLOB NOT NULL,            -- whose line names it
    PRIMARY KEY (sha256, record_id)
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS content_keys (
    kid TEXT PRIMARY KEY,               -- of the tenant's key
    material BLOB NOT NULL,
    sealed BLOB NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS content_store (id INTEGER PRIMARY KEY CHECK (id = 1), store_id BLOB NOT NULL) STRICT;
"""
"""Likewise, for the blob lane."""

SCRATCH = """
CREATE TEMP TABLE present (source TEXT, key TEXT, PRIMARY KEY (source, key)) WITHOUT ROWID;
CREATE TEMP TABLE known (record_id BLOB PRIMARY KEY) WITHOUT ROWID;
CREATE TEMP TABLE moving (n INTEGER PRIMARY KEY, id INTEGER NOT NULL);
"""
"""Work tables of one connection, on disk when they grow: memory stays bounded with any number of sessions."""

FULL = {sqlite3.SQLITE_FULL, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_IOERR}
DAMAGED = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}

log = logging.getLogger(__name__)


class DiskFull(Exception):
    """The disk takes nothing more. Nothing was written, not even half; once it does again, the same call works."""


class OutboxDamaged(Exception):
    """The file is not what SQLite wrote."""


class NewerOutbox(Refusal):
    """A newer version of the program wrote this file."""

    code = "outbox-newer"
    hint = "Install that version again, or delete outbox.db: nothing is lost, everything is read and compared anew."


class Outbox:
    """One connection to the file, shared by all threads of the process."""

    def __init__(self, path: Path, runtime_id: UUID) -> None:
        """Open the file, or make it.

        Raises:
            DiskFull: No space for a new one.
            OutboxDamaged: It is not a database, or one of another runtime.
            NewerOutbox: It was written by a newer version.
        """
        self.path = path
        self.runtime_id = runtime_id
        self._lock = threading.RLock()
        path.touch(mode=0o600, exist_ok=True)
        self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        try:
            with _translated():
                self._prepare()
        except BaseException:
            self._db.close()
            raise

    def _prepare(self) -> None:
        for pragma in ("busy_timeout=5000", "auto_vacuum=INCREMENTAL", "journal_mode=WAL", "synchronous=FULL"):
            self._db.execute(f"PRAGMA {pragma}")
        self._db.execute("PRAGMA journal_size_limit=67108864")
        self._db.execute("PRAGMA cache_size=-1024")
        version = self._db.execute("PRAGMA user_version").fetchone()[0]
        if version > VERSION:
            raise NewerOutbox(f"{self.path} was written by a newer runtime-agent")
        if version == 0:
            self._create()
        self._db.executescript(ADDED)
        self._db.executescript(CONTENT)
        self._db.executescript(SCRATCH)
        (owner,) = self._db.execute("SELECT runtime_id FROM state").fetchone() or (b"",)
        if owner != self.runtime_id.bytes:
            raise OutboxDamaged(f"it belongs to the runtime {UUID(bytes=owner) if len(owner) == 16 else 'nobody'}")

    def _create(self) -> None:
        origin = chain.origin(self.runtime_id, 0)
        with self.transaction() as tx:
            for statement in TABLES.split(";\n"):
                tx.execute(statement)
            tx.execute(
                "INSERT INTO state VALUES (1, ?, 0, 0, ?, 0, 0, 0, ?, 0)", [self.runtime_id.bytes, origin, origin]
            )
            tx.execute(f"PRAGMA user_version={VERSION}")

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """All or nothing, durable when the block has ended.

        Raises:
            DiskFull: Nothing was written.
            OutboxDamaged: The file cannot be used any more.
        """
        with self._lock, _translated():
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield self._db
                self._db.execute("COMMIT")
            except BaseException:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise

    def rows(self, statement: str, arguments: Sequence[Any] = ()) -> list[Any]:
        """All rows of a reading statement; bound them by LIMIT."""
        with self._lock, _translated():
            return self._db.execute(statement, arguments).fetchall()

    def row(self, statement: str, arguments: Sequence[Any] = ()) -> Any:
        """The first row, or None."""
        with self._lock, _translated():
            return self._db.execute(statement, arguments).fetchone()

    def close(self) -> None:
        with self._lock:
            self._db.close()


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except sqlite3.DatabaseError as error:
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        if code in FULL:
            raise DiskFull(str(error)) from error
        if code in DAMAGED:
            raise OutboxDamaged(str(error)) from error
        raise


def open_outbox(path: Path, runtime_id: UUID) -> Outbox:
    """The outbox at *path*; a damaged one is moved aside and a fresh one begun.

    That costs work and loses nothing: the source's files are read and compared again, and ids derived from what they
    hold keep anything from being stored twice.

    Raises:
        DiskFull: No space for a new one.
        NewerOutbox: It was written by a newer version.
    """
    try:
        return Outbox(path, runtime_id)
    except OutboxDamaged as error:
        set_aside(path, str(error))
        return Outbox(path, runtime_id)


def set_aside(path: Path, reason: str) -> None:
    """Keep the file under another name, for whoever wants to look at it."""
    aside = path.with_suffix(".damaged")
    log.warning("outbox.set_aside: %s cannot be used (%s); kept as %s, a fresh one begins", path, reason, aside.name)
    for suffix in ("-wal", "-shm", ""):  # the file itself last: a new one must never meet an old one's log
        beside = path.with_name(path.name + suffix)
        if beside.exists():
            beside.replace(aside.with_name(aside.name + suffix))
