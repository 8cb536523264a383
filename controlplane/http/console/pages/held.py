"""Who holds which role, with the names that people read: for the pages about roles, people, groups and programs."""

from datetime import datetime
from typing import Annotated, Any, Final
from uuid import UUID

import msgspec
from litestar import Request, Response
from litestar.di import NamedDependency
from litestar.params import FromPath
from msgspec import Meta, Struct
from sqlalchemy import text

from controlplane.db.database import TenantTx
from controlplane.domain import assignments, handing_on, projects, roles
from controlplane.domain.assignments import KINDS
from controlplane.domain.audit import Actor
from controlplane.domain.grants import Limit
from controlplane.domain.holdings import Holder, HolderKind
from controlplane.domain.permission_names import ADMINISTRATION
from controlplane.domain.permissions import check_grantable
from controlplane.domain.projects import Project
from controlplane.domain.roles import Role
from controlplane.http.console import forms
from controlplane.http.console.screen import Screen
from controlplane.http.paths import identity
from controlplane.kit.ids import text_id

MOST: Final = 200

HELD: Final = text("""
    SELECT a.id,
        CASE WHEN a.user_id IS NOT NULL THEN 'user' WHEN a.group_id IS NOT NULL THEN 'group' ELSE 'service-account' END
            AS kind,
        coalesce(a.user_id, a.group_id, a.service_account_id) AS holder_id,
        coalesce(u.email_norm, g.name, s.name) AS holder, a.role_id, coalesce(a.built_in, r.name) AS role,
        p.slug AS project, CAST(a.labels AS text) AS labels, a.created_at
    FROM role_assignments a
    LEFT JOIN users u ON u.tenant_id = a.tenant_id AND u.id = a.user_id
    LEFT JOIN groups g ON g.tenant_id = a.tenant_id AND g.id = a.group_id
    LEFT JOIN service_accounts s ON s.tenant_id = a.tenant_id AND s.id = a.service_account_id
    LEFT JOIN roles r ON r.tenant_id = a.tenant_id AND r.id = a.role_id
    LEFT JOIN projects p ON p.tenant_id = a.tenant_id AND p.id = a.project_id
    WHERE a.tenant_id = :tenant_id
        AND (CAST(:holder_id AS uuid) IS NULL
            OR a.user_id = :holder_id OR a.group_id = :holder_id OR a.service_account_id = :holder_id)
        AND (CAST(:built_in AS text) IS NULL OR a.built_in = :built_in)
        AND (CAST(:role_id AS uuid) IS NULL OR a.role_id = :role_id)
    ORDER BY a.id DESC
    LIMIT :most
""")

PLACES: Final = {"user": "people", "group": "groups", "service-account": "service-accounts"}
"""Where each kind of holder has its page."""


class Held(Struct, frozen=True, kw_only=True):
    id: UUID
    kind: HolderKind
    holder_id: UUID
    holder: str
    role_id: UUID
    role: str
    project: str | None
    labels: dict[str, str]
    created_at: datetime

    @property
    def assignment(self) -> str:
        return text_id("asg", self.id)

    @property
    def place(self) -> str:
        """Of the holder's page, below the tenant's."""
        return f"/{PLACES[self.kind]}/{text_id(KINDS[self.kind], self.holder_id)}"

    @property
    def role_place(self) -> str:
        return f"/roles/{text_id('role', self.role_id)}"


class Offer(Struct, frozen=True, kw_only=True):
    """What a form for giving out a role chooses from."""

    roles: list[Role]
    projects: list[Project]


class Giving(Struct, frozen=True, kw_only=True):
    """The form."""

    kind: HolderKind
    holder: Annotated[str, Meta(max_length=40)]
    role: Annotated[str, Meta(max_length=63)]
    project: Annotated[str, Meta(max_length=100)] | None = None
    labels: Annotated[str, Meta(max_length=1000)] = ""


class _Row(Struct, frozen=True, kw_only=True):
    id: UUID
    kind: HolderKind
    holder_id: UUID
    holder: str
    role_id: UUID | None
    role: str
    project: str | None
    labels: str
    created_at: datetime


async def held_by(tx: TenantTx, *, holder_id: UUID | None = None, role: Role | None = None) -> list[Held]:
    """The newest assignments of one holder, or of one role."""
    rows = await tx.query(
        _Row,
        HELD,
        tenant_id=tx.tenant_id,
        holder_id=holder_id,
        built_in=role.name if role and role.built_in else None,
        role_id=role.id if role and not role.built_in else None,
        most=MOST,
    )
    return [_held(row) for row in rows]


async def offer(tx: TenantTx) -> Offer:
    return Offer(
        roles=await roles.listing(tx, after=None, limit=MOST),
        projects=await projects.listing(tx, after=None, limit=MOST),
    )


async def give(
    request: Request[Any, Any, Any], screen: NamedDependency[Screen], actor: NamedDependency[Actor]
) -> Response[Any]:
    """Give somebody a role, and go back to their page."""
    filled = await forms.read(request, Giving)
    holder = Holder(filled.kind, identity(KINDS[filled.kind], filled.holder))

    async def work(tx: TenantTx) -> None:
        project = None if filled.project is None else await projects.named(tx, filled.project)
        limit = Limit(project_id=project.id if project else None, labels=forms.pairs(filled.labels))
        role = await handing_on.role(tx, screen.view.person, filled.role, limit)
        await assignments.assign(tx, actor, holder, role, limit)

    return await screen.act(work, _place(holder))


async def withdraw(
    screen: NamedDependency[Screen], actor: NamedDependency[Actor], assignment: FromPath[str]
) -> Response[Any]:
    """Take a role away, and go back to the page of whoever held it."""
    async with screen.inside() as tx:
        found = await assignments.get(tx, identity("asg", assignment))

    async def work(tx: TenantTx) -> None:
        role = await roles.get(tx, found.role_id)
        check_grantable(screen.view.person, role.permissions & ADMINISTRATION, found.limit, role=role.name)
        await assignments.withdraw(tx, actor, found)

    return await screen.act(work, _place(found.holder))


def _place(holder: Holder) -> str:
    return f"/{PLACES[holder.kind]}/{text_id(KINDS[holder.kind], holder.id)}"


def _held(row: _Row) -> Held:
    return Held(
        id=row.id,
        kind=row.kind,
        holder_id=row.holder_id,
        holder=row.holder,
        role_id=row.role_id or roles.BUILT_IN[row.role].id,
        role=row.role,
        project=row.project,
        labels=msgspec.json.decode(row.labels, type=dict[str, str]),
        created_at=row.created_at,
    )
