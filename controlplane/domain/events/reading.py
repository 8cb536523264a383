"""Reading events: from a number on, oldest first; what retention took away is said, never skipped."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from msgspec import Struct
from sqlalchemy import func, text

from controlplane.db import schema as t
from controlplane.db.database import TenantTx
from controlplane.kit.ids import EventId, TenantId, text_id
from controlplane.kit.problems import NotFound, Refusal

KEPT: Final = timedelta(days=30)

PRUNE: Final = text("""
    WITH gone AS (
        DELETE FROM events WHERE tenant_id = :tenant_id AND seq <= :through RETURNING 1
    )
    UPDATE event_heads SET pruned = greatest(pruned, :through) WHERE tenant_id = :tenant_id
""")


class Event(Struct, frozen=True, kw_only=True):
    seq: int
    id: EventId
    type: str
    occurred_at: datetime
    data: dict[str, Any]


class Span(Struct, frozen=True):
    """Which numbers there are: from after *pruned* up to *seq*."""

    seq: int
    pruned: int


class Payload(Struct, frozen=True, kw_only=True):
    """An event as it is sent and shown (Standard Webhooks: type, timestamp, data)."""

    id: str
    """The same whenever the event is sent: what to recognize a repetition by."""
    type: str
    timestamp: str
    tenant: str
    sequence: int | None
    """Place among the tenant's events, without gaps; null for a test."""
    data: dict[str, Any]


class EventsGone(Refusal):
    """Events that somebody asks for were taken away by retention."""

    code, status, title = "events-gone", 410, "Some of these events are not kept any more"
    hint = "What you missed is lost here: read the state from the API, then go on after last_gone."

    def __init__(self, pruned: int) -> None:
        super().__init__(f"events up to {pruned} are gone")
        self.pruned = pruned

    def facts(self) -> dict[str, object]:
        return {"last_gone": self.pruned}


async def span(tx: TenantTx) -> Span:
    return await tx.first(Span, tx.select(t.event_heads)) or Span(0, 0)


async def after(tx: TenantTx, seq: int, limit: int, types: Sequence[str] = ()) -> list[Event]:
    """Up to *limit* events behind number *seq*, oldest first.

    Args:
        types: Only these; empty: all.

    Raises:
        EventsGone: If there were some that are not kept any more.
    """
    known = await span(tx)
    if seq < known.pruned:
        raise EventsGone(known.pruned)
    wanted = tx.select(t.events).where(t.events.c.seq > seq)
    if types:
        wanted = wanted.where(t.events.c.type.in_(types))
    return await tx.all(Event, wanted.order_by(t.events.c.seq).limit(limit))


async def since(tx: TenantTx, start: datetime, end: datetime, limit: int, types: Sequence[str]) -> list[Event]:
    """Up to *limit* events of a time, oldest first; *start* belongs to it, *end* does not.

    Raises:
        EventsGone: If the time begins before what is kept.
    """
    known = await span(tx)
    if known.pruned and start < tx.now - KEPT:
        raise EventsGone(known.pruned)
    wanted = tx.select(t.events).where(t.events.c.occurred_at >= start, t.events.c.occurred_at < end)
    if types:
        wanted = wanted.where(t.events.c.type.in_(types))
    return await tx.all(Event, wanted.order_by(t.events.c.seq).limit(limit))


async def get(tx: TenantTx, event_id: UUID) -> Event:
    """
    Raises:
        NotFound: If this tenant has no such event, or has it no more.
    """
    event = await tx.first(Event, tx.select(t.events).where(t.events.c.id == event_id))
    if event is None:
        raise NotFound
    return event


async def prune(tx: TenantTx) -> int:
    """Take away what is older than :data:`KEPT`, and return how many events."""
    old = tx.select(t.events).where(t.events.c.occurred_at < tx.now - KEPT)
    through = await tx.scalar(old.with_only_columns(func.max(t.events.c.seq)))
    if through is None:
        return 0
    before = await span(tx)
    await tx.load(PRUNE, through=through)
    return int(through) - before.pruned


def payload(tenant_id: TenantId, event: Event) -> Payload:
    stamp = event.occurred_at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return Payload(
        id=text_id("evt", event.id),
        type=event.type,
        timestamp=stamp,
        tenant=text_id("ten", tenant_id),
        sequence=event.seq or None,
        data=event.data,
    )
