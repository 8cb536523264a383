"""Who did what to whom: one hash chain per tenant, one for the platform, written with the change itself.

An event is appended in the transaction of its change, just before the commit, behind a lock on the chain's head:
chains do not fork, and the lock is short. Facts carry ids and words of ours; never names, addresses or secrets.
"""

import hashlib
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Literal, TypeAlias
from uuid import UUID

from msgspec import Struct
from msgspec.structs import asdict, replace

from controlplane.db import schema as t
from controlplane.db.database import PlatformTx, TenantTx, WritingTx
from controlplane.kit.canonical import canonical
from controlplane.kit.ids import new_id

SCHEMA: Final = 1
"""Of the hashed fields; a further one is a new number, and old events keep theirs."""

DOMAIN = b"cp.audit.v1"
START = bytes(32)
"""What the first event of a chain has for a predecessor."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

Target: TypeAlias = tuple[str, str]
"""Kind and id as shown: ``("api-key", "key_…")``."""


class Actor(Struct, frozen=True, kw_only=True):
    """Who acts, in which request."""

    kind: Literal[
        "account",
        "operator",
        "api-key",
        "operator-key",
        "runtime",
        "join-token",
        "scim-token",
        "shell",
        "chore",
        "nobody",
    ]
    id: str
    """As shown, ``acc_…``; for ``shell`` the account on that machine, for ``nobody`` empty."""
    request_id: str = ""


class Event(Struct, frozen=True, kw_only=True):
    """One act as it stands in its chain."""

    seq: int
    id: UUID
    occurred_us: int
    """Microseconds since 1970: exactly what is hashed."""
    action: str
    """``noun.verb``: ``api-key.created``."""
    outcome: str
    actor_kind: str
    actor_id: str
    target_kind: str
    target_id: str
    facts: dict[str, Any]
    request_id: str
    prev_hash: bytes
    hash: bytes

    @property
    def occurred_at(self) -> datetime:
        return _EPOCH + timedelta(microseconds=self.occurred_us)


class Head(Struct, frozen=True):
    seq: int
    hash: bytes


def record(tx: WritingTx, actor: Actor, action: str, target: Target, **facts: object) -> None:
    """Have *action* written into the chain of the tenant of *tx*, or of the platform, when *tx* commits.

    Args:
        facts: JSON without fractions; what an auditor needs and nothing personal.
    """
    _note(tx, actor, action, target, "success", facts)


def denied(tx: WritingTx, actor: Actor, action: str, target: Target, **facts: object) -> None:
    """As :func:`record`, for an attempt that was turned down."""
    _note(tx, actor, action, target, "denied", facts)


async def listing(tx: TenantTx, *, before: int | None, limit: int) -> list[Event]:
    """The tenant's own events, newest first, from just before number *before* on."""
    wanted = tx.select(t.audit_events)
    if before is not None:
        wanted = wanted.where(t.audit_events.c.seq < before)
    return await tx.all(Event, wanted.order_by(t.audit_events.c.seq.desc()).limit(limit))


def link(chain: UUID | None, event: Event) -> bytes:
    """What the hash of *event* has to be: it covers the event, its place, its chain and the event before it.

    Args:
        chain: The tenant; None for the platform's own chain.
    """
    content = canonical(
        {
            "schema": SCHEMA,
            "chain": "platform" if chain is None else str(chain),
            "seq": event.seq,
            "id": str(event.id),
            "occurred_us": event.occurred_us,
            "action": event.action,
            "outcome": event.outcome,
            "actor": {"kind": event.actor_kind, "id": event.actor_id},
            "target": {"kind": event.target_kind, "id": event.target_id},
            "facts": event.facts,
            "request_id": event.request_id,
        }
    )
    return hashlib.sha256(DOMAIN + _sized(event.prev_hash) + _sized(content)).digest()


def _sized(part: bytes) -> bytes:
    return len(part).to_bytes(8, "big") + part


def _note(tx: WritingTx, actor: Actor, action: str, target: Target, outcome: str, facts: dict[str, object]) -> None:
    if not tx.events:
        tx.before_commit(lambda: _append(tx))
    tx.events.append(
        Event(
            seq=0,
            id=new_id(tx.now),
            occurred_us=(tx.now - _EPOCH) // timedelta(microseconds=1),
            action=action,
            outcome=outcome,
            actor_kind=actor.kind,
            actor_id=actor.id,
            target_kind=target[0],
            target_id=target[1],
            facts=facts,
            request_id=actor.request_id,
            prev_hash=b"",
            hash=b"",
        )
    )
    tx.audited = True


async def _append(tx: WritingTx) -> None:
    """Give the events of *tx* their places. Last before the commit, so that the head is locked for a moment only."""
    chain = tx.tenant_id if isinstance(tx, TenantTx) else None
    head = await _lock_head(tx)
    rows = []
    for event in tx.events:
        placed = replace(event, seq=head.seq + 1, prev_hash=head.hash)
        head = Head(placed.seq, link(chain, placed))
        rows.append(asdict(replace(placed, hash=head.hash)))
    await _write(tx, head, rows)


async def _lock_head(tx: WritingTx) -> Head:
    """The last event's number and hash; nobody else appends to this chain until *tx* ends."""
    if isinstance(tx, TenantTx):
        start, key = tx.insert(t.audit_heads).values(seq=0, hash=START), "tenant_id"
    else:
        assert isinstance(tx, PlatformTx)
        start, key = tx.insert(t.platform_audit_heads).values(single=True, seq=0, hash=START), "single"
    [head] = await tx.take(Head, start.on_conflict_do_update(index_elements=[key], set_={"seq": start.table.c.seq}))
    return head


async def _write(tx: WritingTx, head: Head, rows: list[dict[str, Any]]) -> None:
    if isinstance(tx, TenantTx):
        await tx.run(tx.insert(t.audit_events), rows)
        await tx.run(tx.update(t.audit_heads).values(seq=head.seq, hash=head.hash))
    else:
        assert isinstance(tx, PlatformTx)
        await tx.run(tx.insert(t.platform_audit_events), rows)
        await tx.run(tx.update(t.platform_audit_heads).values(seq=head.seq, hash=head.hash))
