"""/v1/tenants/{tenant}/roles: the built-in ones, and a tenant's own."""

from typing import Annotated

from litestar import Controller, delete, get, patch, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, JSONBody
from msgspec import Meta, Struct

from controlplane.db.database import TenantTx
from controlplane.domain import assignments, handing_on, roles
from controlplane.domain.audit import Actor
from controlplane.domain.permission_names import ADMINISTRATION, PERMISSIONS
from controlplane.domain.permissions import UnknownRole, check_grantable
from controlplane.domain.roles import Role
from controlplane.http.authorize import Surface, rule
from controlplane.http.instants import Moment, moment
from controlplane.http.pages import Page, Paging
from controlplane.http.principals import AnyRequest
from controlplane.kit.ids import text_id
from controlplane.kit.problems import NotFound

Name = Annotated[str, Meta(min_length=2, max_length=63)]
Description = Annotated[str, Meta(max_length=500)]
Permissions = Annotated[list[str], Meta(max_length=len(PERMISSIONS))]


class NewRole(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    name: Name
    permissions: Permissions
    """No more than one's own."""
    description: Description = ""


class RoleChange(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is not given stays."""

    name: Name | None = None
    permissions: Permissions | None = None
    description: Description | None = None


class RoleView(Struct, frozen=True, kw_only=True):
    id: str
    name: str
    description: str
    permissions: list[str]
    built_in: bool
    created_at: Moment | None
    changed_at: Moment | None


class RolesController(Controller):
    path = "/roles"
    tags = ("roles",)

    @get("/", opt=rule(Surface.TENANT, "role:read"))
    async def listing(self, tx: NamedDependency[TenantTx], paging: NamedDependency[Paging]) -> Page[RoleView]:
        """The tenant's own roles, newest first, then the built-in ones."""
        rows = await roles.listing(tx, after=paging.after_id, limit=paging.fetch)
        return paging.page(rows, lambda role: role.id, _view)

    @post("/", status_code=201, opt=rule(Surface.TENANT, "role:write", fresh=True))
    async def create(
        self,
        data: JSONBody[NewRole],
        request: AnyRequest,
        tx: NamedDependency[TenantTx],
        actor: NamedDependency[Actor],
    ) -> RoleView:
        """Make a role. Nobody makes one that holds more than they do."""
        handing_on.permissions(request.user, data.permissions, data.name)
        return _view(await roles.create(tx, actor, data.name, data.permissions, data.description))

    @get("/{role:str}", opt=rule(Surface.TENANT, "role:read"))
    async def show(self, tx: NamedDependency[TenantTx], role: FromPath[str]) -> RoleView:
        """One role, by id or name."""
        return _view(await _found(tx, role))

    @patch("/{role:str}", opt=rule(Surface.TENANT, "role:write", fresh=True))
    async def change(
        self,
        data: JSONBody[RoleChange],
        request: AnyRequest,
        tx: NamedDependency[TenantTx],
        actor: NamedDependency[Actor],
        role: FromPath[str],
    ) -> RoleView:
        """Change a role of the tenant's own; it counts for all who hold it from the next call on."""
        found = await _found(tx, role)
        check_grantable(request.user, found.permissions & ADMINISTRATION, role=found.name)
        handing_on.permissions(request.user, data.permissions or (), found.name)
        changed = await roles.change(
            tx, actor, found, name=data.name, description=data.description, permissions=data.permissions
        )
        return _view(changed)

    @delete("/{role:str}", opt=rule(Surface.TENANT, "role:write", fresh=True))
    async def remove(
        self,
        request: AnyRequest,
        tx: NamedDependency[TenantTx],
        actor: NamedDependency[Actor],
        role: FromPath[str],
        replacement: FromQuery[str | None] = None,
    ) -> None:
        """Delete a role of the tenant's own that nobody holds; or give its holders *replacement* instead."""
        found = await _found(tx, role)
        check_grantable(request.user, found.permissions & ADMINISTRATION, role=found.name)
        instead = None if replacement is None else await handing_on.role(tx, request.user, replacement)
        await assignments.delete_role(tx, actor, found, instead)


async def _found(tx: TenantTx, reference: str) -> Role:
    """In a path a name that no role has is as absent as an id."""
    try:
        return await roles.named(tx, reference)
    except UnknownRole:
        raise NotFound from None


def _view(role: Role) -> RoleView:
    return RoleView(
        id=text_id("role", role.id),
        name=role.name,
        description=role.description,
        permissions=sorted(role.permissions),
        built_in=role.built_in,
        created_at=moment(role.created_at),
        changed_at=moment(role.changed_at),
    )
