"""API keys of a tenant: for its automation. Shown once, kept as a hash, revocable at once.

A key belongs to a person or a service account and can do what its owner can at that moment, or less.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from ipaddress import ip_network
from typing import Final
from uuid import UUID

from msgspec import Struct

from controlplane.db import schema as t
from controlplane.db.database import TenantTx
from controlplane.domain import audit, holdings, quotas, roles, service_accounts
from controlplane.domain.audit import Actor
from controlplane.domain.holdings import Holder
from controlplane.domain.permission_names import PERMISSIONS
from controlplane.kit import tokens
from controlplane.kit.ids import KeyId, ServiceAccountId, UserId, new_id, text_id
from controlplane.kit.problems import NotFound, Refusal

KIND: Final = "sk"
ROUTE: Final = "api-key"
"""Kind of the route from a key's hash to its tenant."""

LIFETIME: Final = timedelta(days=90)
SHORTEST, LONGEST = timedelta(minutes=1), timedelta(days=3660)
OVERLAP: Final = timedelta(days=1)
"""How long the old key still works after a rotation, unless said otherwise."""

LONGEST_OVERLAP: Final = timedelta(days=30)
DEFAULT_ROLE: Final = "admin"
MOST_NETWORKS: Final = 50


class Key(Struct, frozen=True, kw_only=True):
    """What may be shown of a key."""

    id: KeyId
    name: str
    user_id: UserId | None
    """Whose it is: a person's …"""
    service_account_id: ServiceAccountId | None
    """… or a service account's."""
    scopes: list[str] | None
    """What it is narrowed to; None: to nothing less than its owner has."""
    networks: list[str]
    """Where it may be used from, as CIDR; empty: from everywhere."""
    hint: str
    rotated_from: KeyId | None
    """The key that it replaces."""
    created_by: str
    created_at: datetime
    expires_at: datetime | None
    last_used_at: datetime | None
    last_used_from: str | None
    revoked_at: datetime | None

    @property
    def owner(self) -> Holder:
        if self.user_id is not None:
            return Holder("user", self.user_id)
        assert self.service_account_id is not None  # the table says so
        return Holder("service-account", self.service_account_id)


class Wanted(Struct, frozen=True, kw_only=True):
    """A key that is to be made."""

    name: str
    owner: Holder
    lifetime: timedelta = LIFETIME
    scopes: Sequence[str] | None = None
    """What it is narrowed to; None: to nothing less than its owner has."""
    networks: Sequence[str] = ()
    """Where it may be used from, as CIDR; none: from everywhere."""


class LifetimeInvalid(Refusal):
    code, status, title = "lifetime-invalid", 400, "A credential cannot last that long, or that briefly"
    hint = "Between a minute and ten years."


class ScopeUnfit(Refusal):
    code, status, title = "scope-unfit", 400, "A key cannot be narrowed to this"
    hint = "Scopes are permissions that the key's owner has: GET …/permissions."

    def __init__(self, scopes: Iterable[str]) -> None:
        self.scopes = sorted(scopes)
        super().__init__(f"not held by its owner: {', '.join(self.scopes)}")

    def facts(self) -> dict[str, object]:
        return {"scopes": self.scopes}


class NetworkUnfit(Refusal):
    code, status, title = "network-unfit", 400, "This is no network"
    hint = f"Write networks as 203.0.113.0/24 or 2001:db8::/32, at most {MOST_NETWORKS}."


class KeyEnded(Refusal):
    code, status, title = "api-key-ended", 409, "This key works no more"
    hint = "Make a new one."


class OverlapInvalid(Refusal):
    code, status, title = "overlap-invalid", 400, "The old key cannot stay that long"
    hint = f"At most {LONGEST_OVERLAP.days} days."


def check_lifetime(lifetime: timedelta) -> None:
    """
    Raises:
        LifetimeInvalid: Unless it is between a minute and ten years.
    """
    if not SHORTEST <= lifetime <= LONGEST:
        raise LifetimeInvalid


async def create(tx: TenantTx, actor: Actor, pepper: bytes, wanted: Wanted) -> tuple[Key, str]:
    """Make a key and return it with its secret. Whether *actor* may is the caller's question.

    Raises:
        NotFound: If there is no such owner.
        LifetimeInvalid, ScopeUnfit, NetworkUnfit: If there can be no such key.
        QuotaExceeded: If the tenant has as many keys as it may have.
    """
    check_lifetime(wanted.lifetime)
    await _check_owner(tx, wanted)
    await quotas.take(tx, "api_keys")
    owner = wanted.owner
    row = {
        "name": wanted.name,
        "user_id": owner.id if owner.kind == "user" else None,
        "service_account_id": owner.id if owner.kind == "service-account" else None,
        "scopes": None if wanted.scopes is None else sorted(set(wanted.scopes)),
        "networks": [_network(each) for each in wanted.networks],
        "expires_at": tx.now + wanted.lifetime,
    }
    key, secret = await _mint(tx, actor, pepper, row)
    audit.record(tx, actor, "api-key.created", _target(key.id), owner=_owner(owner), scopes=key.scopes)
    return key, secret


async def for_automation(
    tx: TenantTx, actor: Actor, pepper: bytes, name: str, *, role: str = DEFAULT_ROLE, lifetime: timedelta = LIFETIME
) -> tuple[Key, str]:
    """A key of a new service account that is called like it and holds *role*.

    Raises:
        UnknownRole, NotFound, LifetimeInvalid: If there is no such role, or no such lifetime.
    """
    account = await service_accounts.with_role(tx, actor, name, await roles.named(tx, role))
    owner = Holder("service-account", account.id)
    return await create(tx, actor, pepper, Wanted(name=name, owner=owner, lifetime=lifetime))


async def rotate(
    tx: TenantTx,
    actor: Actor,
    pepper: bytes,
    key: Key,
    *,
    overlap: timedelta = OVERLAP,
    lifetime: timedelta | None = None,
) -> tuple[Key, str]:
    """A new key that can do what *key* can, which stays for *overlap* at most, so that nothing stands still.

    Args:
        lifetime: Of the new one. None: as long as *key* works from its making to its end.

    Raises:
        KeyEnded: If *key* is revoked or has expired.
        OverlapInvalid, LifetimeInvalid: If one cannot be.
        QuotaExceeded: If the tenant has as many keys as it may have: the old one counts until it is revoked.
    """
    if not timedelta(0) <= overlap <= LONGEST_OVERLAP:
        raise OverlapInvalid
    if lifetime is None:
        lifetime = key.expires_at - key.created_at if key.expires_at is not None else LIFETIME
    check_lifetime(lifetime)
    its = t.api_keys.c
    ending = tx.update(t.api_keys).where(its.id == key.id, its.revoked_at.is_(None))
    if not await tx.take(_Ended, ending.values(expires_at=_earlier(key.expires_at, tx.now + overlap))):
        raise KeyEnded
    if key.expires_at is not None and key.expires_at <= tx.now:
        raise KeyEnded
    await quotas.take(tx, "api_keys")
    row = {
        "name": key.name,
        "user_id": key.user_id,
        "service_account_id": key.service_account_id,
        "scopes": key.scopes,
        "networks": key.networks,
        "rotated_from": key.id,
        "expires_at": tx.now + lifetime,
    }
    made, secret = await _mint(tx, actor, pepper, row)
    audit.record(tx, actor, "api-key.rotated", _target(key.id), to=text_id("key", made.id))
    return made, secret


async def listing(tx: TenantTx, *, after: UUID | None, limit: int, owner: Holder | None = None) -> list[Key]:
    """Newest first, from just before *after* on; revoked and expired ones included."""
    wanted = tx.select(t.api_keys)
    if owner is not None:
        theirs = t.api_keys.c.user_id if owner.kind == "user" else t.api_keys.c.service_account_id
        wanted = wanted.where(theirs == owner.id)
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
        await quotas.release(tx, "api_keys")
        audit.record(tx, actor, "api-key.revoked", _target(key.id))


async def revoke_all_of(tx: TenantTx, owner: Holder) -> int:
    """End the keys of somebody who may come back one day, for good, and return how many they were."""
    theirs = t.api_keys.c.user_id if owner.kind == "user" else t.api_keys.c.service_account_id
    working = tx.update(t.api_keys).where(theirs == owner.id, t.api_keys.c.revoked_at.is_(None))
    revoked = await tx.run(working.values(revoked_at=tx.now))
    await quotas.release(tx, "api_keys", revoked)
    return revoked


async def forget_all_of(tx: TenantTx, owner: Holder) -> int:
    """Delete the keys of somebody who is going, with the ways to them, and return how many they were."""
    theirs = t.api_keys.c.user_id if owner.kind == "user" else t.api_keys.c.service_account_id
    gone = await tx.take(_Gone, tx.delete(t.api_keys).where(theirs == owner.id))
    hashes = [key.key_hash for key in gone]
    await tx.run(tx.delete(t.routes).where(t.routes.c.kind == ROUTE, t.routes.c.key.in_(hashes)))
    await quotas.release(tx, "api_keys", sum(key.revoked_at is None for key in gone))
    return len(gone)


async def delete_service_account(tx: TenantTx, actor: Actor, account_id: UUID) -> None:
    """Delete a service account and its keys, which open nothing from the next call on.

    Raises:
        NotFound: If this tenant has no such one.
    """
    account = await service_accounts.get(tx, account_id)
    keys = await forget_all_of(tx, Holder("service-account", account.id))
    await tx.run(tx.delete(t.service_accounts).where(t.service_accounts.c.id == account.id))
    audit.record(tx, actor, "service-account.deleted", ("service-account", text_id("sa", account.id)), api_keys=keys)


class _Gone(Struct, frozen=True):
    key_hash: bytes
    revoked_at: datetime | None


class _Ended(Struct, frozen=True):
    id: KeyId


class _Owner(Struct, frozen=True):
    id: UUID


async def _check_owner(tx: TenantTx, wanted: Wanted) -> None:
    """That there is one, and that what the key is narrowed to is theirs."""
    table = t.users if wanted.owner.kind == "user" else t.service_accounts
    if await tx.first(_Owner, tx.select(table).where(table.c.id == wanted.owner.id)) is None:
        raise NotFound
    if len(wanted.networks) > MOST_NETWORKS:
        raise NetworkUnfit
    if wanted.scopes is not None:
        grants = await holdings.of(tx, wanted.owner)
        held = frozenset().union(*(grant.permissions for grant in grants)) & PERMISSIONS.keys()
        if unfit := frozenset(wanted.scopes) - held:
            raise ScopeUnfit(unfit)


async def _mint(tx: TenantTx, actor: Actor, pepper: bytes, row: Mapping[str, object]) -> tuple[Key, str]:
    secret = tokens.mint(KIND)
    key_hash = tokens.fingerprint(pepper, secret)
    minted = {
        "id": new_id(tx.now),
        "key_hash": key_hash,
        "hint": tokens.hint(secret),
        "created_by": actor.id,
        "created_at": tx.now,
    }
    [key] = await tx.take(Key, tx.insert(t.api_keys).values(**row, **minted))
    await tx.run(tx.insert(t.routes).values(kind=ROUTE, key=key_hash))
    return key, secret


def _network(given: str) -> str:
    try:
        return str(ip_network(given.strip()))
    except ValueError:
        raise NetworkUnfit(f"{given!r} is none") from None


def _earlier(expires_at: datetime | None, end: datetime) -> datetime:
    return end if expires_at is None else min(expires_at, end)


def _owner(owner: Holder) -> str:
    return text_id("usr" if owner.kind == "user" else "sa", owner.id)


def _target(key_id: KeyId) -> audit.Target:
    return "api-key", text_id("key", key_id)
