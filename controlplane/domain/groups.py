"""Groups: people who hold the same roles."""

from datetime import datetime
from typing import Final
from uuid import UUID

from msgspec import Struct

from controlplane.db import schema as t
from controlplane.db.database import TenantTx
from controlplane.domain import audit
from controlplane.domain.audit import Actor
from controlplane.domain.holdings import an_owner_stays
from controlplane.domain.people import ManagedElsewhere
from controlplane.kit.ids import GroupId, UserId, new_id, text_id
from controlplane.kit.problems import NotFound, Refusal

MAX_NAME: Final = 100


class Group(Struct, frozen=True, kw_only=True):
    id: GroupId
    name: str
    description: str
    source: str
    """Who keeps it: ``local`` or ``scim``."""
    created_at: datetime


class Member(Struct, frozen=True, kw_only=True):
    """Somebody in a group."""

    id: UserId
    email_norm: str
    name: str
    status: str


class GroupNameInvalid(Refusal):
    code, status, title = "group-name-invalid", 400, "This cannot be a group's name"
    hint = f"1 to {MAX_NAME} characters."


class GroupNameTaken(Refusal):
    code, status, title = "group-name-taken", 409, "There is a group of this name"
    hint = "Pick another name."


async def create(tx: TenantTx, actor: Actor, name: str, description: str = "") -> Group:
    """
    Raises:
        GroupNameInvalid, GroupNameTaken: If there can be no such group.
    """
    row = {"id": new_id(tx.now), "name": _fit(name), "description": description, "created_at": tx.now}
    untaken = tx.insert(t.groups).values(**row).on_conflict_do_nothing(index_elements=["tenant_id", "name"])
    added = await tx.take(Group, untaken)
    if not added:
        raise GroupNameTaken
    audit.record(tx, actor, "group.created", _target(added[0].id))
    return added[0]


async def listing(tx: TenantTx, *, after: UUID | None, limit: int) -> list[Group]:
    """Newest first, from just before *after* on."""
    wanted = tx.select(t.groups)
    if after is not None:
        wanted = wanted.where(t.groups.c.id < after)
    return await tx.all(Group, wanted.order_by(t.groups.c.id.desc()).limit(limit))


async def get(tx: TenantTx, group_id: UUID) -> Group:
    """
    Raises:
        NotFound: If this tenant has no such group.
    """
    group = await tx.first(Group, tx.select(t.groups).where(t.groups.c.id == group_id))
    if group is None:
        raise NotFound
    return group


async def change(
    tx: TenantTx, actor: Actor, group_id: UUID, *, name: str | None = None, description: str | None = None
) -> Group:
    """
    Raises:
        NotFound: If this tenant has no such group.
        GroupNameInvalid, GroupNameTaken: If it cannot be called so.
        ManagedElsewhere: If the name is the directory's to say.
    """
    group = await get(tx, group_id)
    if name is not None and name.strip() != group.name:
        _check_own(group)
    wanted = group.name if name is None else _fit(name)
    if wanted != group.name and await tx.first(Group, tx.select(t.groups).where(t.groups.c.name == wanted)):
        raise GroupNameTaken
    values = {"name": wanted, "description": group.description if description is None else description, **_again(tx)}
    [changed] = await tx.take(Group, tx.update(t.groups).where(t.groups.c.id == group_id).values(**values))
    audit.record(tx, actor, "group.changed", _target(group.id))
    return changed


async def delete(tx: TenantTx, actor: Actor, group_id: UUID) -> None:
    """Delete a group; what its members held by it ends with it.

    Raises:
        NotFound: If this tenant has no such group.
        LastOwner: If nobody would own the tenant then.
    """
    group = await get(tx, group_id)
    async with an_owner_stays(tx):
        await tx.run(tx.delete(t.groups).where(t.groups.c.id == group_id))
    audit.record(tx, actor, "group.deleted", _target(group.id))


async def members(tx: TenantTx, group_id: UUID, *, after: UUID | None, limit: int) -> list[Member]:
    """Who is in it, the newest people of the tenant first.

    Raises:
        NotFound: If this tenant has no such group.
    """
    await get(tx, group_id)
    of_it = tx.select(t.group_members).where(t.group_members.c.group_id == group_id)
    wanted = tx.select(t.users).where(t.users.c.id.in_(of_it.with_only_columns(t.group_members.c.user_id)))
    if after is not None:
        wanted = wanted.where(t.users.c.id < after)
    return await tx.all(Member, wanted.order_by(t.users.c.id.desc()).limit(limit))


async def add_member(tx: TenantTx, actor: Actor, group_id: UUID, user_id: UUID) -> None:
    """Put a person into a group: they hold what it holds. Doing it again changes nothing.

    Whether *actor* may hand that on is the caller's question.

    Raises:
        NotFound: If this tenant has no such group, or no such person.
        ManagedElsewhere: If who is in it is the directory's to say.
    """
    _check_own(await get(tx, group_id))
    for table, identity in ((t.groups, group_id), (t.users, user_id)):
        staying = tx.select(table).where(table.c.id == identity).with_for_update(read=True, key_share=True)
        if await tx.first(_Id, staying) is None:
            raise NotFound
    theirs = t.group_members.c
    in_it = tx.select(t.group_members).where(theirs.group_id == group_id, theirs.user_id == user_id)
    if await tx.first(_Membership, in_it):
        return
    row = tx.insert(t.group_members).values(group_id=group_id, user_id=user_id, added_at=tx.now)
    await tx.run(row.on_conflict_do_nothing(index_elements=["tenant_id", "group_id", "user_id"]))
    await tx.run(tx.update(t.groups).where(t.groups.c.id == group_id).values(**_again(tx)))
    audit.record(tx, actor, "group.member-added", _target(GroupId(group_id)), user=text_id("usr", user_id))


async def remove_member(tx: TenantTx, actor: Actor, group_id: UUID, user_id: UUID) -> None:
    """Take a person out of a group.

    Raises:
        NotFound: If they are not in it.
        ManagedElsewhere: If who is in it is the directory's to say.
        LastOwner: If nobody would own the tenant then.
    """
    _check_own(await get(tx, group_id))
    theirs = t.group_members.c
    async with an_owner_stays(tx):
        removing = tx.delete(t.group_members).where(theirs.group_id == group_id, theirs.user_id == user_id)
        if not await tx.run(removing):
            raise NotFound
        await tx.run(tx.update(t.groups).where(t.groups.c.id == group_id).values(**_again(tx)))
    audit.record(tx, actor, "group.member-removed", _target(GroupId(group_id)), user=text_id("usr", user_id))


def _check_own(group: Group) -> None:
    if group.source != "local":
        raise ManagedElsewhere


def _again(tx: TenantTx) -> dict[str, object]:
    """The next version of a group."""
    return {"version": t.groups.c.version + 1, "changed_at": tx.now}


def _fit(name: str) -> str:
    if not 1 <= len(name.strip()) <= MAX_NAME:
        raise GroupNameInvalid
    return name.strip()


class _Id(Struct, frozen=True):
    id: UUID


class _Membership(Struct, frozen=True):
    group_id: UUID


def _target(group_id: GroupId) -> audit.Target:
    return "group", text_id("grp", group_id)
