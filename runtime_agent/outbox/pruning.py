"""Forgetting what is safe to forget: what a backup covers or, where none is ever announced, what is old enough.

Three marks, in this order: written here, acknowledged by the server, covered by a backup of the server.
Only the third makes a record superfluous, because a server restored from its backup asks for the rest again.
"""

import sqlite3
from datetime import datetime, timedelta

from runtime_agent.clock import to_ms
from runtime_agent.outbox.file import Outbox
from runtime_agent.outbox.position import Position, head_at, position_in
from runtime_agent.wire.sync import Durable

PAGE = 5000
"""Rows dropped in one transaction, so that the log is never locked for long."""


def by_mark(outbox: Outbox, mark: Durable) -> int:
    """Drop what the server's announced backup covers and return how many records that were.

    Only if the mark's chain head is ours at that place: a backup of another history covers nothing of ours.
    Leftovers of older epochs go once the whole current log is covered.
    """
    dropped = 0
    while True:
        with outbox.transaction() as tx:
            tx.execute("UPDATE state SET backed_up = 1 WHERE backed_up = 0")
            where = position_in(tx)
            own = head_at(tx, mark.seq) if mark.epoch == where.epoch else None
            if own is None or own.hex() != mark.head:
                return dropped
            gone = _drop_up_to(tx, where, min(mark.seq, where.acked))
            where = position_in(tx)
            if where.pruned == where.last_seq:
                gone += _drop_leftovers(tx, mark.epoch)
        dropped += gone
        if not gone:
            return dropped


def by_window(outbox: Outbox, now: datetime, keep: timedelta, keep_bytes: int) -> int:
    """Drop what was acknowledged longer than *keep* ago, and the oldest beyond *keep_bytes*; return how many records.

    Does nothing once a durable mark was ever announced: then marks decide.
    """
    dropped = 0
    while True:
        with outbox.transaction() as tx:
            where = position_in(tx)
            if where.backed_up:
                return dropped
            gone = _drop_old_leftovers(tx, where, to_ms(now - keep), keep_bytes)
            gone += _drop_up_to(tx, where, _beyond_window(tx, where, to_ms(now - keep), keep_bytes))
        dropped += gone
        if not gone:
            return dropped


def _beyond_window(tx: sqlite3.Connection, where: Position, before_ms: int, keep_bytes: int) -> int:
    """The last seq that is acknowledged and old, or acknowledged and in too large a company."""
    (old,) = tx.execute(
        "SELECT coalesce(max(seq), 0) FROM acks WHERE epoch = ? AND at_ms <= ?", [where.epoch, before_ms]
    ).fetchone()
    surplus = _size_at(tx, where, where.acked) - keep_bytes
    low, high = where.pruned, where.acked
    while low < high:
        middle = (low + high + 1) // 2
        if _size_at(tx, where, middle) <= surplus:
            low = middle
        else:
            high = middle - 1
    return int(max(old, low))


def _size_at(tx: sqlite3.Connection, where: Position, seq: int) -> int:
    """Bytes of the epoch's lines up to *seq*; 0 where the rows are gone: those do not count any more."""
    row = tx.execute("SELECT upto_bytes FROM log WHERE epoch = ? AND seq = ?", [where.epoch, seq]).fetchone()
    return int(row[0]) if row else 0


def _drop_up_to(tx: sqlite3.Connection, where: Position, seq: int) -> int:
    upto = min(seq, where.acked, where.pruned + PAGE)
    if upto <= where.pruned:
        return 0
    head = head_at(tx, upto)
    tx.execute("DELETE FROM log WHERE epoch = ? AND seq <= ?", [where.epoch, upto])
    tx.execute("DELETE FROM acks WHERE epoch = ? AND seq < ?", [where.epoch, upto])
    tx.execute("UPDATE state SET pruned = ?, pruned_head = ?", [upto, head])
    return upto - where.pruned


def _drop_old_leftovers(tx: sqlite3.Connection, where: Position, before_ms: int, keep_bytes: int) -> int:
    """The server knew them when their epoch ended, which counts as the time of their acknowledgement."""
    (newest,) = tx.execute(
        "SELECT coalesce(max(epoch), -1) FROM acks WHERE epoch < ? AND at_ms <= ?", [where.epoch, before_ms]
    ).fetchone()
    oldest, size = tx.execute("SELECT min(epoch), sum(length(line)) FROM log WHERE epoch < ?", [where.epoch]).fetchone()
    if size and size + _acknowledged_bytes(tx, where) > keep_bytes:
        newest = max(newest, oldest)
    return _drop_leftovers(tx, newest + 1)


def _acknowledged_bytes(tx: sqlite3.Connection, where: Position) -> int:
    first = tx.execute(
        "SELECT upto_bytes - length(line) FROM log WHERE epoch = ? AND seq = ?", [where.epoch, where.pruned + 1]
    ).fetchone()
    return _size_at(tx, where, where.acked) - first[0] if first and where.acked > where.pruned else 0


def _drop_leftovers(tx: sqlite3.Connection, before_epoch: int) -> int:
    current = position_in(tx).epoch
    gone = tx.execute(
        "DELETE FROM log WHERE id IN (SELECT id FROM log WHERE epoch < ? ORDER BY epoch, seq LIMIT ?)",
        [min(before_epoch, current), PAGE],
    ).rowcount
    tx.execute(
        "DELETE FROM acks WHERE epoch < ? AND epoch NOT IN (SELECT epoch FROM log WHERE epoch < ?)", [current, current]
    )
    return int(gone)


def shrink(outbox: Outbox) -> None:
    """Give the pages of dropped rows back to the file system."""
    outbox.rows("PRAGMA incremental_vacuum(20000)")
