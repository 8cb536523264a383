"""Reading a tenant's chain: the newest first, narrowed by who, what, whom and when; and what is known of the people."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec
from msgspec import Struct
from sqlalchemy import Select

from controlplane.db import schema as t
from controlplane.db.database import TenantTx
from controlplane.domain import keys
from controlplane.domain.audit.events import EPOCH, Event, Personal
from controlplane.domain.audit.writing import place
from controlplane.kit.problems import NotFound


class Filters(Struct, frozen=True, kw_only=True):
    """None: all of them."""

    action: str | None = None
    """``api-key.created``, or ``api-key.`` for all that happens to API keys."""
    actor: str | None = None
    """Its id as shown."""
    target: str | None = None
    outcome: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    """Just before this instant."""


NO_FILTERS = Filters()


async def listing(tx: TenantTx, *, before: int | None = None, limit: int, filters: Filters = NO_FILTERS) -> list[Event]:
    """The tenant's own events, newest first, from just before number *before* on."""
    events = t.audit_events.c
    wanted = _narrowed(tx.select(t.audit_events), filters)
    if before is not None:
        wanted = wanted.where(events.seq < before)
    return await tx.all(Event, wanted.order_by(events.seq.desc()).limit(limit))


async def get(tx: TenantTx, event_id: UUID) -> Event:
    """
    Raises:
        NotFound: If this tenant has no such event.
    """
    events = t.audit_events.c
    born_ms = event_id.int >> 80  # the id carries its instant, and the instant has the index
    at = events.occurred_us.between(born_ms * 1000, born_ms * 1000 + 999)
    event = await tx.first(Event, tx.select(t.audit_events).where(at, events.id == event_id))
    if event is None:
        raise NotFound
    return event


async def after(tx: TenantTx, seq: int, limit: int) -> list[Event]:
    """The events behind number *seq*, oldest first."""
    behind = tx.select(t.audit_events).where(t.audit_events.c.seq > seq)
    return await tx.all(Event, behind.order_by(t.audit_events.c.seq).limit(limit))


async def people(tx: TenantTx, events: Sequence[Event]) -> dict[int, Personal | None]:
    """What is known of the people behind *events*, by number; None where it was destroyed on purpose."""
    sealed = [(event, event.sealed) for event in events if event.sealed is not None]
    opened = await keys.unseal_all(tx, "audit-personal", [(each, place(event.id)) for event, each in sealed])
    return {
        event.seq: None if plain is None else msgspec.json.decode(plain, type=Personal)
        for (event, _), plain in zip(sealed, opened, strict=True)
    }


def _narrowed(wanted: Select[Any], filters: Filters) -> Select[Any]:
    events = t.audit_events.c
    if filters.action is not None:
        wanted = wanted.where(_is_or_begins_with(events.action, filters.action))
    for column, value in (
        (events.actor_id, filters.actor),
        (events.target_id, filters.target),
        (events.outcome, filters.outcome),
    ):
        if value is not None:
            wanted = wanted.where(column == value)
    if filters.since is not None:
        wanted = wanted.where(events.occurred_us >= _us(filters.since))
    if filters.until is not None:
        wanted = wanted.where(events.occurred_us < _us(filters.until))
    return wanted


def _is_or_begins_with(column: Any, value: str) -> Any:
    """A range instead of LIKE: only leakproof operators use an index behind row-level security."""
    if not value.endswith("."):
        return column == value
    return (column >= value) & (column < value[:-1] + "/")  # the character after the point


def _us(instant: datetime) -> int:
    return (instant - EPOCH) // timedelta(microseconds=1)
