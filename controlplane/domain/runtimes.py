"""Runtimes: joining, proving who they are, being told to go."""

import base64
import secrets
from collections.abc import Iterator
from datetime import datetime
from typing import Literal, TypeAlias

import msgspec
from msgspec import Struct
from sqlalchemy import text

from controlplane.db import schema as t
from controlplane.db.database import TenantTx
from controlplane.domain import audit, quotas, tenants
from controlplane.domain.audit import Actor
from controlplane.kit import hpke
from controlplane.kit.ids import ProjectId, RuntimeId, new_id, text_id
from controlplane.kit.problems import NotFound, Refusal
from runtime_agent.wire.join import Enroll
from runtime_agent.wire.leases import kid_of

State: TypeAlias = Literal["connected", "lagging", "silent", "draining", "locked", "revoked"]

NUMBERED = 5
"""Namesakes that get a number; a larger fleet of one name gets random endings."""

HEARTBEAT_MS = 30_000


class Revoked(Refusal):
    """The runtime has been told to go. It keeps its outbox."""

    code, status, title = "revoked", 403, "This runtime has been revoked"
    hint = "Nothing is lost: the agent keeps its outbox. To let it in again, join with a new token."


class RuntimeGone(Refusal):
    code, status, title = "runtime-gone", 409, "This runtime has been revoked or has left"
    hint = "It does not come back; let it join anew with a join token."


class SealingKeyInvalid(Refusal):
    code, status, title = "sealing-key-invalid", 400, "Nothing can be sealed to this key"
    hint = "Suite 1 takes 32 bytes of X25519, suite 2 those of ML-KEM-768 and X25519 behind them; base64url."


class TenantSuspended(tenants.TenantSuspended):
    hint = "Nothing is lost: the agent keeps its outbox and asks again from time to time."


class TenantPendingDeletion(tenants.TenantPendingDeletion):
    hint = "The agent keeps its outbox and asks again from time to time, in case the deletion is taken back."


def not_served(tenant_status: str) -> Refusal:
    """What a runtime is told whose tenant is not active: to hold on, keep everything and ask again."""
    return TenantPendingDeletion() if tenant_status == "pending_deletion" else TenantSuspended()


class Identity(Struct, frozen=True, kw_only=True):
    """What a runtime must prove, and what it has proved so far."""

    id: RuntimeId
    project_id: ProjectId
    name: str
    generation: int
    join_count: int
    join_nonce: str
    join_calls: list[object]
    """As :mod:`controlplane.domain.join_calls` remembers them."""
    released: bool
    recoveries: int
    state: str
    locked_at: datetime | None
    revoked_at: datetime | None


class Runtime(Struct, frozen=True, kw_only=True):
    id: RuntimeId
    project_id: ProjectId
    name: str
    state: str
    state_reason: str
    state_since: datetime
    facts: dict[str, object]
    labels: dict[str, object]
    joined_at: datetime
    key_wanted_at: datetime | None
    leave_wanted_at: datetime | None
    compare_wanted_at: datetime | None
    locked_at: datetime | None
    revoked_at: datetime | None
    left_at: datetime | None


TURN = text("""
    UPDATE runtimes SET state = :state, state_reason = :reason, state_since = :since
    WHERE tenant_id = :tenant_id AND id = :id AND state <> :state
        AND revoked_at IS NULL AND left_at IS NULL AND locked_at IS NULL
""")


async def enroll(
    tx: TenantTx, actor: Actor, project_id: ProjectId, asked: Enroll, public_key: bytes, sealing_key: bytes
) -> Identity:
    """Admit a runtime under a free name made from the one it asks for.

    Raises:
        QuotaExceeded: If the tenant has as many runtimes as it may have.
    """
    await quotas.take(tx, "runtimes")
    newcomer = tx.insert(t.runtimes).values(
        id=new_id(tx.now),
        project_id=project_id,
        public_key=public_key,
        sealing_key=sealing_key,
        generation=1,
        join_count=1,
        join_nonce="",
        join_calls=[],
        facts=msgspec.to_builtins(asked.facts),
        labels=asked.labels,
        state="silent",
        state_reason="joined, not heard from yet",
        state_since=tx.now,
        joined_at=tx.now,
    )
    admitted: list[Identity] = []
    names = _names(asked.name or asked.facts.hostname or "runtime")
    while not admitted:  # the next name, until nobody has it
        untaken = newcomer.values(name=next(names)).on_conflict_do_nothing(index_elements=["tenant_id", "name"])
        admitted = await tx.take(Identity, untaken)
    [identity] = admitted
    await tx.run(tx.insert(t.routes).values(kind="runtime", key=identity.id.bytes))
    audit.record(tx, actor, "runtime.joined", ("runtime", text_id("rt", identity.id)))
    return identity


async def joined_with(tx: TenantTx, public_key: bytes) -> Identity | None:
    """The runtime that joined with this key: one whose answer got lost asks again."""
    mine = tx.select(t.runtimes).where(t.runtimes.c.public_key == public_key, t.runtimes.c.revoked_at.is_(None))
    return await tx.first(Identity, mine)


async def identify(tx: TenantTx, runtime_id: RuntimeId) -> Identity | None:
    """The runtime, its row locked: two token calls of one identity are answered one after the other."""
    mine = tx.select(t.runtimes).where(t.runtimes.c.id == runtime_id).with_for_update()
    return await tx.first(Identity, mine)


async def get(tx: TenantTx, runtime_id: RuntimeId) -> Runtime:
    """
    Raises:
        NotFound: If this tenant has no such runtime.
    """
    runtime = await tx.first(Runtime, tx.select(t.runtimes).where(t.runtimes.c.id == runtime_id))
    if runtime is None:
        raise NotFound
    return runtime


async def present(tx: TenantTx, runtime_id: RuntimeId) -> Runtime:
    """One that can still be asked for something.

    Raises:
        NotFound: If this tenant has no such runtime.
        RuntimeGone: If it has been revoked or has left.
    """
    runtime = await get(tx, runtime_id)
    if runtime.revoked_at is not None:
        raise RuntimeGone
    return runtime


async def revoke(tx: TenantTx, actor: Actor, runtime_id: RuntimeId) -> None:
    """End a runtime's access at its next call. What it has sent stays; doing it again changes nothing.

    Raises:
        NotFound: If this tenant has no such runtime.
    """
    runtime = await get(tx, runtime_id)
    if runtime.revoked_at is not None:
        return
    await tx.run(
        tx.update(t.runtimes)
        .where(t.runtimes.c.id == runtime_id)
        .values(
            revoked_at=tx.now,
            generation=t.runtimes.c.generation + 1,
            state="revoked",
            state_reason=f"revoked by {actor.kind} {actor.id}",
            state_since=tx.now,
        )
    )
    await quotas.release(tx, "runtimes")
    audit.record(tx, actor, "runtime.revoked", ("runtime", text_id("rt", runtime_id)))


async def leave(tx: TenantTx, runtime_id: RuntimeId, *, complete: bool) -> None:
    """A runtime says goodbye: its log is complete, or it is not."""
    name = text_id("rt", runtime_id)
    reason = "left; its log is complete" if complete else "left with records unsent"
    await tx.run(
        tx.update(t.runtimes)
        .where(t.runtimes.c.id == runtime_id)
        .values(
            left_at=tx.now,
            revoked_at=tx.now,
            generation=t.runtimes.c.generation + 1,
            state="revoked",
            state_reason=reason,
            state_since=tx.now,
        )
    )
    await quotas.release(tx, "runtimes")
    audit.record(tx, Actor(kind="runtime", id=name), "runtime.left", ("runtime", name), complete=complete)


def sealing_key(suite: int, text: str) -> bytes:
    """The public key of that suite in *text*, base64url.

    Raises:
        SealingKeyInvalid: If nothing can be sealed to it.
    """
    try:
        key = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
        hpke.Lock(suite, key).seal(b"", b"")
    except ValueError:
        raise SealingKeyInvalid from None
    return key


async def pin(tx: TenantTx, actor: Actor, runtime_id: RuntimeId, suite: int, public_key: bytes) -> None:
    """Have leases sealed to another key of the runtime from now on."""
    mine = tx.update(t.runtimes).where(t.runtimes.c.id == runtime_id)
    await tx.run(mine.values(sealing_suite=suite, sealing_key=public_key))
    kid = kid_of(suite, public_key)
    audit.record(tx, actor, "runtime.sealing-key-pinned", ("runtime", text_id("rt", runtime_id)), suite=suite, kid=kid)


async def turn(tx: TenantTx, runtime_id: RuntimeId, state: State, reason: str) -> None:
    """Note a change of state, with its reason and when it began. The same state again changes nothing."""
    await tx.load(TURN, id=runtime_id, state=state, reason=reason, since=tx.now)


def overlapping(previous: bytes | None, until: datetime | None, now: datetime) -> list[bytes]:
    """The key before, while it still counts."""
    return [previous] if previous is not None and until is not None and until > now else []


def _names(wanted: str) -> Iterator[str]:
    """*wanted*, then a few with a number, then ones that hardly anybody can have."""
    yield wanted
    for number in range(2, NUMBERED + 1):
        yield f"{wanted}-{number}"
    while True:
        yield f"{wanted}-{secrets.token_hex(4)}"
