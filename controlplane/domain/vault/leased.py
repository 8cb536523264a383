"""What is out: leases that were handed out, what becomes of them, and taking them back."""

from datetime import datetime, timedelta
from typing import Any, Final, Literal, TypeAlias
from uuid import UUID

from msgspec import Struct
from sqlalchemy import ColumnElement, func, text

from controlplane.db import schema as t
from controlplane.db.database import TenantTx
from controlplane.domain import audit
from controlplane.domain.audit import Actor
from controlplane.domain.vault.turned_down import LeaseOver, LeaseRevoked
from controlplane.kit.ids import ConnectionId, LeaseId, RuntimeId, text_id
from controlplane.kit.problems import NotFound
from runtime_agent.wire.leases import Notice

State: TypeAlias = Literal["active", "revoked", "ended"]

MOST_NOTICES: Final = 200
"""In one answer; the rest comes with the next."""

NOTICES: Final = text("""
    SELECT l.id, l.revoked_at IS NOT NULL OR c.state NOT IN ('active', 'refresh_failing') AS revoked, l.dies_at
    FROM leases l JOIN connections c ON c.tenant_id = l.tenant_id AND c.id = l.connection_id
    WHERE l.tenant_id = :tenant_id AND l.runtime_id = :runtime_id AND l.expires_at > :now
      AND NOT l.unsealed
      AND (l.revoked_at IS NOT NULL OR c.cred_version > l.cred_version
           OR c.state NOT IN ('active', 'refresh_failing'))
    ORDER BY l.expires_at LIMIT :most
""")


class Leased(Struct, frozen=True, kw_only=True):
    id: LeaseId
    runtime_id: RuntimeId
    connection_id: UUID
    agent: str
    run: str
    tool: str
    purpose: str
    cred_version: int
    policy_id: UUID
    issued_at: datetime
    renewed_at: datetime | None
    expires_at: datetime
    dies_at: datetime | None
    """When its token dies, because the next one is there and kills it; None: the provider lets it live."""
    revoked_at: datetime | None
    revoked_by: str
    unsealed: bool
    """It was given to a runtime that cannot sign, as it is."""

    def state(self, now: datetime) -> State:
        """A revoked one stays so; what it held lives on at the provider until it expires there."""
        if self.revoked_at is not None:
            return "revoked"
        ends_at = self.expires_at if self.dies_at is None else min(self.expires_at, self.dies_at)
        return "active" if ends_at > now else "ended"


class Which(Struct, frozen=True, kw_only=True):
    """Leases that have all of this in common; nothing said: all of the tenant."""

    runtime_id: UUID | None = None
    connection_id: UUID | None = None
    agent: str | None = None
    run: str | None = None

    def conditions(self) -> list[ColumnElement[bool]]:
        its = t.leases.c
        given = (
            (its.runtime_id, self.runtime_id),
            (its.connection_id, self.connection_id),
            (its.agent, self.agent),
            (its.run, self.run),
        )
        return [column == value for column, value in given if value is not None]

    def facts(self) -> dict[str, Any]:
        """For the audit log."""
        found = {
            "runtime": text_id("rt", self.runtime_id) if self.runtime_id else None,
            "connection": text_id("con", self.connection_id) if self.connection_id else None,
            "agent": self.agent,
            "run": self.run,
        }
        return {name: value for name, value in found.items() if value is not None}


ALL: Final = Which()


async def listing(
    tx: TenantTx, which: Which = ALL, *, state: State | None = None, after: UUID | None = None, limit: int
) -> list[Leased]:
    """Newest first, from just before *after* on."""
    its = t.leases.c
    wanted = tx.select(t.leases).where(*which.conditions())
    if state == "revoked":
        wanted = wanted.where(its.revoked_at.is_not(None))
    elif state is not None:
        over = func.least(its.expires_at, its.dies_at) <= tx.now
        wanted = wanted.where(its.revoked_at.is_(None), over if state == "ended" else ~over)
    if after is not None:
        wanted = wanted.where(its.id < after)
    return await tx.all(Leased, wanted.order_by(its.id.desc()).limit(limit))


async def alive(tx: TenantTx, which: Which) -> int:
    """How many of these :func:`revoke_all` would end."""
    living = (t.leases.c.revoked_at.is_(None), t.leases.c.expires_at > tx.now)
    counted = tx.select(t.leases).with_only_columns(func.count()).where(*which.conditions(), *living)
    return int(await tx.scalar(counted))


async def get(tx: TenantTx, lease_id: UUID) -> Leased:
    """
    Raises:
        NotFound: If this tenant has no such lease.
    """
    found = await tx.first(Leased, tx.select(t.leases).where(t.leases.c.id == lease_id))
    if found is None:
        raise NotFound
    return found


async def renewable(tx: TenantTx, runtime_id: UUID, lease_id: UUID) -> Leased:
    """A runtime's own lease, if it can be renewed.

    Raises:
        NotFound: If it has no such lease.
        LeaseRevoked, LeaseOver: If it has ended.
    """
    found = await get(tx, lease_id)
    if found.runtime_id != runtime_id:
        raise NotFound
    if found.revoked_at is not None:
        raise LeaseRevoked
    if found.expires_at <= tx.now:
        raise LeaseOver
    return found


async def revoke(tx: TenantTx, actor: Actor, lease_id: UUID) -> Leased:
    """End a lease: it is not renewed, and its runtime is told. Doing it again changes nothing.

    Raises:
        NotFound: If this tenant has no such lease.
    """
    before = await get(tx, lease_id)
    if before.revoked_at is not None:
        return before
    await _revoke(tx, actor, t.leases.c.id == lease_id)
    audit.record(tx, actor, "lease.revoked", ("lease", text_id("lea", lease_id)))
    return await get(tx, lease_id)


async def revoke_all(tx: TenantTx, actor: Actor, which: Which) -> int:
    """End every lease of these that has not ended, and return how many that were."""
    ended = await _revoke(tx, actor, *which.conditions(), t.leases.c.expires_at > tx.now)
    if ended:
        target = ("tenant", text_id("ten", tx.tenant_id))
        audit.record(tx, actor, "leases.revoked", target, leases=ended, **which.facts())
    return ended


async def notices(tx: TenantTx, runtime_id: RuntimeId) -> list[Notice]:
    """What a runtime has to hear of leases that it holds."""
    rows = await tx.query(
        _Noticed, NOTICES, tenant_id=tx.tenant_id, runtime_id=runtime_id, now=tx.now, most=MOST_NOTICES
    )
    return [_notice(row) for row in rows]


async def superseded(tx: TenantTx, connection_id: ConnectionId, version: int, dies_in: timedelta) -> None:
    """Write down that what is out of a version, or of one before, dies so long from now. Their runtimes are told."""
    its = t.leases.c
    out = tx.update(t.leases).where(its.connection_id == connection_id, its.cred_version <= version)
    living = out.where(its.revoked_at.is_(None), func.least(its.expires_at, its.dies_at) > tx.now + dies_in)
    await tx.run(living.values(dies_at=tx.now + dies_in))


async def _revoke(tx: TenantTx, actor: Actor, *conditions: ColumnElement[bool]) -> int:
    mine = tx.update(t.leases).where(t.leases.c.revoked_at.is_(None), *conditions)
    return await tx.run(mine.values(revoked_at=tx.now, revoked_by=actor.id))


class _Noticed(Struct, frozen=True):
    id: LeaseId
    revoked: bool
    dies_at: datetime | None


def _notice(row: _Noticed) -> Notice:
    state = "revoked" if row.revoked else "superseded"
    return Notice(lease=text_id("lea", row.id), state=state, dies_at=row.dies_at)
