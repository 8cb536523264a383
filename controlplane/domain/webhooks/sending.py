"""Sending: claimed in one transaction, sent outside of any, written down in another.

A claim is the time at which the next one may try. Whoever dies between two of the steps is followed by somebody who
sends it again, so a receiver may get the same event twice, and knows it by its id.
"""

import random
import re
import time
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

import msgspec
from msgspec import Struct
from sqlalchemy import text

from controlplane.db import schema as t
from controlplane.db.database import Database, TenantTx
from controlplane.domain import events
from controlplane.domain.audit import Actor
from controlplane.domain.events import Event
from controlplane.domain.webhooks import endpoints
from controlplane.domain.webhooks.deliveries import Reason, State, Try
from controlplane.domain.webhooks.endpoints import Webhook
from controlplane.kit import signatures
from controlplane.kit.guard import AddressRefused, Answer, CallFailed, Guard
from controlplane.kit.ids import DeliveryId, EventId, TenantId, WebhookId, text_id

WITHIN_S: Final = 20.0
"""Standard Webhooks: 15 to 30 seconds."""

CLAIM: Final = timedelta(seconds=60)
"""Longer than a call and writing down its outcome take."""

DELAYS_S: Final = (5, 300, 1_800, 7_200, 18_000, 36_000, 50_400, 72_000, 86_400)
"""Before each further try; the first is at once (Standard Webhooks)."""

JITTER: Final = 0.1

LONGEST_WAIT: Final = timedelta(days=1)
"""That a receiver can ask for with ``Retry-After``."""

PATIENCE: Final = timedelta(days=5)
"""A webhook that nothing gets through to for so long is disabled."""

MOST_OF_AN_ANSWER: Final = 1_000
"""Bytes of it that are kept."""

GONE, SUCCESSES, TOLD_TO_WAIT = 410, range(200, 300), (429, 503)

ACTOR: Final = Actor(kind="chore", id="deliver-webhooks")

TAKE: Final = text("""
    UPDATE webhook_deliveries d SET attempts = d.attempts + 1, next_at = :until
    WHERE d.tenant_id = :tenant_id AND d.id IN (
        SELECT p.id FROM webhook_deliveries p JOIN webhooks w ON w.tenant_id = p.tenant_id AND w.id = p.webhook_id
        WHERE p.tenant_id = :tenant_id AND p.state = 'pending' AND p.next_at <= :now AND w.state = 'enabled'
            AND (CAST(:only AS uuid) IS NULL OR p.id = :only)
        ORDER BY p.next_at LIMIT :limit FOR UPDATE OF p SKIP LOCKED)
    RETURNING d.id, d.webhook_id, d.event_id, d.event_seq, d.type, d.reason, d.attempts, d.created_at
""")

SETTLE: Final = text("""
    UPDATE webhook_deliveries
    SET state = :state, next_at = :next_at, ended_at = CASE WHEN CAST(:next_at AS timestamptz) IS NULL THEN CAST(:now AS timestamptz) END,
        tries = tries || CAST(:tried AS jsonb)
    WHERE tenant_id = :tenant_id AND id = :id AND attempts = :attempt AND state = 'pending'
    RETURNING attempts
""")

HEALTHY: Final = text("""
    UPDATE webhooks SET failing_since = NULL WHERE tenant_id = :tenant_id AND id = :id AND failing_since IS NOT NULL
""")

FAILING: Final = text("""
    UPDATE webhooks SET failing_since = coalesce(failing_since, CAST(:now AS timestamptz)) WHERE tenant_id = :tenant_id AND id = :id
    RETURNING failing_since
""")


class Parcel(Struct, frozen=True, kw_only=True):
    """One delivery, claimed and ready to be sent."""

    id: DeliveryId
    webhook_id: WebhookId
    attempt: int
    reason: Reason
    url: str
    headers: Mapping[str, str]
    body: bytes | None
    """None: the event is not kept any more, or its secret was destroyed."""

    def __repr__(self) -> str:
        return f"Parcel({self.id})"


class Sent(Struct, frozen=True, kw_only=True):
    tried: Try
    wait: timedelta | None = None
    """What the receiver asked for."""
    for_good: bool = False
    """Trying again is of no use."""

    @property
    def arrived(self) -> bool:
        return self.tried.status in SUCCESSES


async def claim(tx: TenantTx, limit: int, only: UUID | None = None) -> list[Parcel]:
    """Take up to *limit* deliveries that are due; nobody else gets them until :data:`CLAIM` is over.

    Args:
        only: Just this delivery.
    """
    place = {"tenant_id": tx.tenant_id, "now": tx.now, "until": tx.now + CLAIM}
    taken = await tx.query(_Taken, TAKE, **place, limit=limit, only=only)
    if not taken:
        return []
    webhook_ids = sorted({each.webhook_id for each in taken})
    wanted = tx.select(t.webhooks).where(t.webhooks.c.id.in_(webhook_ids)).limit(len(webhook_ids))
    webhooks = {webhook.id: webhook for webhook in await tx.all(Webhook, wanted)}
    holders = await endpoints.secrets_of(tx, webhook_ids)
    told = await _events(tx, [each.event_seq for each in taken if each.event_seq is not None])
    return [_parcel(tx, each, webhooks[each.webhook_id], holders[each.webhook_id], told) for each in taken]


async def send(guard: Guard, parcel: Parcel, at: datetime) -> Sent:
    """Send it, in no transaction.

    Args:
        at: Now.
    """
    if parcel.body is None:
        return Sent(tried=Try(at=at, took_ms=0, trouble="the event is not kept any more"), for_good=True)
    started = time.monotonic()
    answer: Answer | None = None
    trouble = ""
    try:
        answer = await guard.call(
            "POST",
            parcel.url,
            headers=parcel.headers,
            content=parcel.body,
            most_bytes=MOST_OF_AN_ANSWER,
            within_s=WITHIN_S,
        )
    except AddressRefused as refused:
        trouble = f"refused: {refused.detail}"
    except CallFailed as failed:
        trouble = str(failed)
    took_ms = int((time.monotonic() - started) * 1000)
    if answer is None:
        return Sent(tried=Try(at=at, took_ms=took_ms, trouble=trouble))
    said = answer.body.decode(errors="replace").replace("\0", "�")
    tried = Try(at=at, took_ms=took_ms, status=answer.status, response=said, trouble=_trouble(answer.status))
    return Sent(tried=tried, wait=_wait(answer))


async def settle(tx: TenantTx, parcel: Parcel, sent: Sent, roll: float) -> bool:
    """Write down what became of it, and what that means for the webhook; return whether it was disabled.

    Does nothing where somebody else has claimed it since.

    Args:
        roll: A random number in [0, 1).
    """
    state, next_at = _next(parcel.attempt, sent, tx.now, roll)
    tried = msgspec.json.encode([sent.tried]).decode()
    place = {"tenant_id": tx.tenant_id, "now": tx.now}
    outcome = {"id": parcel.id, "attempt": parcel.attempt, "state": state, "next_at": next_at, "tried": tried}
    if not await tx.query(_Attempts, SETTLE, **place, **outcome):
        return False
    if parcel.reason == "test" or parcel.body is None:
        return False
    if sent.arrived:
        await tx.load(HEALTHY, id=parcel.webhook_id)
        return False
    if sent.tried.status == GONE:
        return await endpoints.disable(tx, ACTOR, parcel.webhook_id, "the receiver said that it is gone (410)")
    [failing] = await tx.query(_Failing, FAILING, **place, id=parcel.webhook_id)
    if failing.failing_since + PATIENCE > tx.now:
        return False
    reason = f"nothing got there since {failing.failing_since:%Y-%m-%d %H:%M} UTC"
    return await endpoints.disable(tx, ACTOR, parcel.webhook_id, reason)


async def deliver(db: Database, guard: Guard, tenant_id: TenantId, parcel: Parcel) -> bool:
    """Send *parcel* and write down what became of it; return whether its webhook was disabled for it."""
    sent = await send(guard, parcel, db.clock())
    async with db.tenant(tenant_id) as tx:
        return await settle(tx, parcel, sent, random.random())  # noqa: S311 spread, not secrecy


def delay(attempt: int, roll: float) -> timedelta | None:
    """How long to wait after try number *attempt*, the first of which is 1; None: that was the last.

    Args:
        roll: A random number in [0, 1): the wait is up to a tenth shorter or longer, so that what failed together
            does not come back together.
    """
    if attempt > len(DELAYS_S):
        return None
    return timedelta(seconds=DELAYS_S[attempt - 1] * (1 - JITTER + 2 * JITTER * roll))


class _Taken(Struct, frozen=True, kw_only=True):
    id: DeliveryId
    webhook_id: WebhookId
    event_id: EventId
    event_seq: int | None
    type: str
    reason: Reason
    attempts: int
    created_at: datetime


class _Attempts(Struct, frozen=True):
    attempts: int


class _Failing(Struct, frozen=True):
    failing_since: datetime


async def _events(tx: TenantTx, numbers: list[int]) -> Mapping[int, Event]:
    wanted = tx.select(t.events).where(t.events.c.seq.in_(numbers)).limit(len(numbers))
    return {event.seq: event for event in await tx.all(Event, wanted)}


def _parcel(tx: TenantTx, taken: _Taken, webhook: Webhook, holders: list[str], told: Mapping[int, Event]) -> Parcel:
    message = text_id("evt", taken.event_id)
    event = told.get(taken.event_seq) if taken.event_seq is not None else _of_a_test(taken)
    body = msgspec.json.encode(events.payload(tx.tenant_id, event)) if event and holders else None
    signed = signatures.headers(holders, message, tx.now, body) if body else {}
    return Parcel(
        id=taken.id,
        webhook_id=taken.webhook_id,
        attempt=taken.attempts,
        reason=taken.reason,
        url=webhook.url,
        headers={"Content-Type": "application/json", **signed},
        body=body,
    )


def _of_a_test(taken: _Taken) -> Event:
    data = {"webhook": text_id("whk", taken.webhook_id), "says": "It works."}
    return Event(seq=0, id=taken.event_id, type=taken.type, occurred_at=taken.created_at, data=data)


def _next(attempt: int, sent: Sent, now: datetime, roll: float) -> tuple[State, datetime | None]:
    if sent.arrived:
        return "delivered", None
    wait = delay(attempt, roll)
    if wait is None or sent.for_good or sent.tried.status == GONE:
        return "failed", None
    return "pending", now + max(wait, sent.wait or timedelta())


def _wait(answer: Answer) -> timedelta | None:
    """What ``Retry-After`` asks for, where it is seconds and the status is one that may ask (RFC 9110, 10.2.3)."""
    asked = answer.headers.get("retry-after", "")
    if answer.status not in TOLD_TO_WAIT or not re.fullmatch(r"[0-9]{1,9}", asked):
        return None
    return min(timedelta(seconds=int(asked)), LONGEST_WAIT)


def _trouble(status: int) -> str:
    if status in SUCCESSES:
        return ""
    return "a redirect, which is not followed" if status in range(300, 400) else f"answered {status}"
