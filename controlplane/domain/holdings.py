"""What people, groups and service accounts hold, all of it in one statement; and that somebody owns the tenant."""

from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from typing import Final, Literal, TypeAlias
from uuid import UUID

import msgspec
from msgspec import Struct
from sqlalchemy import text

from controlplane.db import schema as t
from controlplane.db.database import TenantTx
from controlplane.domain.grants import Grant, Limit
from controlplane.domain.permission_names import PERMISSIONS, ROLES
from controlplane.kit.ids import GroupId, ProjectId
from controlplane.kit.problems import Refusal

HolderKind: TypeAlias = Literal["user", "group", "service-account"]


class Holder(Struct, frozen=True):
    """Who holds a role."""

    kind: HolderKind
    id: UUID


class LastOwner(Refusal):
    """A tenant that nobody owns could not be administered by anybody."""

    code, status, title = "last-owner", 409, "Somebody has to own the tenant"
    hint = "Make somebody else an owner first."


class GrantRow(Struct, frozen=True, kw_only=True):
    """What :data:`GRANTS` says of each."""

    assignment_id: UUID
    group_id: GroupId | None
    built_in: str | None
    name: str | None
    permissions: list[str] | None
    project_id: ProjectId | None
    labels: dict[str, str]


GRANTS: Final = """
    SELECT coalesce(json_agg(json_build_object(
        'assignment_id', a.id, 'group_id', a.group_id, 'built_in', a.built_in, 'name', r.name,
        'permissions', r.permissions, 'project_id', a.project_id, 'labels', a.labels) ORDER BY a.id), '[]') AS grants
    FROM (
        SELECT d.* FROM role_assignments d WHERE d.tenant_id = h.tenant_id AND d.user_id = h.user_id
        UNION ALL
        SELECT d.* FROM group_members m
            JOIN role_assignments d ON d.tenant_id = m.tenant_id AND d.group_id = m.group_id
            WHERE m.tenant_id = h.tenant_id AND m.user_id = h.user_id
        UNION ALL
        SELECT d.* FROM role_assignments d
            WHERE d.tenant_id = h.tenant_id AND d.service_account_id = h.service_account_id
    ) a
    LEFT JOIN roles r ON r.tenant_id = a.tenant_id AND r.id = a.role_id
"""
"""All that ``h`` holds, a row with ``tenant_id``, ``user_id`` and ``service_account_id``."""


def with_grants(statement: str) -> str:
    """*statement*, whose ``{grants}`` is everything that its row ``h`` holds, as JSON."""
    return statement.replace("{grants}", GRANTS)


OF_ONE: Final = text(
    with_grants(
        """
    SELECT CAST(g.grants AS text) AS grants
    FROM (SELECT CAST(:tenant_id AS uuid) AS tenant_id, CAST(:user_id AS uuid) AS user_id,
        CAST(:service_account_id AS uuid) AS service_account_id) h
    CROSS JOIN LATERAL ({grants}) g
    """
    )
)

OF_A_GROUP: Final = text("""
    SELECT a.id AS assignment_id, a.group_id, a.built_in, r.name, r.permissions, a.project_id, a.labels
    FROM role_assignments a LEFT JOIN roles r ON r.tenant_id = a.tenant_id AND r.id = a.role_id
    WHERE a.tenant_id = :tenant_id AND a.group_id = :group_id
    ORDER BY a.id
""")

OWNERS: Final = text("""
    SELECT count(*) AS owners FROM users u
    WHERE u.tenant_id = :tenant_id AND u.status = 'active' AND u.id IN (
        SELECT coalesce(a.user_id, m.user_id)
        FROM role_assignments a
        LEFT JOIN group_members m ON m.tenant_id = a.tenant_id AND m.group_id = a.group_id
        WHERE a.tenant_id = :tenant_id AND a.built_in = 'owner')
""")


NAMES: Final = text("""
    SELECT DISTINCT a.user_id, coalesce(a.built_in, r.name) AS role
    FROM (
        SELECT tenant_id, user_id, built_in, role_id FROM role_assignments
        WHERE tenant_id = :tenant_id AND user_id = ANY (CAST(:users AS uuid[]))
        UNION ALL
        SELECT d.tenant_id, m.user_id, d.built_in, d.role_id FROM group_members m
        JOIN role_assignments d ON d.tenant_id = m.tenant_id AND d.group_id = m.group_id
        WHERE m.tenant_id = :tenant_id AND m.user_id = ANY (CAST(:users AS uuid[]))
    ) a
    LEFT JOIN roles r ON r.tenant_id = a.tenant_id AND r.id = a.role_id
    ORDER BY 1, 2
""")


async def of(tx: TenantTx, holder: Holder) -> tuple[Grant, ...]:
    """Everything that *holder* holds: a person by their groups too; of a group what its members hold by it."""
    if holder.kind == "group":
        return grants_from(await tx.query(GrantRow, OF_A_GROUP, tenant_id=tx.tenant_id, group_id=holder.id))
    [held] = await tx.query(
        _Held,
        OF_ONE,
        tenant_id=tx.tenant_id,
        user_id=holder.id if holder.kind == "user" else None,
        service_account_id=holder.id if holder.kind == "service-account" else None,
    )
    return grants_from(decoded(held.grants))


async def roles_of(tx: TenantTx, users: Sequence[UUID]) -> dict[UUID, list[str]]:
    """The names of the roles that *users* hold, themselves or by a group."""
    found: dict[UUID, list[str]] = {user: [] for user in users}
    for row in await tx.query(_Named, NAMES, tenant_id=tx.tenant_id, users=list(users)):
        found[row.user_id].append(row.role)
    return found


def decoded(grants: str) -> list[GrantRow]:
    """What :data:`GRANTS` has gathered, as text."""
    return msgspec.json.decode(grants, type=list[GrantRow])


def grants_from(rows: Sequence[GrantRow], scopes: Iterable[str] | None = None) -> tuple[Grant, ...]:
    """
    Args:
        scopes: What a key is narrowed to; None: to nothing less than its owner has.
    """
    within = PERMISSIONS.keys() if scopes is None else frozenset(scopes)
    return tuple(_grant(row, within) for row in rows)


@asynccontextmanager
async def an_owner_stays(tx: TenantTx) -> AsyncIterator[None]:
    """Around a change after which nobody might own the tenant. Two at the same time wait for one another.

    A tenant that nobody owned before may stay so.

    Raises:
        LastOwner: If the change took the last one.
    """
    await tx.first(_Tenant, tx.select(t.tenants).with_for_update(key_share=True))  # what only refers to it goes on
    [before] = await tx.query(_Owners, OWNERS, tenant_id=tx.tenant_id)
    yield
    [after] = await tx.query(_Owners, OWNERS, tenant_id=tx.tenant_id)
    if before.owners and not after.owners:
        raise LastOwner


def _grant(row: GrantRow, within: Iterable[str]) -> Grant:
    held = ROLES.get(row.built_in, frozenset()) if row.built_in else frozenset(row.permissions or ())
    return Grant(
        role=row.built_in or row.name or "",
        permissions=held.intersection(within),
        limit=Limit(project_id=row.project_id, labels=row.labels),
        assignment_id=row.assignment_id,
        group_id=row.group_id,
    )


class _Held(Struct, frozen=True):
    grants: str


class _Named(Struct, frozen=True):
    user_id: UUID
    role: str


class _Owners(Struct, frozen=True):
    owners: int


class _Tenant(Struct, frozen=True):
    tenant_id: UUID
