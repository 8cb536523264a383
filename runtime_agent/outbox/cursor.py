"""What was read and what was said: the scan's memory, written in the same transaction as the records it led to."""

import sqlite3
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta

import msgspec
from msgspec import Struct

from runtime_agent.clock import from_us, to_ms, to_us
from runtime_agent.outbox import log, refused, spending
from runtime_agent.outbox.file import Outbox
from runtime_agent.outbox.lines import new_record_id
from runtime_agent.sources import Draft, Reading, Seen, Unit, vanished
from runtime_agent.wire.heartbeat import MOST_TIPS, Tip, Trouble
from runtime_agent.wire.records import AnyRecord, CheckpointSeen, CostLine, SessionState

FIRST_RETRY_S = 0.1
LONGEST_RETRY_S = 300.0
"""Between readings of a unit that holds something half written."""

SOONEST_MS = 1000
"""Time alone never has a unit read more often than that."""

GONE_FOR = timedelta(days=30)
"""After that a vanished unit is forgotten; if it ever comes back, it is said again."""

AHEAD = timedelta(days=1)
"""A state said of a later time than that from now was said by a clock that went wrong: nothing is ordered after it."""

MOST_OPEN = 1_000
"""Sessions among which the newest are looked for; a home has hardly more that have not ended."""

_TIP = msgspec.json.Decoder(Tip)
_pack = msgspec.msgpack.encode
_line = msgspec.json.encode


class Found(Struct, frozen=True, kw_only=True):
    """One unit, as it was just read."""

    key: str
    fingerprint: bytes
    """Taken before the reading: a change during it shows at the next look."""
    reading: Reading


def seen(outbox: Outbox, source: str, key: str) -> Seen | None:
    """What the source asked to have remembered of a unit; None of one that was never read."""
    row = outbox.row("SELECT seen FROM units WHERE source = ? AND key = ?", [source, key])
    return msgspec.msgpack.decode(row[0], type=Seen) if row else None


def changed(outbox: Outbox, source: str, units: Iterable[Unit], now: datetime) -> Iterator[Unit]:
    """Those of *units* that were never read, look different now, or hold what was refused and gets another chance."""
    for unit in units:
        row = outbox.row(
            "SELECT fingerprint, gone_ms, EXISTS"
            " (SELECT 1 FROM refused WHERE unit = units.id AND at_ms NOT BETWEEN ? AND ?)"
            " FROM units WHERE source = ? AND key = ?",
            [*refused.quiet(now), source, unit.key],
        )
        if row is None or row[0] != unit.fingerprint or row[1] is not None or row[2]:
            yield unit


def due(outbox: Outbox, source: str, now: datetime, limit: int) -> list[str]:
    """Keys of units that must be read again by now, whatever their files look like; the longest due first."""
    rows = outbox.rows(
        "SELECT key FROM units WHERE source = ? AND due_ms <= ? ORDER BY due_ms LIMIT ?", [source, to_ms(now), limit]
    )
    return [key for (key,) in rows]


def next_due_ms(outbox: Outbox, source: str) -> int | None:
    """When the next unit must be read again, milliseconds since 1970."""
    (at,) = outbox.row("SELECT min(due_ms) FROM units WHERE source = ? AND due_ms IS NOT NULL", [source])
    return None if at is None else int(at)


def keep(outbox: Outbox, source: str, found: list[Found], at: datetime) -> int:
    """Write what is new in *found* to the log, and that it was read; return how many records are new.

    One transaction: after a crash either the records are in the log, or the units are read again.

    Raises:
        DiskFull: Nothing is written; the same units are found again at the next scan.
    """
    with outbox.transaction() as tx:
        records: list[AnyRecord] = []
        for unit in found:
            unit_id, said = _unit(tx, source, unit, at)
            if unit.reading.spent is not None:
                spending.note(tx, unit.key, unit.reading.spent, at)
            for draft in unit.reading.records:
                record = _news(tx, unit_id, said, draft, at)
                if record is not None:
                    records.append(record)
        return log.append_in(tx, records, at)


_Said = dict[tuple[str, str], tuple[bytes | None, int | None]]


def _unit(tx: sqlite3.Connection, source: str, unit: Found, at: datetime) -> tuple[int, _Said]:
    """The unit's row, written, and what was said of it before."""
    reading = unit.reading
    row = tx.execute("SELECT id, tries FROM units WHERE source = ? AND key = ?", [source, unit.key]).fetchone()
    tries = (row[1] if row else 0) + 1 if reading.again else 0
    facts = (
        unit.fingerprint,
        _pack(reading.seen),
        _due_ms(reading, tries, at),
        tries,
        _pack(reading.troubles) if reading.troubles else None,
    )
    last = _last(reading.records) if reading.open else None
    withheld = reading.again and not any(draft.state for draft in reading.records)
    if row is None:
        made = tx.execute(
            "INSERT INTO units (fingerprint, seen, due_ms, tries, troubles, last, source, key)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?) RETURNING id",
            [*facts, last, source, unit.key],
        ).fetchone()
        return made[0], {}
    tx.execute(
        "UPDATE units SET fingerprint = ?, seen = ?, due_ms = ?, tries = ?, troubles = ?, gone_ms = NULL,"
        " last = iif(?, last, ?) WHERE id = ?",
        [*facts, withheld, last, row[0]],
    )
    refused.give_another_chance(tx, row[0], at)
    said = tx.execute("SELECT kind, key, digest, changed_us FROM entities WHERE unit = ?", [row[0]])
    return row[0], {(kind, key): (digest, changed_us) for kind, key, digest, changed_us in said}


def _due_ms(reading: Reading, tries: int, at: datetime) -> int | None:
    due_ms = None if reading.due_at is None else max(to_ms(reading.due_at), to_ms(at) + SOONEST_MS)
    if not reading.again:
        return due_ms
    retry_ms = to_ms(at) + round(1000 * min(FIRST_RETRY_S * 2.0 ** min(tries - 1, 20), LONGEST_RETRY_S))
    return retry_ms if due_ms is None else min(due_ms, retry_ms)


def _last(drafts: list[Draft]) -> bytes | None:
    sessions = (draft.record for draft in drafts if isinstance(draft.record, SessionState))
    last = next(sessions, None)
    return None if last is None else _line(last)


def _news(tx: sqlite3.Connection, unit_id: int, said: _Said, draft: Draft, at: datetime) -> AnyRecord | None:
    """The record to send, if it says something that was not said yet."""
    known = said.get((draft.kind, draft.key))
    digest = draft.digest() if draft.state else None
    if known is not None and (not draft.state or known[0] == digest):
        return None
    not_before = None if known is None or known[1] is None else from_us(known[1])
    if not_before is not None and not_before > at + AHEAD:
        not_before = None
    record = draft.make(new_record_id(at), at, not_before=not_before)
    changed_us = None if isinstance(record, CheckpointSeen | CostLine) else to_us(record.changed_at)
    tx.execute(
        "INSERT INTO entities VALUES (?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET digest = excluded.digest,"
        " changed_us = excluded.changed_us",
        [unit_id, draft.kind, draft.key, digest, changed_us],
    )
    tx.execute("DELETE FROM refused WHERE unit = ? AND kind = ? AND key = ?", [unit_id, draft.kind, draft.key])
    return record


def forget_present(outbox: Outbox, source: str) -> None:
    """Begin to count what is there."""
    outbox.rows("DELETE FROM present WHERE source = ?", [source])


def note_present(outbox: Outbox, source: str, units: Iterable[Unit]) -> None:
    """Count these among what is there."""
    with outbox.transaction() as tx:
        tx.executemany("INSERT OR IGNORE INTO present VALUES (?, ?)", ([source, unit.key] for unit in units))


def absent(outbox: Outbox, source: str, limit: int) -> list[str]:
    """Keys of units that were there once and were not counted since :func:`forget_present`."""
    rows = outbox.rows(
        "SELECT key FROM units WHERE source = ? AND gone_ms IS NULL AND (source, key) NOT IN"
        " (SELECT source, key FROM present) LIMIT ?",
        [source, limit],
    )
    return [key for (key,) in rows]


def bury(outbox: Outbox, source: str, keys: Iterable[str], at: datetime) -> int:
    """Take note that these units are gone, and say of those that ran that they are lost; return how many said."""
    with outbox.transaction() as tx:
        lost: list[AnyRecord] = []
        for key in keys:
            row = tx.execute("SELECT id, last FROM units WHERE source = ? AND key = ?", [source, key]).fetchone()
            if row is None:
                continue
            tx.execute(
                "UPDATE units SET gone_ms = ?, due_ms = NULL, last = NULL, troubles = NULL WHERE id = ?",
                [to_ms(at), row[0]],
            )
            if row[1] and (state := vanished(msgspec.json.decode(row[1], type=SessionState))):
                lost.append(_lost(tx, row[0], state, at))
        return log.append_in(tx, lost, at)


def _lost(tx: sqlite3.Connection, unit_id: int, state: SessionState, at: datetime) -> SessionState:
    """The record, as late as the latest that was said of that session; said anew should the folder come back."""
    (changed_us,) = tx.execute(
        "SELECT max(changed_us) FROM entities WHERE unit = ? AND kind = 'session'", [unit_id]
    ).fetchone()
    before = (state.changed_at, from_us(changed_us or 0))
    changed_at = max((instant for instant in before if instant <= at + AHEAD), default=at)
    tx.execute(
        "UPDATE entities SET digest = x'', changed_us = ? WHERE unit = ? AND kind = 'session'",
        [to_us(changed_at), unit_id],
    )
    return msgspec.structs.replace(state, record_id=new_record_id(at), occurred_at=at, changed_at=changed_at)


def forget_gone(outbox: Outbox, now: datetime) -> None:
    """Drop the memory of units that vanished long ago."""
    with outbox.transaction() as tx:
        long_ago = [to_ms(now - GONE_FOR)]
        tx.execute("DELETE FROM entities WHERE unit IN (SELECT id FROM units WHERE gone_ms < ?)", long_ago)
        tx.execute("DELETE FROM refused WHERE unit IN (SELECT id FROM units WHERE gone_ms < ?)", long_ago)
        tx.execute("DELETE FROM contents WHERE unit IN (SELECT id FROM units WHERE gone_ms < ?)", long_ago)
        tx.execute("DELETE FROM spent WHERE key IN (SELECT key FROM units WHERE gone_ms < ?)", long_ago)
        tx.execute("DELETE FROM units WHERE gone_ms < ?", long_ago)


def units_known(outbox: Outbox) -> int:
    """How many units are there, as far as was looked."""
    return int(outbox.row("SELECT count(*) FROM units WHERE gone_ms IS NULL")[0])


def tip(outbox: Outbox) -> list[Tip]:
    """Sessions that have not ended, those that changed last; what of them is still in the log makes no difference."""
    return sorted(running(outbox), key=lambda each: each.changed_at, reverse=True)[:MOST_TIPS]


def running(outbox: Outbox) -> list[Tip]:
    """Sessions that have not ended, in no order."""
    rows = outbox.rows("SELECT last FROM units WHERE last IS NOT NULL AND gone_ms IS NULL LIMIT ?", [MOST_OPEN])
    return [_TIP.decode(line) for (line,) in rows]


def troubles(outbox: Outbox, limit: int = 20) -> list[Trouble]:
    """What the readings found that a person must look at, each once."""
    rows = outbox.rows("SELECT DISTINCT troubles FROM units WHERE troubles IS NOT NULL LIMIT ?", [limit])
    every = [trouble for (packed,) in rows for trouble in msgspec.msgpack.decode(packed, type=list[Trouble])]
    return list({(trouble.code, trouble.line): trouble for trouble in every}.values())[:limit]
