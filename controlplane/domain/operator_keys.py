"""Operator keys: for the automation of those who run the service, across tenants."""

from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from msgspec import Struct
from sqlalchemy import text

from controlplane.db import schema as t
from controlplane.db.database import PlatformTx
from controlplane.domain import audit
from controlplane.domain.api_keys import LIFETIME, check_lifetime
from controlplane.domain.audit import Actor
from controlplane.domain.credentials import KeyExpired, KeyRevoked, KeyUnknown
from controlplane.domain.key_uses import EVERY
from controlplane.domain.permissions import OperatorKey
from controlplane.kit import tokens
from controlplane.kit.ids import AccountId, KeyId, new_id, text_id
from controlplane.kit.problems import NotFound

KIND: Final = "op"


class Key(Struct, frozen=True, kw_only=True):
    """What may be shown of a key."""

    id: KeyId
    account_id: AccountId
    name: str
    hint: str
    created_at: datetime
    expires_at: datetime | None
    last_used_at: datetime | None
    revoked_at: datetime | None


async def create(
    tx: PlatformTx, actor: Actor, pepper: bytes, account_id: AccountId, name: str, *, lifetime: timedelta = LIFETIME
) -> tuple[Key, str]:
    """Make a key that can do what the operator *account_id* can, as long as they can, and return its secret.

    Raises:
        LifetimeInvalid: If there is no such lifetime.
    """
    check_lifetime(lifetime)
    secret = tokens.mint(KIND)
    [key] = await tx.take(
        Key,
        tx.insert(t.operator_keys).values(
            id=new_id(tx.now),
            account_id=account_id,
            name=name,
            key_hash=tokens.fingerprint(pepper, secret),
            hint=tokens.hint(secret),
            created_at=tx.now,
            expires_at=tx.now + lifetime,
        ),
    )
    audit.record(tx, actor, "operator-key.created", _target(key.id))
    return key, secret


async def principal_by(tx: PlatformTx, key_hash: bytes) -> OperatorKey:
    """Whose key this is; and note that it is in use.

    Raises:
        KeyUnknown, KeyExpired, KeyRevoked: If it opens nothing, or its owner operates the service no more.
    """
    found = await tx.query(_Found, WHOSE, key_hash=key_hash)
    if not found:
        raise KeyUnknown
    [key] = found
    if key.revoked_at is not None:
        raise KeyRevoked
    if key.expires_at is not None and key.expires_at <= tx.now:
        raise KeyExpired
    if key.last_used_at is None or tx.now - key.last_used_at >= EVERY:
        await tx.run(USED.bindparams(id=key.id, now=tx.now, before=tx.now - EVERY))
    return OperatorKey(id=key.id, account_id=key.account_id, operator_role=key.role)


async def listing(tx: PlatformTx, *, after: UUID | None, limit: int) -> list[Key]:
    """Newest first, from just before *after* on; revoked and expired ones included."""
    wanted = tx.select(t.operator_keys)
    if after is not None:
        wanted = wanted.where(t.operator_keys.c.id < after)
    return await tx.all(Key, wanted.order_by(t.operator_keys.c.id.desc()).limit(limit))


async def get(tx: PlatformTx, key_id: UUID) -> Key:
    """
    Raises:
        NotFound: If there is no such key.
    """
    key = await tx.first(Key, tx.select(t.operator_keys).where(t.operator_keys.c.id == key_id))
    if key is None:
        raise NotFound
    return key


async def revoke(tx: PlatformTx, actor: Actor, key_id: UUID) -> None:
    """End a key now. Doing it again changes nothing.

    Raises:
        NotFound: If there is no such key.
    """
    key = await get(tx, key_id)
    if key.revoked_at is None:
        await tx.run(tx.update(t.operator_keys).where(t.operator_keys.c.id == key_id).values(revoked_at=tx.now))
        audit.record(tx, actor, "operator-key.revoked", _target(key.id))


WHOSE = text("""
    SELECT k.id, k.account_id, o.role, k.expires_at, k.last_used_at, k.revoked_at
    FROM operator_keys k
    JOIN operators o ON o.account_id = k.account_id
    JOIN accounts a ON a.id = k.account_id AND a.status = 'active'
    WHERE k.key_hash = :key_hash
""")

USED = text("""
    UPDATE operator_keys SET last_used_at = :now WHERE id = :id AND (last_used_at IS NULL OR last_used_at <= :before)
""")


class _Found(Struct, frozen=True):
    id: KeyId
    account_id: AccountId
    role: str
    expires_at: datetime | None
    last_used_at: datetime | None
    revoked_at: datetime | None


def _target(key_id: KeyId) -> audit.Target:
    return "operator-key", text_id("key", key_id)
