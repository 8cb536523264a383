"""Appending to the chains: with the change itself, just before its commit, behind a lock on the chain's head.

Chains do not fork, and the lock is short: number, hash, event and head are one statement, in which the database hashes.
"""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from types import MappingProxyType
from typing import Final
from uuid import UUID

import msgspec
from msgspec import Struct

from controlplane.db import schema as t
from controlplane.db.database import PlatformTx, ScopedTx, TenantTx, WritingTx
from controlplane.domain import events, keys
from controlplane.domain.audit.events import EPOCH, START, Actor, Event, Personal, Target, around_seq
from controlplane.domain.keys import Context
from controlplane.kit.ids import new_id, text_id

OPERATORS: Final = frozenset({"operator", "operator-key", "shell"})
"""Whose acts inside a tenant stand in the platform's chain as well; and so does what they do as somebody else."""

ABOUT_OPERATORS: Final = "impersonation."
"""What stands in both chains, whoever does it: an owner who agrees, too."""

SEALED: Final = tuple(
    keys.SealedColumn(table, "sealed", "audit-personal", lambda row: place(row["id"]))
    for table in (t.audit_events, t.platform_audit_events)
)

GIVEN: Final = {
    "id": "uuid",
    "occurred_us": "bigint",
    "action": "text",
    "outcome": "text",
    "actor_kind": "text",
    "actor_id": "text",
    "impersonator": "text",
    "target_kind": "text",
    "target_id": "text",
    "facts": "jsonb",
    "request_id": "text",
    "sealed": "bytea",
}
"""Columns of an event that are known before it has its place, and their types."""

_BEFORE, _AFTER, _START, _TENANT = (f"${len(GIVEN) + n}" for n in (1, 2, 3, 4))

_LINK = (
    """sha256('cp.audit.v1'::bytea || int8send(32) || {prev} || int8send(octet_length({content})::int8) || {content})"""
)

_CONTENT = f"(CAST({_BEFORE} AS bytea) || convert_to(({{seq}})::text, 'UTF8') || CAST({_AFTER} AS bytea))"


def _append_to(events: str, heads: str, key: str, value: str) -> str:
    """One statement: lock the head, number and hash the event, write it, move the head."""
    first = _LINK.format(prev=f"CAST({_START} AS bytea)", content=_CONTENT.format(seq="1"))
    later = _LINK.format(prev="h.hash", content=_CONTENT.format(seq="h.seq + 1"))
    scope = f"{key}, " if key == "tenant_id" else ""
    scoped = f"{value}, " if key == "tenant_id" else ""
    given = ", ".join(f"CAST(${n} AS {kind})" for n, kind in enumerate(GIVEN.values(), 1))
    return f"""
        WITH head AS (
            INSERT INTO {heads} AS h ({key}, seq, hash, prev_hash)
            VALUES ({value}, 1, {first}, CAST({_START} AS bytea))
            ON CONFLICT ({key}) DO UPDATE SET seq = h.seq + 1, prev_hash = h.hash, hash = {later}
            RETURNING seq, hash, prev_hash
        )
        INSERT INTO {events} ({scope}seq, prev_hash, hash, {", ".join(GIVEN)})
        SELECT {scoped}head.seq, head.prev_hash, head.hash, {given}
        FROM head
    """  # noqa: S608 names of ours


IN_TENANT = _append_to("audit_events", "audit_heads", "tenant_id", f"CAST({_TENANT} AS uuid)")
ON_PLATFORM = _append_to("platform_audit_events", "platform_audit_heads", "single", "true")


NOTHING: Final[Mapping[str, object]] = MappingProxyType({})


class _Noted(Struct, frozen=True):
    event: Event
    personal: Personal | None
    own: frozenset[str] = frozenset()
    """Which of its facts are the tenant's own words."""


def record(
    tx: WritingTx, actor: Actor, action: str, target: Target, *, own: Mapping[str, object] = NOTHING, **facts: object
) -> None:
    """Have *action* written into the chain of the tenant of *tx*, or of the platform, when *tx* commits.

    What operators do in a tenant is written into the platform's chain as well. What the tenant may hear of by
    webhook or feed is told with the same commit.

    Args:
        own: Facts in words that the tenant has chosen, such as a name. They stay in its chain and go with it.
        facts: JSON without fractions; what an auditor needs and nothing personal.
    """
    told = {**facts, **own}
    _note(tx, _Noted(_event(tx, actor, action, target, "success", told), actor.personal, frozenset(own)))
    if isinstance(tx, TenantTx):
        doer = events.Doer(kind=actor.kind, id=actor.id, impersonator=actor.impersonator)
        events.acted(tx, action, doer, target, told, actor.request_id)


def denied(tx: WritingTx, actor: Actor, action: str, target: Target, **facts: object) -> None:
    """As :func:`record`, for an attempt that was turned down."""
    _note(tx, _Noted(_event(tx, actor, action, target, "denied", facts), actor.personal))


def _event(tx: WritingTx, actor: Actor, action: str, target: Target, outcome: str, facts: dict[str, object]) -> Event:
    """What is known before it has its place in the chain."""
    return Event(
        seq=0,
        id=new_id(tx.now),
        occurred_us=(tx.now - EPOCH) // timedelta(microseconds=1),
        action=action,
        outcome=outcome,
        actor_kind=actor.kind,
        actor_id=actor.id,
        impersonator=actor.impersonator,
        target_kind=target[0],
        target_id=target[1],
        facts=facts,
        request_id=actor.request_id,
        sealed=None,
        prev_hash=b"",
        hash=b"",
    )


def _note(tx: WritingTx, noted: _Noted) -> None:
    assert isinstance(tx, TenantTx | PlatformTx)
    if not tx.events:
        tx.before_commit(lambda: _append(tx))
    tx.events.append(noted)
    tx.audited = True


async def _append(tx: ScopedTx) -> None:
    """Give the events of *tx* their places. Last before the commit, so that the head is locked for a moment only."""
    noted: list[_Noted] = tx.events
    await _write(tx, IN_TENANT if isinstance(tx, TenantTx) else ON_PLATFORM, noted)
    if isinstance(tx, TenantTx):
        seen = [_seen_from_outside(tx, each) for each in noted if _concerns_operators(each.event)]
        if seen:
            await _write(tx.on_platform(), ON_PLATFORM, seen)


def _concerns_operators(event: Event) -> bool:
    if event.action.startswith(ABOUT_OPERATORS):
        return True
    return event.actor_kind in OPERATORS or event.impersonator is not None


async def _write(tx: ScopedTx, statement: str, noted: Sequence[_Noted]) -> None:
    await tx.quickly(statement, [await _row(tx, each) for each in noted])


async def _row(tx: ScopedTx, noted: _Noted) -> list[object]:
    """What *noted* gives the statement, in its order."""
    sealed, chain = None, tx.tenant_id if isinstance(tx, TenantTx) else None
    if noted.personal is not None:
        sealed = await _sealed(tx, noted.event, noted.personal)
    event = msgspec.structs.replace(noted.event, sealed=sealed)
    facts = msgspec.json.encode(event.facts).decode()
    given = [facts if name == "facts" else getattr(event, name) for name in GIVEN]
    return [*given, *around_seq(chain, event), START, *([] if chain is None else [chain])]


async def _sealed(tx: ScopedTx, event: Event, personal: Personal) -> bytes:
    behind = event.impersonator or event.actor_id
    subject = behind if behind.startswith("acc_") else ""
    return await keys.seal(tx, "audit-personal", msgspec.json.encode(personal), place(event.id), subject=subject)


def place(event_id: UUID) -> Context:
    """Where the personal part of an event is sealed for."""
    return Context("audit_events", str(event_id))


def _seen_from_outside(tx: TenantTx, noted: _Noted) -> _Noted:
    """Without the tenant's own words: the platform's chain stays as it is when the tenant is purged."""
    facts = {name: value for name, value in noted.event.facts.items() if name not in noted.own}
    facts["tenant"] = text_id("ten", tx.tenant_id)
    event = msgspec.structs.replace(noted.event, id=new_id(tx.now), facts=facts)
    return _Noted(event, noted.personal)
