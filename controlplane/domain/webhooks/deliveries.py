"""Deliveries: which event goes to which webhook, and what became of it."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, Final, Literal, TypeAlias
from uuid import UUID

import msgspec
from msgspec import Struct
from sqlalchemy import text

from controlplane.db import schema as t
from controlplane.db.database import TenantTx
from controlplane.domain import audit, events
from controlplane.domain.audit import Actor
from controlplane.domain.events import EventsGone
from controlplane.domain.events.catalogue import TEST
from controlplane.domain.webhooks import endpoints
from controlplane.domain.webhooks.endpoints import Webhook, WebhookDisabled
from controlplane.kit.ids import DeliveryId, EventId, WebhookId, new_id
from controlplane.kit.problems import NotFound

State: TypeAlias = Literal["pending", "delivered", "failed", "dropped"]
Reason: TypeAlias = Literal["event", "replay", "test"]

AT_ONCE: Final = 500
"""Events that become deliveries in one transaction."""

MOST_REPLAYED: Final = 1_000

PROGRESS: Final = text("""
    INSERT INTO webhook_progress (tenant_id, through) VALUES (:tenant_id, 0)
    ON CONFLICT (tenant_id) DO UPDATE SET through = webhook_progress.through RETURNING through AS seq
""")
"""Locks it: of two who do this at once, the second finds nothing left to do."""

UP_TO: Final = text("""
    SELECT coalesce(max(seq), 0) AS seq FROM (
        SELECT seq FROM events WHERE tenant_id = :tenant_id AND seq > :through ORDER BY seq LIMIT :limit) behind
""")

WANTED: Final = text("""
    SELECT e.id AS event_id, e.seq AS event_seq, e.type, w.id AS webhook_id
    FROM events e JOIN webhooks w ON w.tenant_id = e.tenant_id AND w.state = 'enabled' AND e.seq > w.from_seq
        AND (w.types = '{}' OR e.type = ANY (w.types))
    WHERE e.tenant_id = :tenant_id AND e.seq > :through AND e.seq <= :up_to
    ORDER BY e.seq, w.id
""")

PROGRESSED: Final = text("UPDATE webhook_progress SET through = :through WHERE tenant_id = :tenant_id")


class Try(Struct, frozen=True, kw_only=True):
    """One time that it was sent."""

    at: datetime
    took_ms: int
    status: int | None = None
    """Of the answer; None: there was none."""
    trouble: str = ""
    response: str = ""
    """How the answer's body begins."""


class Delivery(Struct, frozen=True, kw_only=True):
    id: DeliveryId
    webhook_id: WebhookId
    event_id: EventId
    event_seq: int | None
    type: str
    reason: Reason
    state: State
    attempts: int
    """How often it was begun to be sent. One more than there are tries: it is being sent, or somebody died doing it."""
    next_at: datetime | None
    tries: list[dict[str, Any]]
    """Each a :class:`Try`."""
    created_at: datetime
    ended_at: datetime | None

    def told(self) -> list[Try]:
        """Each time that it was sent, the first one first."""
        return msgspec.convert(self.tries, list[Try])


class Replayed(Struct, frozen=True):
    deliveries: int
    rest_from: datetime | None
    """When the first event happened that was left out because there were too many; None: none was."""


async def fan_out(tx: TenantTx) -> int:
    """Make deliveries of events that have become none yet, and return how many events that were.

    Deliveries and progress are one transaction: whoever dies in it has done nothing, whoever repeats it does the rest.
    """
    [progress] = await tx.query(_Number, PROGRESS, tenant_id=tx.tenant_id)
    here = {"tenant_id": tx.tenant_id, "through": progress.seq}
    [up_to] = await tx.query(_Number, UP_TO, **here, limit=AT_ONCE)
    if up_to.seq == 0:
        return 0
    await _queue(tx, await tx.query(_Wanted, WANTED, **here, up_to=up_to.seq), "event")
    await tx.load(PROGRESSED, through=up_to.seq)
    return up_to.seq - progress.seq


async def listing(
    tx: TenantTx, webhook_id: UUID, *, state: State | None = None, after: UUID | None = None, limit: int
) -> list[Delivery]:
    """Of one webhook, newest first, from just before *after* on.

    Raises:
        NotFound: If this tenant has no such webhook.
    """
    await endpoints.get(tx, webhook_id)
    wanted = tx.select(t.webhook_deliveries).where(t.webhook_deliveries.c.webhook_id == webhook_id)
    if state is not None:
        wanted = wanted.where(t.webhook_deliveries.c.state == state)
    if after is not None:
        wanted = wanted.where(t.webhook_deliveries.c.id < after)
    return await tx.all(Delivery, wanted.order_by(t.webhook_deliveries.c.id.desc()).limit(limit))


async def get(tx: TenantTx, webhook_id: UUID, delivery_id: UUID) -> Delivery:
    """
    Raises:
        NotFound: If this webhook of this tenant has no such delivery.
    """
    mine = t.webhook_deliveries.c.webhook_id == webhook_id, t.webhook_deliveries.c.id == delivery_id
    delivery = await tx.first(Delivery, tx.select(t.webhook_deliveries).where(*mine))
    if delivery is None:
        raise NotFound
    return delivery


async def test(tx: TenantTx, actor: Actor, webhook_id: UUID) -> Delivery:
    """Have a test delivered. Whatever comes of it says nothing about the webhook's health.

    Raises:
        NotFound, WebhookDisabled: If nothing can be sent there.
    """
    webhook = await _enabled(tx, webhook_id)
    identity = EventId(new_id(tx.now))
    wanted = _Wanted(event_id=identity, event_seq=None, type=TEST, webhook_id=webhook.id)
    [queued] = await _queue(tx, [wanted], "test")
    audit.record(tx, actor, "webhook.tested", endpoints.target(webhook_id))
    return await get(tx, webhook_id, queued)


async def replay(tx: TenantTx, actor: Actor, webhook_id: UUID, delivery_id: UUID) -> Delivery:
    """Deliver the same event once more, under the same id.

    Raises:
        NotFound, WebhookDisabled: If nothing can be sent there.
        EventsGone: If the event is not kept any more.
    """
    await _enabled(tx, webhook_id)
    before = await get(tx, webhook_id, delivery_id)
    if before.event_seq is not None and before.event_seq <= (pruned := (await events.span(tx)).pruned):
        raise EventsGone(pruned)
    wanted = _Wanted(
        event_id=before.event_id, event_seq=before.event_seq, type=before.type, webhook_id=before.webhook_id
    )
    [queued] = await _queue(tx, [wanted], "replay" if before.event_seq else "test")
    audit.record(tx, actor, "webhook.replayed", endpoints.target(webhook_id), deliveries=1)
    return await get(tx, webhook_id, queued)


async def replay_since(tx: TenantTx, actor: Actor, webhook_id: UUID, start: datetime, end: datetime) -> Replayed:
    """Deliver the events of a time once more, those included that were never sent there, up to a thousand.

    Raises:
        NotFound, WebhookDisabled: If nothing can be sent there.
        EventsGone: If the time begins before what is kept.
    """
    webhook = await _enabled(tx, webhook_id)
    found = await events.since(tx, start, end, MOST_REPLAYED + 1, webhook.types)
    again = [
        _Wanted(event_id=event.id, event_seq=event.seq, type=event.type, webhook_id=webhook.id)
        for event in found[:MOST_REPLAYED]
    ]
    await _queue(tx, again, "replay")
    audit.record(tx, actor, "webhook.replayed", endpoints.target(webhook_id), deliveries=len(again))
    return Replayed(len(again), found[MOST_REPLAYED].occurred_at if len(found) > MOST_REPLAYED else None)


async def prune(tx: TenantTx) -> int:
    """Forget deliveries that ended long ago, and return how many."""
    return await tx.run(tx.delete(t.webhook_deliveries).where(t.webhook_deliveries.c.ended_at < tx.now - events.KEPT))


class _Number(Struct, frozen=True):
    seq: int


class _Wanted(Struct, frozen=True, kw_only=True):
    event_id: EventId
    event_seq: int | None
    type: str
    webhook_id: WebhookId


async def _enabled(tx: TenantTx, webhook_id: UUID) -> Webhook:
    webhook = await endpoints.get(tx, webhook_id)
    if webhook.state != "enabled":
        raise WebhookDisabled
    return webhook


async def _queue(tx: TenantTx, wanted: Sequence[_Wanted], reason: Reason) -> list[UUID]:
    """Write them down, to be sent as soon as possible, and return their ids."""
    rows = list(_rows(tx, wanted, reason))
    if rows:
        await tx.run(tx.insert(t.webhook_deliveries), rows)
    return [row["id"] for row in rows]


def _rows(tx: TenantTx, wanted: Iterable[_Wanted], reason: Reason) -> Iterable[dict[str, Any]]:
    for each in wanted:
        yield {
            "id": new_id(tx.now),
            "webhook_id": each.webhook_id,
            "event_id": each.event_id,
            "event_seq": each.event_seq,
            "type": each.type,
            "reason": reason,
            "state": "pending",
            "attempts": 0,
            "next_at": tx.now,
            "tries": [],
            "created_at": tx.now,
        }
