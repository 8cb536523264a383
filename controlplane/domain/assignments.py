"""Assignments: which person, group or service account holds which role, and where in the tenant it counts."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from msgspec import Struct
from sqlalchemy import Select, Table, any_, func, literal, or_, text

from controlplane.db import schema as t
from controlplane.db.database import TenantTx
from controlplane.domain import audit
from controlplane.domain.audit import Actor
from controlplane.domain.grants import EVERYWHERE, Limit
from controlplane.domain.holdings import Holder, HolderKind, an_owner_stays
from controlplane.domain.roles import BUILT_IN, Role, RoleBuiltIn
from controlplane.kit.ids import ProjectId, RoleId, new_id, text_id
from controlplane.kit.problems import NotFound, Refusal

KINDS: Final[Mapping[HolderKind, str]] = {"user": "usr", "group": "grp", "service-account": "sa"}
"""How the ids of each begin."""

COLUMNS: Final = {
    "user": t.role_assignments.c.user_id,
    "group": t.role_assignments.c.group_id,
    "service-account": t.role_assignments.c.service_account_id,
}
TABLES: Final = {"user": t.users, "group": t.groups, "service-account": t.service_accounts}

MOST_LABELS: Final = 16
EVERYWHERE_ONLY: Final = frozenset({"owner"})


class Assignment(Struct, frozen=True, kw_only=True):
    id: UUID
    holder: Holder
    role_id: RoleId
    role: str
    """Its name."""
    limit: Limit
    created_by: str
    created_at: datetime


class Found(Struct, frozen=True, kw_only=True):
    """What assignments are looked for by; all of it has to hold."""

    holders: tuple[Holder, ...] = ()
    role: Role | None = None
    permission: str | None = None
    """That the role holds: who may do this."""


ALL: Final = Found()


class AlreadyAssigned(Refusal):
    code, status, title = "role-assigned", 409, "They hold this role there already"
    hint = "Nothing needs to be done."


class LimitUnfit(Refusal):
    code, status, title = "role-limit-unfit", 400, "This role cannot be limited like that"
    hint = f"Owners are owners everywhere. At most {MOST_LABELS} labels, none of them empty."


class RoleInUse(Refusal):
    code, status, title = "role-in-use", 409, "Somebody holds this role"
    hint = "Take it away first, or name a replacement: ?replacement=ROLE."

    def __init__(self, assignments: int) -> None:
        super().__init__(f"it is held {assignments} times")
        self.assignments = assignments

    def facts(self) -> dict[str, object]:
        return {"assignments": self.assignments}


async def assign(tx: TenantTx, actor: Actor, holder: Holder, role: Role, limit: Limit = EVERYWHERE) -> Assignment:
    """Give *role* to *holder*. Whether *actor* may hand it on is the caller's question.

    Raises:
        NotFound: If there is no such holder, role or project (any more).
        LimitUnfit: If the role cannot be limited like that.
        AlreadyAssigned: If they hold it there.
    """
    _check_limit(role, limit)
    for table, identity in _named_things(holder, role, limit):
        staying = tx.select(table).where(table.c.id == identity).with_for_update(read=True, key_share=True)
        if await tx.first(_Id, staying) is None:
            raise NotFound
    row = {
        "id": new_id(tx.now),
        COLUMNS[holder.kind].name: holder.id,
        "built_in": role.name if role.built_in else None,
        "role_id": None if role.built_in else role.id,
        "project_id": limit.project_id,
        "labels": dict(limit.labels),
        "created_by": actor.id,
        "created_at": tx.now,
    }
    added = await tx.take(_Id, tx.insert(t.role_assignments).values(**row).on_conflict_do_nothing())
    if not added:
        raise AlreadyAssigned
    audit.record(tx, actor, "role.assigned", _target(holder), **_facts(added[0].id, role.name, limit))
    return await get(tx, added[0].id)


async def withdraw(tx: TenantTx, actor: Actor, assignment: Assignment) -> None:
    """Take the role away; it counts no more from the next call on.

    Raises:
        LastOwner: If nobody would own the tenant then.
    """
    async with an_owner_stays(tx):
        await tx.run(tx.delete(t.role_assignments).where(t.role_assignments.c.id == assignment.id))
    facts = _facts(assignment.id, assignment.role, assignment.limit)
    audit.record(tx, actor, "role.withdrawn", _target(assignment.holder), **facts)


async def listing(tx: TenantTx, found: Found = ALL, *, after: UUID | None = None, limit: int = 50) -> list[Assignment]:
    """Newest first, from just before *after* on."""
    wanted = _with_names(tx)
    its = t.role_assignments.c
    for holder in found.holders:
        wanted = wanted.where(COLUMNS[holder.kind] == holder.id)
    if found.role is not None:
        role = found.role
        wanted = wanted.where(its.built_in == role.name if role.built_in else its.role_id == role.id)
    if found.permission is not None:
        built_in = [role.name for role in BUILT_IN.values() if found.permission in role.permissions]
        own = tx.select(t.roles).where(literal(found.permission) == any_(t.roles.c.permissions))
        wanted = wanted.where(or_(its.built_in.in_(built_in), its.role_id.in_(own.with_only_columns(t.roles.c.id))))
    if after is not None:
        wanted = wanted.where(its.id < after)
    rows = await tx.all(_Row, wanted.order_by(its.id.desc()).limit(limit))
    return [_assignment(row) for row in rows]


async def get(tx: TenantTx, assignment_id: UUID) -> Assignment:
    """
    Raises:
        NotFound: If this tenant has no such assignment.
    """
    row = await tx.first(_Row, _with_names(tx).where(t.role_assignments.c.id == assignment_id))
    if row is None:
        raise NotFound
    return _assignment(row)


async def delete_role(tx: TenantTx, actor: Actor, role: Role, replacement: Role | None = None) -> None:
    """Delete a role of the tenant's own.

    Args:
        replacement: What its holders get instead, within the same limits. Whether *actor* may hand that on is the
            caller's question.

    Raises:
        RoleBuiltIn: If it is not the tenant's own.
        RoleInUse: If somebody holds it and there is no *replacement*.
        LimitUnfit: If the replacement cannot be limited as the role is.
    """
    if role.built_in:
        raise RoleBuiltIn
    await tx.first(_Id, tx.select(t.roles).where(t.roles.c.id == role.id).with_for_update())
    of_it = t.role_assignments.c.role_id == role.id
    held = await tx.scalar(tx.select(t.role_assignments).with_only_columns(func.count()).where(of_it))
    if held and (replacement is None or replacement.id == role.id):
        raise RoleInUse(held)
    if held and replacement is not None:
        await _replace(tx, role, replacement)
    await tx.run(tx.delete(t.roles).where(t.roles.c.id == role.id))
    instead = _told("replacement", replacement.name) if replacement else {"replacement": ""}
    audit.record(tx, actor, "role.deleted", ("role", text_id("role", role.id)), assignments=held, **instead)


DROP_DOUBLES: Final = text("""
    DELETE FROM role_assignments a USING role_assignments b
    WHERE a.tenant_id = :tenant_id AND a.role_id = :role_id AND b.tenant_id = a.tenant_id
        AND (b.built_in = :built_in OR b.role_id = :replacement_id)
        AND (a.user_id, a.group_id, a.service_account_id, a.project_id, a.labels)
            IS NOT DISTINCT FROM (b.user_id, b.group_id, b.service_account_id, b.project_id, b.labels)
""")
"""Who holds both roles in the same place keeps one."""


async def _replace(tx: TenantTx, role: Role, replacement: Role) -> None:
    its = t.role_assignments.c
    if replacement.name in EVERYWHERE_ONLY and replacement.built_in:
        limited = (its.project_id.is_not(None)) | (its.labels != {})
        if await tx.first(_Id, tx.select(t.role_assignments).where(its.role_id == role.id, limited)):
            raise LimitUnfit
    values = {
        "built_in": replacement.name if replacement.built_in else None,
        "role_id": None if replacement.built_in else replacement.id,
    }
    doubles = {"built_in": values["built_in"], "replacement_id": values["role_id"]}
    await tx.load(DROP_DOUBLES, role_id=role.id, **doubles)
    await tx.run(tx.update(t.role_assignments).where(its.role_id == role.id).values(**values))


def _check_limit(role: Role, limit: Limit) -> None:
    if role.built_in and role.name in EVERYWHERE_ONLY and not limit.is_everywhere:
        raise LimitUnfit
    if len(limit.labels) > MOST_LABELS or not all(name and value for name, value in limit.labels.items()):
        raise LimitUnfit


def _named_things(holder: Holder, role: Role, limit: Limit) -> Iterator[tuple[Table, UUID]]:
    """What has to be there, and to stay while the assignment is made."""
    yield TABLES[holder.kind], holder.id
    if not role.built_in:
        yield t.roles, role.id
    if limit.project_id is not None:
        yield t.projects, limit.project_id


def _with_names(tx: TenantTx) -> Select[Any]:
    its = t.role_assignments.c
    own = t.roles.select().where(t.roles.c.tenant_id == its.tenant_id, t.roles.c.id == its.role_id)
    name = func.coalesce(its.built_in, own.with_only_columns(t.roles.c.name).scalar_subquery()).label("role")
    return tx.select(t.role_assignments).with_only_columns(*its, name)


class _Id(Struct, frozen=True):
    id: UUID


class _Row(Struct, frozen=True, kw_only=True):
    id: UUID
    user_id: UUID | None
    group_id: UUID | None
    service_account_id: UUID | None
    built_in: str | None
    role_id: RoleId | None
    role: str
    project_id: ProjectId | None
    labels: dict[str, str]
    created_by: str
    created_at: datetime


def _assignment(row: _Row) -> Assignment:
    kinds: dict[HolderKind, UUID | None] = {
        "user": row.user_id,
        "group": row.group_id,
        "service-account": row.service_account_id,
    }
    [holder] = [Holder(kind, identity) for kind, identity in kinds.items() if identity is not None]
    return Assignment(
        id=row.id,
        holder=holder,
        role_id=row.role_id or BUILT_IN[row.role].id,
        role=row.role,
        limit=Limit(project_id=row.project_id, labels=row.labels),
        created_by=row.created_by,
        created_at=row.created_at,
    )


def _facts(assignment_id: UUID, role: str, limit: Limit) -> dict[str, Any]:
    facts = {"assignment": text_id("asg", assignment_id), **_told("role", role)}
    if limit.project_id is not None:
        facts["project"] = text_id("prj", limit.project_id)
    if limit.labels:
        facts["own"] = {**facts.get("own", {}), "labels": dict(limit.labels)}
    return facts


def _told(fact: str, role: str) -> dict[str, Any]:
    """A role's name as a fact: the tenant's own word, unless it is a built-in one's."""
    return {fact: role} if role in BUILT_IN else {"own": {fact: role}}


def _target(holder: Holder) -> audit.Target:
    return holder.kind, text_id(KINDS[holder.kind], holder.id)
