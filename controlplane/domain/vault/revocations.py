"""Revocations: what providers are still to be told, until they were or the deadline has passed.

The tokens wait in envelopes that are still those of their connection, and go as soon as it has ended, however it did.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final, Literal, TypeAlias
from uuid import UUID

from msgspec import Struct
from sqlalchemy import text

from controlplane.db import schema as t
from controlplane.db.database import TenantTx
from controlplane.domain import audit
from controlplane.domain.audit import Actor
from controlplane.domain.vault import connections, histories, sealed
from controlplane.kit.ids import ConnectionId, OAuthAppId, new_id
from controlplane.kit.secret import Secret

State: TypeAlias = Literal["pending", "done", "failed", "unsupported"]

ACTOR: Final = Actor(kind="chore", id="revoke-at-providers")

DELAYS_S: Final = (60, 300, 1_800, 7_200, 21_600)
"""Between tries; after the last it has failed, and the person has to end the grant at the provider."""

HELD_FOR: Final = timedelta(minutes=5)
"""How long whoever has claimed one may take."""

QUEUE: Final = text("""
    INSERT INTO connection_revocations (tenant_id, id, connection_id, provider, endpoints, cred_version, access_blob,
        refresh_blob, reason, state, attempts, next_at, last_error, created_at, app_id, platform_app_id)
    SELECT tenant_id, :id, id, provider, endpoints, cred_version, access_blob, refresh_blob, :reason, 'pending', 0,
        CAST(:now AS timestamptz), '', CAST(:now AS timestamptz), app_id, platform_app_id
    FROM connections
    WHERE tenant_id = :tenant_id AND id = :connection_id AND (access_blob IS NOT NULL OR refresh_blob IS NOT NULL)
    RETURNING id
""")

CLAIM: Final = text("""
    UPDATE connection_revocations r SET attempts = r.attempts + 1, next_at = :until
    FROM (SELECT id FROM connection_revocations
          WHERE tenant_id = :tenant_id AND state = 'pending' AND next_at <= :now
          ORDER BY next_at LIMIT :most FOR UPDATE SKIP LOCKED) due
    WHERE r.tenant_id = :tenant_id AND r.id = due.id
    RETURNING r.id, r.connection_id, r.provider, r.endpoints, r.cred_version, r.access_blob, r.refresh_blob,
        r.app_id, r.platform_app_id, r.attempts
""")


class Revocation(Struct, frozen=True, kw_only=True):
    """How far one has got."""

    state: State
    attempts: int
    last_error: str
    created_at: datetime
    ended_at: datetime | None


class Parcel(Struct, frozen=True, kw_only=True):
    """One to be carried out, secrets included."""

    id: UUID
    connection_id: ConnectionId
    provider: str
    endpoints: Mapping[str, Any]
    access: Secret | None
    refresh: Secret | None
    app_id: OAuthAppId | None
    platform_app_id: OAuthAppId | None
    attempt: int
    facts: Mapping[str, Any]


async def queue(tx: TenantTx, connection_id: UUID, reason: str) -> bool:
    """Have the provider told that what this connection holds has ended; whether it holds anything."""
    values = {"id": new_id(tx.now), "connection_id": connection_id, "reason": reason, "now": tx.now}
    return bool(await tx.query(_Queued, QUEUE, tenant_id=tx.tenant_id, **values))


async def of_connection(tx: TenantTx, connection_id: UUID) -> Revocation | None:
    """How far the newest one of a connection has got."""
    its = t.connection_revocations.c
    wanted = tx.select(t.connection_revocations).where(its.connection_id == connection_id)
    return await tx.first(Revocation, wanted.order_by(its.id.desc()))


async def claim(tx: TenantTx, most: int) -> list[Parcel]:
    """What is due, to be carried out by the caller and nobody else for :data:`HELD_FOR`."""
    values = {"now": tx.now, "until": tx.now + HELD_FOR, "most": most}
    taken: Sequence[_Taken] = await tx.query(_Taken, CLAIM, tenant_id=tx.tenant_id, **values)
    return [await _parcel(tx, each) for each in taken]


async def ended(tx: TenantTx, parcel: Parcel, state: State, outcome: str) -> None:
    """Write down how it ended, and destroy what was kept for it.

    Args:
        outcome: ``revoked``, ``already``, ``impossible``, or the code of the failure.
    """
    mine = tx.update(t.connection_revocations).where(
        t.connection_revocations.c.id == parcel.id, t.connection_revocations.c.state == "pending"
    )
    gone = {"access_blob": None, "refresh_blob": None, "next_at": None, "ended_at": tx.now}
    said = "" if state != "failed" else outcome
    if not await tx.run(mine.values(state=state, last_error=said, **gone)):
        return
    connection = await connections.locked(tx, parcel.connection_id)
    if connection.state == "revoking":
        await connections.write(tx, connection.id, {"state": "deleted", "state_at": tx.now})
    facts: dict[str, Any] = {"outcome": outcome}
    audit.record(tx, ACTOR, "connection.revoked", connections.target(connection.id), provider=parcel.provider, **facts)
    await histories.note(tx, ACTOR, connection.id, "connection.revoked", connection.cred_version, **facts)


async def postponed(tx: TenantTx, parcel: Parcel, why: str, roll: float, wait_s: int | None = None) -> None:
    """Try again later, or give up after the last try.

    Args:
        why: A code, nothing that a stranger wrote.
        roll: A random number in [0, 1): what failed together does not come back together.
        wait_s: What the provider asked for.
    """
    if parcel.attempt > len(DELAYS_S):
        await ended(tx, parcel, "failed", why)
        return
    delay_s = max(DELAYS_S[parcel.attempt - 1] * (0.9 + 0.2 * roll), wait_s or 0)
    mine = tx.update(t.connection_revocations).where(t.connection_revocations.c.id == parcel.id)
    await tx.run(mine.values(next_at=tx.now + timedelta(seconds=delay_s), last_error=why))


class _Queued(Struct, frozen=True):
    id: UUID


class _Taken(Struct, frozen=True, kw_only=True):
    id: UUID
    connection_id: ConnectionId
    provider: str
    endpoints: dict[str, Any]
    cred_version: int
    access_blob: bytes | None
    refresh_blob: bytes | None
    app_id: OAuthAppId | None
    platform_app_id: OAuthAppId | None
    attempts: int


async def _parcel(tx: TenantTx, taken: _Taken) -> Parcel:
    access = refresh = None
    if taken.access_blob is not None:
        access = (await sealed.open_access(tx, taken.connection_id, taken.cred_version, taken.access_blob)).token
    if taken.refresh_blob is not None:
        refresh = await sealed.open_refresh(tx, taken.connection_id, taken.cred_version, taken.refresh_blob)
    return Parcel(
        id=taken.id,
        connection_id=taken.connection_id,
        provider=taken.provider,
        endpoints=taken.endpoints,
        access=access,
        refresh=refresh,
        app_id=taken.app_id,
        platform_app_id=taken.platform_app_id,
        attempt=taken.attempts,
        facts=(await connections.get(tx, taken.connection_id)).facts,
    )
