"""The people of a tenant as its administrators see them: finding, deactivating, removing."""

from collections.abc import Iterable
from typing import Final, Literal, TypeAlias
from uuid import UUID

from msgspec import Struct
from sqlalchemy import func, or_

from controlplane.db import schema as t
from controlplane.db.database import TenantTx
from controlplane.domain import api_keys, audit, quotas
from controlplane.domain.audit import Actor
from controlplane.domain.holdings import Holder, an_owner_stays
from controlplane.domain.people import ManagedElsewhere, User, normalized, user
from controlplane.kit.ids import AccountId, UserId, text_id
from controlplane.kit.problems import NotFound

Status: TypeAlias = Literal["active", "disabled"]

LAST_CHARACTER: Final = "\U0010ffff"


class Found(Struct, frozen=True, kw_only=True):
    """What people are looked for by; None does not narrow."""

    status: Status | None = None
    q: str | None = None
    """The start of the address or the name, in any case."""


async def by_id(tx: TenantTx, ids: list[UserId]) -> dict[UserId, User]:
    """Those of *ids* who are still there."""
    found = await tx.all(User, tx.select(t.users).where(t.users.c.id.in_(ids)))
    return {user.id: user for user in found}


async def by_account(tx: TenantTx, ids: Iterable[UUID]) -> dict[AccountId, User]:
    """Those who have come in with one of these accounts."""
    found = await tx.all(User, tx.select(t.users).where(t.users.c.account_id.in_(list(ids))))
    return {user.account_id: user for user in found if user.account_id is not None}


async def suggested(tx: TenantTx, most: int) -> list[User]:
    """The first by name who have come in and are active."""
    there = tx.select(t.users).where(t.users.c.status == "active", t.users.c.account_id.is_not(None))
    return await tx.all(User, there.order_by(t.users.c.name_norm, t.users.c.id).limit(most))


async def listing(tx: TenantTx, found: Found, *, after: UUID | None, limit: int) -> list[User]:
    """Newest first, from just before *after* on."""
    its = t.users.c
    wanted = tx.select(t.users)
    if found.status is not None:
        wanted = wanted.where(its.status == found.status)
    if found.q is not None:
        address, name = normalized(found.q), func.lower(found.q.strip())
        wanted = wanted.where(
            or_(
                (its.email_norm >= address) & (its.email_norm < address + LAST_CHARACTER),
                (its.name_norm >= name) & (its.name_norm < name.concat(LAST_CHARACTER)),
            )
        )
    if after is not None:
        wanted = wanted.where(its.id < after)
    return await tx.all(User, wanted.order_by(its.id.desc()).limit(limit))


async def by_email(tx: TenantTx, email: str) -> User | None:
    """Whoever in the tenant has this address."""
    return await tx.first(User, tx.select(t.users).where(t.users.c.email_norm == normalized(email)))


async def set_status(tx: TenantTx, actor: Actor, user_id: UUID, status: Status) -> User:
    """Deactivate somebody, or let them in again.

    From the next call on a deactivated person's sessions do not reach this tenant, and their keys open nothing.

    Raises:
        NotFound: If this tenant has no such person.
        ManagedElsewhere: If they would be let in although the directory that keeps them says otherwise.
        LastOwner: If nobody would own the tenant then.
    """
    its = t.users.c
    if status == "active" and (found := await user(tx, user_id)).source != "local" and found.status != status:
        raise ManagedElsewhere
    mine = tx.update(t.users).where(its.id == user_id)
    async with an_owner_stays(tx):
        changed = await tx.take(User, mine.values(status=status, version=its.version + 1, changed_at=tx.now))
    if not changed:
        raise NotFound
    action = "user.reactivated" if status == "active" else "user.deactivated"
    audit.record(tx, actor, action, _target(changed[0].id))
    return changed[0]


async def remove(tx: TenantTx, actor: Actor, user_id: UUID) -> None:
    """Take somebody out of the tenant, with what they hold in it and their keys. Their account is their own.

    Raises:
        NotFound: If this tenant has no such person.
        LastOwner: If nobody would own the tenant then.
    """
    going = await user(tx, user_id)
    async with an_owner_stays(tx):  # which locks the tenant: before anything else, as whoever deactivates does
        keys = await api_keys.forget_all_of(tx, Holder("user", going.id))
        await tx.run(tx.delete(t.users).where(t.users.c.id == going.id))
    await quotas.release(tx, "users")
    if going.account_id is not None:
        await tx.run(tx.delete(t.account_tenants).where(t.account_tenants.c.account_id == going.account_id))
    audit.record(tx, actor, "user.removed", _target(going.id), api_keys=keys)


def _target(user_id: UserId) -> audit.Target:
    return "user", text_id("usr", user_id)
