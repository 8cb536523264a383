"""Groups as the tenant's directory keeps them. What their members hold by them, the tenant says here.

A directory sees and fills its own groups only: nobody gets what a group holds that was made here by hand, and a group
that it has made holds nothing until somebody of the tenant who holds it gives it a role.
"""

from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager, nullcontext
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from msgspec import Struct
from scim2_models import Context
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from controlplane.db import schema as t
from controlplane.db.database import TenantTx
from controlplane.domain import audit, groups
from controlplane.domain.audit import Actor
from controlplane.domain.directory import models, patches
from controlplane.domain.directory.models import GROUP, Group
from controlplane.domain.directory.patches import GroupPatch, Membership
from controlplane.domain.directory.people import SOURCE
from controlplane.domain.directory.refusals import DirectoryChanged, DirectoryInvalid, DirectoryTaken
from controlplane.domain.holdings import an_owner_stays
from controlplane.kit.ids import GroupId, UserId, new_id, parse_id, text_id
from controlplane.kit.problems import NotFound

TOLD_AT_ONCE: Final = 500
"""People in one event of the audit log."""


class Entry(Struct, frozen=True, kw_only=True):
    """A group's row, as far as it is the directory's."""

    id: GroupId
    name: str
    external_id: str | None
    version: int
    created_at: datetime
    changed_at: datetime | None


class Member(Struct, frozen=True, kw_only=True):
    group_id: GroupId
    group: str
    """Its name."""
    user_id: UserId


async def announce(tx: TenantTx, actor: Actor, body: object) -> Entry:
    """Make a group with its members.

    Raises:
        DirectoryInvalid: If *body* is no group, or a member is nobody of this tenant.
        DirectoryTaken: If there is one of this name.
    """
    group = models.read(Group, body, Context.RESOURCE_CREATION_REQUEST)
    members = await _people(tx, patches.members_of(group))
    row = {"id": new_id(tx.now), "description": "", "source": SOURCE, "created_at": tx.now, **_columns(group)}
    added = await tx.take(Entry, tx.insert(t.groups).values(**row).on_conflict_do_nothing())
    if not added:
        same = tx.select(t.groups).where(t.groups.c.name == row["name"])
        found = await tx.first(Entry, same)
        raise DirectoryTaken(f"it is {text_id('grp', found.id)}" if found else "")
    audit.record(tx, actor, "group.created", _target(added[0].id), source=SOURCE)
    _tell(tx, actor, added[0].id, "group.members-added", await _add(tx, added[0].id, members))
    return added[0]


async def get(tx: TenantTx, group_id: UUID) -> Entry:
    """
    Raises:
        NotFound: If the directory keeps no such group.
    """
    its = t.groups.c
    found = await tx.first(Entry, tx.select(t.groups).where(its.id == group_id, its.source == SOURCE))
    if found is None:
        raise NotFound
    return found


async def replace(tx: TenantTx, actor: Actor, group_id: UUID, body: object, version: int | None = None) -> Entry:
    """Have *body* be all that the directory says of a group; whom it leaves out is in it no longer.

    Raises:
        NotFound, DirectoryInvalid, DirectoryTaken, DirectoryChanged, LastOwner: If it cannot be.
    """
    group = models.read(Group, body, Context.RESOURCE_REPLACEMENT_REQUEST)
    everybody = Membership(act="replace", ids=patches.members_of(group))
    async with _held(tx, group_id, version, removes=True) as before:
        await _do(tx, actor, before, (everybody,))
        return await _written(tx, actor, before, _columns(group))


async def patch(tx: TenantTx, actor: Actor, group_id: UUID, body: object, version: int | None = None) -> Entry:
    """Change some of what the directory says of a group.

    Raises:
        NotFound, DirectoryInvalid, DirectoryTaken, DirectoryChanged, LastOwner: If it cannot be.
    """
    given = patches.of_group(body)
    async with _held(tx, group_id, version, removes=given.removes) as before:
        columns = _patched(before, given)
        turned = await _do(tx, actor, before, given.memberships)
        return await _written(tx, actor, before, columns) if turned or columns else before


async def remove(tx: TenantTx, actor: Actor, group_id: UUID, version: int | None = None) -> None:
    """Delete a group; what its members held by it ends with it.

    Raises:
        NotFound, DirectoryChanged, LastOwner: If it cannot be.
    """
    before = await get(tx, group_id)
    if version not in (None, before.version):
        raise DirectoryChanged
    await groups.delete(tx, actor, group_id)


async def members(tx: TenantTx, group_ids: Sequence[UUID]) -> list[Member]:
    """Everybody in these groups, however many they are; each group's in the order of their ids."""
    if not group_ids:
        return []
    return await tx.query(Member, OF_GROUPS, tenant_id=tx.tenant_id, groups=list(group_ids))


async def groups_of(tx: TenantTx, user_ids: Sequence[UUID]) -> list[Member]:
    """The directory's groups that these people are in."""
    if not user_ids:
        return []
    return await tx.query(Member, OF_USERS, tenant_id=tx.tenant_id, users=list(user_ids))


def resource(entry: Entry) -> Group:
    """A group as a resource, but for its members and what is ours to say."""
    return Group.model_validate({"schemas": [GROUP], **told(entry)})


def told(entry: Entry) -> dict[str, Any]:
    """What is said of a group."""
    whole: dict[str, Any] = {"displayName": entry.name}
    if entry.external_id is not None:
        whole["externalId"] = entry.external_id
    return whole


OF_GROUPS: Final = text("""
    SELECT m.group_id, '' AS group, m.user_id FROM group_members m
    WHERE m.tenant_id = :tenant_id AND m.group_id = ANY (CAST(:groups AS uuid[])) ORDER BY m.group_id, m.user_id
""")

OF_USERS: Final = text("""
    SELECT g.id AS group_id, g.name AS group, m.user_id
    FROM group_members m JOIN groups g ON g.tenant_id = m.tenant_id AND g.id = m.group_id AND g.source = 'scim'
    WHERE m.tenant_id = :tenant_id AND m.user_id = ANY (CAST(:users AS uuid[])) ORDER BY m.user_id, m.group_id
""")

ADD: Final = text("""
    INSERT INTO group_members (tenant_id, group_id, user_id, added_at)
    SELECT :tenant_id, :group_id, u, :now FROM unnest(CAST(:users AS uuid[])) u
    ON CONFLICT DO NOTHING RETURNING user_id
""")

TAKE_OUT: Final = text("""
    DELETE FROM group_members WHERE tenant_id = :tenant_id AND group_id = :group_id
        AND (CAST(:users AS uuid[]) IS NULL OR user_id = ANY (CAST(:users AS uuid[])))
        AND NOT user_id = ANY (CAST(:stay AS uuid[]))
    RETURNING user_id
""")


class _Id(Struct, frozen=True):
    id: UUID


class _Touched(Struct, frozen=True):
    user_id: UserId


@asynccontextmanager
async def _held(tx: TenantTx, group_id: UUID, version: int | None, *, removes: bool) -> AsyncIterator[Entry]:
    """A group that nobody else changes meanwhile. Locks are taken in one order, the tenant's first."""
    async with an_owner_stays(tx) if removes else nullcontext():
        its = t.groups.c
        mine = tx.select(t.groups).where(its.id == group_id, its.source == SOURCE)
        found = await tx.first(Entry, mine.with_for_update(key_share=True))
        if found is None:
            raise NotFound
        if version not in (None, found.version):
            raise DirectoryChanged
        yield found


def _patched(before: Entry, given: GroupPatch) -> dict[str, Any]:
    """The columns that change by what is not about members."""
    if not given.rest:
        return {}
    group = resource(before)
    return _columns(group) if patches.apply(group, given.rest) else {}


async def _do(tx: TenantTx, actor: Actor, group: Entry, memberships: Iterable[Membership]) -> bool:
    """Change who is in it, one after the other; whether anybody came or went."""
    turned = False
    for each in memberships:
        named = None if each.ids is None else await _people(tx, each.ids, strict=each.act != "remove")
        came: list[UserId] = []
        went: list[UserId] = []
        if each.act != "add":
            everybody_else = each.act == "replace"
            stay = named if everybody_else and named is not None else []
            went = await _take_out(tx, group.id, None if everybody_else else named, stay)
        if each.act != "remove" and named:
            came = await _add(tx, group.id, named)
        _tell(tx, actor, group.id, "group.members-removed", went)
        _tell(tx, actor, group.id, "group.members-added", came)
        turned = turned or bool(came or went)
    return turned


async def _people(tx: TenantTx, ids: Sequence[str], *, strict: bool = True) -> list[UUID]:
    """The people whom *ids* name.

    Raises:
        DirectoryInvalid: If one of them is nobody of this tenant; unless not *strict*: who is not there cannot be in it.
    """
    wanted = {identity: text for text in ids if (identity := parse_id("usr", text)) is not None}
    there = tx.select(t.users).where(t.users.c.id.in_(wanted)).with_for_update(read=True, key_share=True)
    found = {row.id for row in await tx.all(_Id, there)} if wanted else set()
    missing = [each for each in ids if parse_id("usr", each) not in found]
    if missing and strict:
        raise DirectoryInvalid(f"no such member: {', '.join(missing[:5])[:200]}")
    return [identity for identity in wanted if identity in found]


async def _add(tx: TenantTx, group_id: GroupId, people: Sequence[UUID]) -> list[UserId]:
    if not people:
        return []
    touched = await tx.query(_Touched, ADD, tenant_id=tx.tenant_id, group_id=group_id, users=list(people), now=tx.now)
    return [row.user_id for row in touched]


async def _take_out(
    tx: TenantTx, group_id: GroupId, people: Sequence[UUID] | None, stay: Sequence[UUID]
) -> list[UserId]:
    users = None if people is None else list(people)
    touched = await tx.query(
        _Touched, TAKE_OUT, tenant_id=tx.tenant_id, group_id=group_id, users=users, stay=list(stay)
    )
    return [row.user_id for row in touched]


def _tell(tx: TenantTx, actor: Actor, group_id: GroupId, action: str, people: Sequence[UserId]) -> None:
    for start in range(0, len(people), TOLD_AT_ONCE):
        named = [text_id("usr", each) for each in people[start : start + TOLD_AT_ONCE]]
        audit.record(tx, actor, action, _target(group_id), source=SOURCE, users=named)


async def _written(tx: TenantTx, actor: Actor, before: Entry, columns: dict[str, Any]) -> Entry:
    mine = tx.update(t.groups).where(t.groups.c.id == before.id)
    try:
        [after] = await tx.take(Entry, mine.values(**columns, version=before.version + 1, changed_at=tx.now))
    except IntegrityError as error:
        raise DirectoryTaken from error
    if columns:
        audit.record(tx, actor, "group.changed", _target(after.id), source=SOURCE)
    return after


def _columns(group: Group) -> dict[str, Any]:
    return {"name": (group.display_name or "").strip(), "external_id": group.external_id}


def _target(group_id: GroupId) -> audit.Target:
    return "group", text_id("grp", group_id)
