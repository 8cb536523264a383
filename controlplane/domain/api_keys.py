"""API keys of a tenant: for its automation. Shown once, kept as a hash, revocable at once."""

from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from msgspec import Struct
from sqlalchemy import text

from controlplane.db import schema as t
from controlplane.db.database import Database, TenantTx, inside
from controlplane.domain import audit
from controlplane.domain.audit import Actor
from controlplane.domain.permissions import ROLES, ApiKey, UnknownRole
from controlplane.domain.tenants import Tenant
from controlplane.kit import tokens
from controlplane.kit.ids import KeyId, TenantId, new_id, text_id
from controlplane.kit.problems import NotFound, Refusal

KIND: Final = "sk"
ROUTE: Final = "api-key"
"""Kind of the route from a key's hash to its tenant."""

LIFETIME: Final = timedelta(days=90)
SHORTEST, LONGEST = timedelta(minutes=1), timedelta(days=3660)
DEFAULT_ROLE: Final = "admin"
USED_EVERY: Final = timedelta(minutes=1)
"""How often it is written down that a key is in use: a write per request would queue up behind one row."""


class Key(Struct, frozen=True, kw_only=True):
    """What may be shown of a key."""

    id: KeyId
    name: str
    role: str
    hint: str
    created_by: str
    created_at: datetime
    expires_at: datetime | None
    last_used_at: datetime | None
    revoked_at: datetime | None


class KeyUnknown(Refusal):
    code, status, title = "api-key-unknown", 401, "This is not a key of ours"
    hint = "Check that the whole key was copied. Tenant API keys begin with ec_sk_."

    def headers(self) -> dict[str, str]:
        return {"WWW-Authenticate": "Bearer"}


class KeyExpired(KeyUnknown):
    code, title = "api-key-expired", "This key has expired"
    hint = "Make a new one."


class KeyRevoked(KeyUnknown):
    code, title = "api-key-revoked", "This key has been revoked"
    hint = "Make a new one, if you still may."


class LifetimeInvalid(Refusal):
    code, status, title = "lifetime-invalid", 400, "A credential cannot last that long, or that briefly"
    hint = "Between a minute and ten years."


def check_lifetime(lifetime: timedelta) -> None:
    """
    Raises:
        LifetimeInvalid: Unless it is between a minute and ten years.
    """
    if not SHORTEST <= lifetime <= LONGEST:
        raise LifetimeInvalid


async def create(
    tx: TenantTx, actor: Actor, pepper: bytes, name: str, *, role: str = DEFAULT_ROLE, lifetime: timedelta = LIFETIME
) -> tuple[Key, str]:
    """Make a key and return it with its secret. Whether *actor* may hand on *role* is the caller's question.

    Raises:
        UnknownRole, LifetimeInvalid: If there is no such role, or no such lifetime.
    """
    if role not in ROLES:
        raise UnknownRole(role)
    check_lifetime(lifetime)
    secret = tokens.mint(KIND)
    key_hash = tokens.fingerprint(pepper, secret)
    [key] = await tx.take(
        Key,
        tx.insert(t.api_keys).values(
            id=new_id(tx.now),
            name=name,
            role=role,
            key_hash=key_hash,
            hint=tokens.hint(secret),
            created_by=actor.id,
            created_at=tx.now,
            expires_at=tx.now + lifetime,
        ),
    )
    await tx.run(tx.insert(t.routes).values(kind=ROUTE, key=key_hash))
    audit.record(tx, actor, "api-key.created", _target(key.id), role=role)
    return key, secret


async def principal_by(db: Database, tenant_id: TenantId, key_hash: bytes) -> ApiKey:
    """Whose key this is; and note that it is in use.

    Raises:
        KeyUnknown, KeyExpired, KeyRevoked: If it opens nothing.
    """
    now = db.clock()
    found = await db.glance(tenant_id, _Found, WHOSE, key_hash=key_hash)
    if not found:
        raise KeyUnknown
    [key] = found
    if key.revoked_at is not None:
        raise KeyRevoked
    if key.expires_at is not None and key.expires_at <= now:
        raise KeyExpired
    if key.last_used_at is None or now - key.last_used_at >= USED_EVERY:
        async with db.tenant(tenant_id) as tx:
            await tx.load(USED, id=key.id, now=now, before=now - USED_EVERY)
    return ApiKey(id=key.id, role=key.role, tenant=key.tenant(tenant_id))


async def listing(tx: TenantTx, *, after: UUID | None, limit: int) -> list[Key]:
    """Newest first, from just before *after* on; revoked and expired ones included."""
    wanted = tx.select(t.api_keys)
    if after is not None:
        wanted = wanted.where(t.api_keys.c.id < after)
    return await tx.all(Key, wanted.order_by(t.api_keys.c.id.desc()).limit(limit))


async def get(tx: TenantTx, key_id: UUID) -> Key:
    """
    Raises:
        NotFound: If this tenant has no such key.
    """
    key = await tx.first(Key, tx.select(t.api_keys).where(t.api_keys.c.id == key_id))
    if key is None:
        raise NotFound
    return key


async def revoke(tx: TenantTx, actor: Actor, key_id: UUID) -> None:
    """End a key now. Doing it again changes nothing.

    Raises:
        NotFound: If this tenant has no such key.
    """
    key = await get(tx, key_id)
    if key.revoked_at is None:
        await tx.run(tx.update(t.api_keys).where(t.api_keys.c.id == key_id).values(revoked_at=tx.now))
        audit.record(tx, actor, "api-key.revoked", _target(key.id))


class _Found(Struct, frozen=True):
    id: KeyId
    role: str
    expires_at: datetime | None
    last_used_at: datetime | None
    revoked_at: datetime | None
    slug: str
    name: str
    status: str
    status_reason: str
    created_at: datetime

    def tenant(self, tenant_id: TenantId) -> Tenant:
        return Tenant(
            tenant_id=tenant_id,
            slug=self.slug,
            name=self.name,
            status=self.status,
            status_reason=self.status_reason,
            created_at=self.created_at,
        )


WHOSE: Final = inside(
    ", ".join(_Found.__struct_fields__),
    """
    SELECT k.id, k.role, k.expires_at, k.last_used_at, k.revoked_at, t.slug, t.name, t.status, t.status_reason,
        t.created_at
    FROM api_keys k JOIN tenants t ON t.tenant_id = k.tenant_id
    WHERE k.tenant_id = entered.tenant_id AND k.key_hash = :key_hash
    """,
)
"""For :meth:`Database.glance`: asked at every request, so it is one statement and no transaction."""

USED = text("""
    UPDATE api_keys SET last_used_at = :now
    WHERE tenant_id = :tenant_id AND id = :id AND (last_used_at IS NULL OR last_used_at <= :before)
""")


def _target(key_id: KeyId) -> audit.Target:
    return "api-key", text_id("key", key_id)
