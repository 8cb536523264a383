"""What the control plane lacks of what it was told: forgotten here, so that it is read and said anew, and named if it is
not in the source any more.
"""

import sqlite3
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from runtime_agent.clock import to_ms
from runtime_agent.outbox import log
from runtime_agent.outbox.file import Outbox
from runtime_agent.outbox.lines import new_record_id
from runtime_agent.wire.records import Gap

PAGE = 5_000

GONE = "not-in-source"
"""Reason of the gap: the control plane lost it in a restore, and the source does not have it any more."""


class Entity(NamedTuple):
    """Something that was said, and taken."""

    unit: int
    kind: str
    key: str
    unit_key: str
    version: int
    """``changed_us`` of a state, 0 of a fact."""


def entities(outbox: Outbox) -> Iterator[Entity]:
    """All that was said, page after page; what was refused is not among it."""
    last: tuple[int, str, str] = (0, "", "")
    while rows := outbox.rows(
        "SELECT e.unit, e.kind, e.key, u.key, e.changed_us, e.digest IS NULL FROM entities e"
        " JOIN units u ON u.id = e.unit WHERE (e.unit, e.kind, e.key) > (?, ?, ?)"
        " AND NOT EXISTS (SELECT 1 FROM refused r WHERE r.unit = e.unit AND r.kind = e.kind AND r.key = e.key)"
        " ORDER BY e.unit, e.kind, e.key LIMIT ?",
        [*last, PAGE],
    ):
        last = rows[-1][:3]
        for unit, kind, key, unit_key, changed_us, is_fact in rows:
            if is_fact or changed_us is not None:
                yield Entity(unit, kind, key, unit_key, 0 if is_fact else changed_us)


def forget(outbox: Outbox, missing: Iterable[Entity], now: datetime) -> None:
    """Have these read again soon, as if they had never been said."""
    with outbox.transaction() as tx:
        for entity in missing:
            place = [entity.unit, entity.kind, entity.key]
            tx.execute("INSERT OR IGNORE INTO refill VALUES (?, ?, ?)", place)
            tx.execute("DELETE FROM entities WHERE unit = ? AND kind = ? AND key = ?", place)
            tx.execute("UPDATE units SET due_ms = ? WHERE id = ? AND gone_ms IS NULL", [to_ms(now), entity.unit])


def is_under_way(outbox: Outbox) -> bool:
    """Whether something that was forgotten may still be read."""
    return bool(outbox.row("SELECT EXISTS (SELECT 1 FROM refill)")[0])


def settle(outbox: Outbox, now: datetime) -> int | None:
    """Once all that was forgotten has been looked for: how many things are gone for good, named by a gap in the log.

    Returns:
        None while something is still to be read.
    """
    with outbox.transaction() as tx:
        if _due(tx, now):
            return None
        (gone,) = tx.execute(
            "SELECT count(*) FROM refill r WHERE NOT EXISTS"
            " (SELECT 1 FROM entities e WHERE e.unit = r.unit AND e.kind = r.kind AND e.key = r.key)"
        ).fetchone()
        if gone:
            detail = f"{gone} things that the control plane had been told of, and has not any more, are gone here too"
            made = Gap(record_id=new_record_id(now), occurred_at=now, reason=GONE, count=gone, detail=detail)
            log.append_in(tx, [made], now)
        tx.execute("DELETE FROM refill")
    return int(gone)


def _due(tx: sqlite3.Connection, now: datetime) -> bool:
    found = tx.execute(
        "SELECT EXISTS (SELECT 1 FROM refill r JOIN units u ON u.id = r.unit WHERE u.due_ms <= ? AND u.gone_ms IS NULL)",
        [to_ms(now)],
    ).fetchone()
    return bool(found[0])


def last_compared(outbox: Outbox) -> tuple[UUID, int] | None:
    """With which store both sides were compared last, and when, in milliseconds since 1970."""
    row = outbox.row("SELECT store_id, at_ms FROM compared")
    return (UUID(bytes=row[0]), row[1]) if row else None


def note_compared(outbox: Outbox, store_id: UUID, now: datetime) -> None:
    with outbox.transaction() as tx:
        tx.execute("DELETE FROM compared")
        tx.execute("INSERT INTO compared VALUES (1, ?, ?)", [store_id.bytes, to_ms(now)])
