"""Consumers of a tenant's events: each remembers how far it has got, so that it finds what it missed."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from msgspec import Struct
from sqlalchemy import func, text

from controlplane.db import schema as t
from controlplane.db.database import TenantTx
from controlplane.domain import audit, events
from controlplane.domain.audit import Actor
from controlplane.domain.events import Event
from controlplane.kit.problems import NotFound, Refusal

NAME: Final = "^[a-z0-9][a-z0-9-]{0,39}$"

MOST: Final = 50
"""Of one tenant."""

ACKNOWLEDGE: Final = text("""
    UPDATE event_consumers SET acknowledged = :through, acknowledged_at = :now
    WHERE tenant_id = :tenant_id AND name = :name AND acknowledged < :through
""")


class Consumer(Struct, frozen=True, kw_only=True):
    name: str
    types: list[str]
    """Which events it gets; empty: all."""
    acknowledged: int
    """It has everything up to this number."""
    acknowledged_at: datetime | None
    created_by: str
    created_at: datetime


class ConsumerNameTaken(Refusal):
    code, status, title = "event-consumer-taken", 409, "This tenant has a consumer of this name"
    hint = "Pick another name, or use the one that is there."


class TooManyConsumers(Refusal):
    code, status, title = "event-consumer-limit", 409, "This tenant has as many consumers as there may be"
    hint = f"Delete one first; there may be {MOST}."


class NotYetThere(Refusal):
    """A number that no event has yet."""

    code, status, title = "event-not-yet", 409, "There is no such event yet"
    hint = "Acknowledge the sequence of the last event that you have processed."

    def __init__(self, last: int) -> None:
        super().__init__(f"the last event is {last}")
        self.last = last

    def facts(self) -> dict[str, object]:
        return {"last": self.last}


async def create(tx: TenantTx, actor: Actor, name: str, types: Sequence[str], *, after: int | None) -> Consumer:
    """
    Args:
        after: It gets the events behind this number; None: those from now on.

    Raises:
        ConsumerNameTaken, TooManyConsumers, TypeUnknown: If there cannot be such a consumer.
        NotYetThere, EventsGone: If *after* is no place to begin at.
    """
    if await tx.scalar(tx.select(t.event_consumers).with_only_columns(func.count())) >= MOST:
        raise TooManyConsumers
    start = await _place(tx, after)
    consumer = tx.insert(t.event_consumers).values(
        name=name,
        types=events.check_types(types),
        acknowledged=start,
        created_by=actor.id,
        created_at=tx.now,
    )
    made = await tx.take(Consumer, consumer.on_conflict_do_nothing())
    if not made:
        raise ConsumerNameTaken(name)
    audit.record(tx, actor, "event-consumer.created", ("event-consumer", name), after=start)
    return made[0]


async def listing(tx: TenantTx, *, after: str | None, limit: int) -> list[Consumer]:
    """By name, from just behind *after* on."""
    wanted = tx.select(t.event_consumers)
    if after is not None:
        wanted = wanted.where(t.event_consumers.c.name > after)
    return await tx.all(Consumer, wanted.order_by(t.event_consumers.c.name).limit(limit))


async def get(tx: TenantTx, name: str) -> Consumer:
    """
    Raises:
        NotFound: If this tenant has no such consumer.
    """
    consumer = await tx.first(Consumer, tx.select(t.event_consumers).where(t.event_consumers.c.name == name))
    if consumer is None:
        raise NotFound
    return consumer


async def waiting(tx: TenantTx, name: str, limit: int) -> list[Event]:
    """What the consumer has not acknowledged, oldest first; the same again until it does.

    Raises:
        NotFound: If this tenant has no such consumer.
        EventsGone: If some of it is not kept any more.
    """
    consumer = await get(tx, name)
    return await events.after(tx, consumer.acknowledged, limit, consumer.types)


async def acknowledge(tx: TenantTx, name: str, through: int) -> Consumer:
    """Note that it has everything up to *through*. Less than it had before changes nothing.

    Raises:
        NotFound: If this tenant has no such consumer.
        NotYetThere: If there is no such event yet.
    """
    await get(tx, name)
    if through > (last := (await events.span(tx)).seq):
        raise NotYetThere(last)
    await tx.load(ACKNOWLEDGE, name=name, through=through, now=tx.now)
    return await get(tx, name)


async def rewind(tx: TenantTx, actor: Actor, name: str, after: int) -> Consumer:
    """Have it get the events behind *after* again, whatever it acknowledged.

    Raises:
        NotFound: If this tenant has no such consumer.
        NotYetThere, EventsGone: If *after* is no place to begin at.
    """
    place = await _place(tx, after)
    mine = tx.update(t.event_consumers).where(t.event_consumers.c.name == name)
    turned = await tx.take(Consumer, mine.values(acknowledged=place))
    if not turned:
        raise NotFound
    audit.record(tx, actor, "event-consumer.rewound", ("event-consumer", name), after=place)
    return turned[0]


async def delete(tx: TenantTx, actor: Actor, name: str) -> None:
    """
    Raises:
        NotFound: If this tenant has no such consumer.
    """
    if not await tx.run(tx.delete(t.event_consumers).where(t.event_consumers.c.name == name)):
        raise NotFound
    audit.record(tx, actor, "event-consumer.deleted", ("event-consumer", name))


async def _place(tx: TenantTx, after: int | None) -> int:
    known = await events.span(tx)
    if after is None:
        return known.seq
    if after > known.seq:
        raise NotYetThere(known.seq)
    if after < known.pruned:
        raise events.EventsGone(known.pruned)
    return after
