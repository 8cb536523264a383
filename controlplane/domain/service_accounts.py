"""Service accounts: programs of a tenant that hold roles and keys, whoever made them."""

from collections.abc import Iterator
from datetime import datetime
from itertools import count
from typing import Final, Literal, TypeAlias
from uuid import UUID

from msgspec import Struct

from controlplane.db import schema as t
from controlplane.db.database import TenantTx
from controlplane.domain import assignments, audit
from controlplane.domain.audit import Actor
from controlplane.domain.holdings import Holder
from controlplane.domain.roles import Role
from controlplane.kit.ids import ServiceAccountId, new_id, parse_id, text_id
from controlplane.kit.problems import NotFound, Refusal

MAX_NAME: Final = 100

Status: TypeAlias = Literal["active", "disabled"]


class ServiceAccount(Struct, frozen=True, kw_only=True):
    id: ServiceAccountId
    name: str
    description: str
    status: Status
    created_by: str
    created_at: datetime


class ServiceAccountNameInvalid(Refusal):
    code, status, title = "service-account-name-invalid", 400, "This cannot be a service account's name"
    hint = f"1 to {MAX_NAME} characters."


class ServiceAccountNameTaken(Refusal):
    code, status, title = "service-account-name-taken", 409, "There is a service account of this name"
    hint = "Pick another name, or make a key for the one there is."


async def create(tx: TenantTx, actor: Actor, name: str, description: str = "") -> ServiceAccount:
    """Make one that holds nothing yet.

    Raises:
        ServiceAccountNameInvalid, ServiceAccountNameTaken: If there can be no such one.
    """
    added = await _add(tx, actor, _fit(name), description)
    if added is None:
        raise ServiceAccountNameTaken
    return added


async def with_role(tx: TenantTx, actor: Actor, name: str, role: Role) -> ServiceAccount:
    """Make one that holds *role*, under a free name made from *name*.

    Whether *actor* may hand the role on is the caller's question.

    Raises:
        ServiceAccountNameInvalid: If there can be no such one.
    """
    names = _names(_fit(name))
    added: ServiceAccount | None = None
    while added is None:
        added = await _add(tx, actor, next(names), "")
    await assignments.assign(tx, actor, Holder("service-account", added.id), role)
    return added


async def listing(tx: TenantTx, *, after: UUID | None, limit: int) -> list[ServiceAccount]:
    """Newest first, from just before *after* on."""
    wanted = tx.select(t.service_accounts)
    if after is not None:
        wanted = wanted.where(t.service_accounts.c.id < after)
    return await tx.all(ServiceAccount, wanted.order_by(t.service_accounts.c.id.desc()).limit(limit))


async def get(tx: TenantTx, account_id: UUID) -> ServiceAccount:
    """
    Raises:
        NotFound: If this tenant has no such one.
    """
    return await _one(tx, account_id=account_id)


async def named(tx: TenantTx, reference: str) -> ServiceAccount:
    """The one whose name or id is *reference*.

    Raises:
        NotFound: If this tenant has no such one.
    """
    identity = parse_id("sa", reference)
    return await _one(tx, account_id=identity) if identity is not None else await _one(tx, name=reference)


async def change(
    tx: TenantTx,
    actor: Actor,
    account_id: UUID,
    *,
    name: str | None = None,
    description: str | None = None,
    status: Status | None = None,
) -> ServiceAccount:
    """Change what is given. The keys of a disabled one open nothing from the next call on.

    Raises:
        NotFound: If this tenant has no such one.
        ServiceAccountNameInvalid, ServiceAccountNameTaken: If it cannot be called so.
    """
    account = await get(tx, account_id)
    wanted = account.name if name is None else _fit(name)
    called_so = tx.select(t.service_accounts).where(t.service_accounts.c.name == wanted)
    if wanted != account.name and await tx.first(ServiceAccount, called_so):
        raise ServiceAccountNameTaken
    values = {
        "name": wanted,
        "description": account.description if description is None else description,
        "status": status or account.status,
    }
    mine = tx.update(t.service_accounts).where(t.service_accounts.c.id == account_id)
    [changed] = await tx.take(ServiceAccount, mine.values(**values))
    audit.record(tx, actor, "service-account.changed", _target(changed.id), status=changed.status)
    return changed


async def _one(tx: TenantTx, *, account_id: UUID | None = None, name: str | None = None) -> ServiceAccount:
    its = t.service_accounts.c
    wanted = tx.select(t.service_accounts).where(its.name == name if account_id is None else its.id == account_id)
    account = await tx.first(ServiceAccount, wanted)
    if account is None:
        raise NotFound
    return account


async def _add(tx: TenantTx, actor: Actor, name: str, description: str) -> ServiceAccount | None:
    """None: the name is taken."""
    row = tx.insert(t.service_accounts).values(
        id=new_id(tx.now),
        name=name,
        description=description,
        status="active",
        created_by=actor.id,
        created_at=tx.now,
    )
    added = await tx.take(ServiceAccount, row.on_conflict_do_nothing(index_elements=["tenant_id", "name"]))
    if not added:
        return None
    audit.record(tx, actor, "service-account.created", _target(added[0].id))
    return added[0]


def _names(wanted: str) -> Iterator[str]:
    yield wanted
    for number in count(2):
        yield f"{wanted[: MAX_NAME - 8]}-{number}"


def _fit(name: str) -> str:
    if not 1 <= len(name.strip()) <= MAX_NAME:
        raise ServiceAccountNameInvalid
    return name.strip()


def _target(account_id: ServiceAccountId) -> audit.Target:
    return "service-account", text_id("sa", account_id)
