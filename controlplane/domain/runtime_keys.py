"""Keys of runtimes that speak the protocol of the existing client: each opens it for one runtime, and nothing else."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

import msgspec
from msgspec import Struct

from controlplane.db import schema as t
from controlplane.db.database import TenantTx, inside
from controlplane.domain import audit, runtimes
from controlplane.domain.audit import Actor
from controlplane.domain.permissions import Runtime
from controlplane.domain.tenants import Tenant
from controlplane.kit import tokens
from controlplane.kit.ids import KeyId, RuntimeId, TenantId, new_id, text_id
from controlplane.kit.problems import NotFound, Refusal

KIND: Final = "rk"
ROUTE: Final = "runtime-key"
"""Kind of the route from a key's hash to its tenant."""

LIFETIME: Final = timedelta(days=90)
SHORTEST, LONGEST = timedelta(minutes=1), timedelta(days=3660)
OVERLAP: Final = timedelta(days=1)
"""How long the old key still works after a rotation, unless said otherwise."""

LONGEST_OVERLAP: Final = timedelta(days=30)
AT_ONCE: Final = 2
"""Keys of one runtime that work at the same time, so that one can replace the other."""


class RuntimeKey(Struct, frozen=True, kw_only=True):
    """What may be shown of a key."""

    id: KeyId
    runtime_id: RuntimeId
    hint: str
    rotated_from: KeyId | None
    created_by: str
    created_at: datetime
    expires_at: datetime
    last_used_at: datetime | None
    revoked_at: datetime | None

    def works(self, now: datetime) -> bool:
        return self.revoked_at is None and self.expires_at > now


class RuntimeKeyUnknown(Refusal):
    code, status, title = "runtime-key-unknown", 401, "This is not a key of a runtime of ours"
    hint = "Check that the whole key was copied. Keys of runtimes begin with ec_rk_."

    def headers(self) -> dict[str, str]:
        return {"WWW-Authenticate": "Bearer"}


class RuntimeKeyOver(RuntimeKeyUnknown):
    code, title = "runtime-key-over", "This key of a runtime has expired or was revoked"
    hint = "Make a new one at the runtime's page in the console."


class UnsealedReadsOff(Refusal):
    code, status, title = "unsealed-reads-off", 403, "This tenant gives no credentials that are not sealed"
    hint = "An owner decides that: PATCH …/settings, unsealed_reads. Runtimes with an agent lease instead."


class RuntimeKeyUnfit(Refusal):
    code, status, title = "runtime-key-unfit", 400, "A key of a runtime cannot be made like that"
    hint = "It lives between a minute and ten years; an overlap is 30 days at most."


class RuntimeKeyEnded(Refusal):
    code, status, title = "runtime-key-ended", 409, "This key works no more"
    hint = "Make a new one."


class TwoKeysWork(Refusal):
    code, status, title = "runtime-key-two-work", 409, "Two keys of this runtime work already"
    hint = "Revoke the older one first."


async def create(
    tx: TenantTx, actor: Actor, pepper: bytes, runtime_id: RuntimeId, *, lifetime: timedelta = LIFETIME
) -> tuple[RuntimeKey, str]:
    """Make a key of a runtime and return it with its secret.

    Raises:
        NotFound: If this tenant has no such runtime.
        Revoked: If that has been told to go.
        RuntimeKeyUnfit: If it would live too long or too briefly.
        TwoKeysWork: If two of it do already.
    """
    if (await runtimes.get(tx, runtime_id)).revoked_at is not None:
        raise runtimes.Revoked
    if len(await _working(tx, runtime_id)) >= AT_ONCE:
        raise TwoKeysWork
    key, secret = await _mint(tx, actor, pepper, runtime_id, lifetime, None)
    audit.record(tx, actor, "runtime-key.created", _target(key.id), runtime=text_id("rt", runtime_id))
    return key, secret


async def rotate(
    tx: TenantTx,
    actor: Actor,
    pepper: bytes,
    key_id: UUID,
    *,
    overlap: timedelta = OVERLAP,
    lifetime: timedelta = LIFETIME,
) -> tuple[RuntimeKey, str]:
    """A new key of the same runtime; the old one works for *overlap* at most.

    Raises:
        NotFound: If this tenant has no such key.
        RuntimeKeyEnded: If it works no more.
        TwoKeysWork, RuntimeKeyUnfit: As :func:`create`.
    """
    if not timedelta() <= overlap <= LONGEST_OVERLAP:
        raise RuntimeKeyUnfit
    old = await get(tx, key_id)
    working = await _working(tx, old.runtime_id)
    if old.id not in {each.id for each in working}:
        raise RuntimeKeyEnded
    if len(working) >= AT_ONCE:
        raise TwoKeysWork
    ending = tx.update(t.runtime_keys).where(t.runtime_keys.c.id == old.id)
    await tx.run(ending.values(expires_at=min(old.expires_at, tx.now + overlap)))
    made, secret = await _mint(tx, actor, pepper, old.runtime_id, lifetime, old.id)
    audit.record(tx, actor, "runtime-key.rotated", _target(old.id), to=text_id("key", made.id))
    return made, secret


async def listing(tx: TenantTx, runtime_id: RuntimeId, *, after: UUID | None = None, limit: int) -> list[RuntimeKey]:
    """Of one runtime, newest first, from just before *after* on; those that open nothing any more included.

    Raises:
        NotFound: If this tenant has no such runtime.
    """
    await runtimes.get(tx, runtime_id)
    wanted = tx.select(t.runtime_keys).where(t.runtime_keys.c.runtime_id == runtime_id)
    if after is not None:
        wanted = wanted.where(t.runtime_keys.c.id < after)
    return await tx.all(RuntimeKey, wanted.order_by(t.runtime_keys.c.id.desc()).limit(limit))


async def get(tx: TenantTx, key_id: UUID, runtime_id: UUID | None = None) -> RuntimeKey:
    """
    Args:
        runtime_id: Whose it has to be; None: any runtime's.

    Raises:
        NotFound: If this tenant has no such key.
    """
    key = await tx.first(RuntimeKey, tx.select(t.runtime_keys).where(t.runtime_keys.c.id == key_id))
    if key is None or runtime_id not in (None, key.runtime_id):
        raise NotFound
    return key


async def revoke(tx: TenantTx, actor: Actor, key_id: UUID) -> None:
    """It opens nothing from the next request on. Doing it again changes nothing.

    Raises:
        NotFound: If this tenant has no such key.
    """
    key = await get(tx, key_id)
    if key.revoked_at is None:
        await tx.run(tx.update(t.runtime_keys).where(t.runtime_keys.c.id == key_id).values(revoked_at=tx.now))
        audit.record(tx, actor, "runtime-key.revoked", _target(key.id), runtime=text_id("rt", key.runtime_id))


class Found(Struct, frozen=True, kw_only=True):
    """A key as it is kept, with what has become of its runtime and its tenant."""

    id: KeyId
    runtime_id: RuntimeId
    generation: int
    expires_at: datetime
    revoked_at: datetime | None
    tenant: str


WHOSE: Final = inside(
    "id, runtime_id, generation, expires_at, revoked_at, tenant",
    """
    SELECT k.id, k.runtime_id, r.generation, k.expires_at, coalesce(k.revoked_at, r.revoked_at) AS revoked_at,
        CAST(to_json(n) AS text) AS tenant
    FROM runtime_keys k
    JOIN runtimes r ON r.tenant_id = k.tenant_id AND r.id = k.runtime_id
    JOIN tenants n ON n.tenant_id = k.tenant_id
    WHERE k.tenant_id = entered.tenant_id AND k.key_hash = $2
    """,
)


def principal(found: Sequence[Found], tenant_id: TenantId, now: datetime, named: str) -> Runtime:
    """Whose key it is.

    Args:
        found: What :data:`WHOSE` says of the key's hash.
        named: The tenant that the caller takes itself to be in; empty: it does not say.

    Raises:
        RuntimeKeyUnknown, RuntimeKeyOver: If it opens nothing.
        TenantSuspended, TenantPendingDeletion, UnsealedReadsOff: If its tenant lets nobody in, or nobody like that.
    """
    if not found:
        raise RuntimeKeyUnknown
    [key] = found
    if key.revoked_at is not None or key.expires_at <= now:
        raise RuntimeKeyOver
    tenant = msgspec.json.decode(key.tenant, type=Tenant)
    if named and not tenant.is_named(named):
        raise RuntimeKeyUnknown("it is another tenant's than X-Tenant-ID says")
    if tenant.status != "active":
        raise runtimes.not_served(tenant.status)
    if not tenant.unsealed_reads:
        raise UnsealedReadsOff
    return Runtime(id=key.runtime_id, tenant_id=tenant_id, generation=key.generation)


async def _working(tx: TenantTx, runtime_id: RuntimeId) -> list[RuntimeKey]:
    """Keys of a runtime that open something, locked: two at a time do not become three."""
    its = t.runtime_keys.c
    await tx.first(runtimes.Runtime, tx.select(t.runtimes).where(t.runtimes.c.id == runtime_id).with_for_update())
    wanted = tx.select(t.runtime_keys).where(its.runtime_id == runtime_id, its.revoked_at.is_(None))
    return await tx.all(RuntimeKey, wanted.where(its.expires_at > tx.now).limit(AT_ONCE + 1))


async def _mint(
    tx: TenantTx, actor: Actor, pepper: bytes, runtime_id: RuntimeId, lifetime: timedelta, rotated_from: KeyId | None
) -> tuple[RuntimeKey, str]:
    if not SHORTEST <= lifetime <= LONGEST:
        raise RuntimeKeyUnfit
    secret = tokens.mint(KIND)
    key_hash = tokens.fingerprint(pepper, secret)
    values = {
        "id": KeyId(new_id(tx.now)),
        "runtime_id": runtime_id,
        "key_hash": key_hash,
        "hint": tokens.hint(secret),
        "rotated_from": rotated_from,
        "created_by": actor.id,
        "created_at": tx.now,
        "expires_at": tx.now + lifetime,
    }
    [key] = await tx.take(RuntimeKey, tx.insert(t.runtime_keys).values(**values))
    await tx.run(tx.insert(t.routes).values(kind=ROUTE, key=key_hash))
    return key, secret


def _target(key_id: KeyId) -> audit.Target:
    return "runtime-key", text_id("key", key_id)
