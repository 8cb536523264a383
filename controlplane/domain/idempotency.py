"""Answers kept under the key that a caller gave its request, so that sending it again does nothing twice.

A record is written in the transaction of what it answers: there is never one without the other. Nothing is kept of
what was refused: nothing was done, and asking again is right.
"""

from datetime import timedelta
from typing import Final

from msgspec import Struct
from msgspec.structs import asdict

from controlplane.db import schema as t
from controlplane.db.database import Database, PlatformTx, TenantTx, WritingTx
from controlplane.kit.ids import TenantId
from controlplane.kit.problems import Refusal

LIFETIME: Final = timedelta(hours=24)
RETRY_AFTER_S: Final = 1


class Claim(Struct, frozen=True, kw_only=True):
    """Which request this is. Keys of one caller, or for one operation, are nothing to another."""

    principal: str
    """Kind and id: ``api-key key_…``."""
    operation: str
    """Method and route: ``POST /v1/tenants/{tenant}/api-keys``."""
    key: str
    fingerprint: bytes
    """SHA-256 of what was asked for: 32 bytes."""


class Answer(Struct, frozen=True, kw_only=True):
    """What was answered, without any secret that was in it."""

    status: int
    headers: dict[str, str]
    body: bytes


class KeyReused(Refusal):
    """The key has been used for another request of this kind."""

    code, status, title = "idempotency-key-reused", 422, "This Idempotency-Key belongs to another request"
    hint = "Send exactly the request that had the key, or make a new key for a new request."


class InProgress(Refusal):
    code, status, title = "idempotency-in-progress", 409, "A request with this Idempotency-Key is being worked on"
    hint = "Ask again in a moment with the same key: the answer will be that of the first request."

    def headers(self) -> dict[str, str]:
        return {"Retry-After": str(RETRY_AFTER_S)}


async def earlier(tx: WritingTx, claim: Claim) -> Answer | None:
    """The answer that the request of *claim* has had already; None: it is new, and *tx* alone works on it.

    Raises:
        InProgress: If another transaction works on it just now.
        KeyReused: If the key was given to another request.
    """
    if not await tx.try_alone(f"idempotency {_place(tx)} {claim.principal} {claim.operation} {claim.key}"):
        raise InProgress
    found = await _find(tx, claim)
    if found is None:
        return None
    if found.fingerprint != claim.fingerprint:
        raise KeyReused
    return Answer(status=found.status, headers=found.headers, body=found.body)


async def keep(tx: WritingTx, claim: Claim, answer: Answer) -> None:
    """Have whoever sends the request of *claim* again within :data:`LIFETIME` get *answer*."""
    kept = {**asdict(answer), "created_at": tx.now, "expires_at": tx.now + LIFETIME, "fingerprint": claim.fingerprint}
    named = {"principal": claim.principal, "operation": claim.operation, "key": claim.key}
    if isinstance(tx, TenantTx):
        adding, where = tx.insert(t.idempotency_records), ["tenant_id", *named]
    else:
        assert isinstance(tx, PlatformTx)
        adding, where = tx.insert(t.platform_idempotency_records), [*named]
    await tx.run(adding.values(**named, **kept).on_conflict_do_update(index_elements=where, set_=kept))


async def forget_expired(db: Database) -> int:
    """How many records were past their time. Looks across tenants, works inside one at a time."""
    async with db.operator() as across:
        records = t.idempotency_records
        past = across.select(records).where(records.c.expires_at <= across.now).distinct()
        tenants = {row.tenant_id for row in await across.all(_Owned, past)}
    forgotten = 0
    for tenant_id in sorted(tenants):
        async with db.tenant(tenant_id) as tx:
            forgotten += await tx.run(tx.delete(records).where(records.c.expires_at <= tx.now))
    async with db.platform() as platform:
        own = t.platform_idempotency_records
        return forgotten + await platform.run(platform.delete(own).where(own.c.expires_at <= platform.now))


class _Kept(Answer, frozen=True, kw_only=True):
    fingerprint: bytes


class _Owned(Struct, frozen=True):
    tenant_id: TenantId


def _place(tx: WritingTx) -> str:
    return str(tx.tenant_id) if isinstance(tx, TenantTx) else "platform"


async def _find(tx: WritingTx, claim: Claim) -> _Kept | None:
    if isinstance(tx, TenantTx):
        table = t.idempotency_records
        wanted = tx.select(table)
    else:
        assert isinstance(tx, PlatformTx)
        table = t.platform_idempotency_records
        wanted = tx.select(table)
    held = table.c
    same = (held.principal == claim.principal) & (held.operation == claim.operation) & (held.key == claim.key)
    return await tx.first(_Kept, wanted.where(same, held.expires_at > tx.now))
