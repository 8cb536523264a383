"""Appending records to the log, reading batches off it, and taking note of acknowledgements."""

import sqlite3
from collections.abc import Iterable
from datetime import datetime
from typing import NamedTuple

from runtime_agent.clock import to_ms
from runtime_agent.outbox import quarantine
from runtime_agent.outbox.file import Outbox
from runtime_agent.outbox.lines import encode
from runtime_agent.outbox.position import head_at, position_in
from runtime_agent.wire import chain
from runtime_agent.wire.records import MAX_RECORD_BYTES, AnyRecord

TOO_LARGE = quarantine.Reason("record-too-large", f"longer than {MAX_RECORD_BYTES} bytes")


class Batch(NamedTuple):
    """Consecutive lines that the server does not hold yet, as far as is known here."""

    epoch: int
    first: int
    prev: bytes
    lines: list[bytes]


class Backlog(NamedTuple):
    records: int
    bytes: int
    oldest_ms: int | None


def append(outbox: Outbox, records: Iterable[AnyRecord], at: datetime) -> None:
    """Write records at the end of the log, in a transaction of their own."""
    with outbox.transaction() as tx:
        append_in(tx, records, at)


def append_in(tx: sqlite3.Connection, records: Iterable[AnyRecord], at: datetime) -> int:
    """Write records at the end of the log and return how many; those too long are quarantined in place."""
    where = position_in(tx)
    seq, head, upto = where.last_seq, where.head, where.upto_bytes
    rows = []
    for given in records:
        line, record = encode(given), given
        if len(line) > MAX_RECORD_BYTES:
            record = quarantine.put_aside(tx, given.record_id, line, TOO_LARGE, at)
            line = encode(record)
        seq, head, upto = seq + 1, chain.extend(head, [line]), upto + len(line)
        rows.append((where.epoch, seq, record.record_id.bytes, line, head, upto, to_ms(at)))
    tx.executemany(
        "INSERT INTO log (epoch, seq, record_id, line, head, upto_bytes, written_ms) VALUES (?, ?, ?, ?, ?, ?, ?)", rows
    )
    tx.execute("UPDATE state SET last_seq = ?, head = ?, upto_bytes = ?", [seq, head, upto])
    return len(rows)


def next_batch(outbox: Outbox, max_records: int, max_bytes: int) -> Batch | None:
    """The oldest records not acknowledged, at least one; None when there is none.

    Args:
        max_bytes: Of the lines together with their line feeds, before compression.
    """
    with outbox.transaction() as tx:
        where = position_in(tx)
        if where.acked >= where.last_seq:
            return None
        prev = head_at(tx, where.acked)
        assert prev is not None, "the log reaches from pruned to last, and acked lies between"
        lines: list[bytes] = []
        room = max_bytes
        rows = tx.execute(
            "SELECT line FROM log WHERE epoch = ? AND seq > ? ORDER BY seq LIMIT ?",
            [where.epoch, where.acked, max_records],
        )
        for (line,) in rows:
            room -= len(line) + 1
            if room < 0 and lines:
                break
            lines.append(line)
        rows.close()
    return Batch(where.epoch, where.acked + 1, prev, lines)


def acknowledge(outbox: Outbox, epoch: int, seq: int, head: str, at: datetime) -> bool:
    """Take note that the server holds everything of *epoch* up to *seq*.

    Returns:
        False when its history is not ours: another epoch, or another chain head (hexadecimal) there. Nothing is noted.
    """
    with outbox.transaction() as tx:
        where = position_in(tx)
        own = head_at(tx, seq) if where.epoch == epoch else None
        if own is None or own.hex() != head:
            return False
        if seq > where.acked:
            tx.execute("UPDATE state SET acked = ?", [seq])
            tx.execute("INSERT OR REPLACE INTO acks VALUES (?, ?, ?)", [epoch, seq, to_ms(at)])
    return True


def rewind(outbox: Outbox, epoch: int, seq: int) -> bool:
    """Send again from after *seq*: the server holds no more than that.

    Returns:
        False when this log is of another epoch or does not reach back that far.
    """
    with outbox.transaction() as tx:
        where = position_in(tx)
        if where.epoch != epoch or not where.pruned <= seq <= where.last_seq:
            return False
        tx.execute("UPDATE state SET acked = ?", [seq])
        tx.execute("DELETE FROM acks WHERE epoch = ? AND seq > ?", [epoch, seq])
    return True


def backlog(outbox: Outbox) -> Backlog:
    """What waits to be acknowledged."""
    with outbox.transaction() as tx:
        where = position_in(tx)
        oldest = tx.execute(
            "SELECT written_ms, upto_bytes - length(line) FROM log WHERE epoch = ? AND seq = ?",
            [where.epoch, where.acked + 1],
        ).fetchone()
    if oldest is None:
        return Backlog(0, 0, None)
    return Backlog(where.last_seq - where.acked, where.upto_bytes - oldest[1], oldest[0])
