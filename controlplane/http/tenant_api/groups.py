"""/v1/tenants/{tenant}/groups: people who hold the same roles."""

from typing import Annotated

from litestar import Controller, delete, get, patch, post, put
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody
from msgspec import Meta, Struct

from controlplane.db.database import TenantTx
from controlplane.domain import groups, handing_on
from controlplane.domain.audit import Actor
from controlplane.domain.holdings import Holder
from controlplane.http.authorize import Surface, rule
from controlplane.http.instants import Moment, moment
from controlplane.http.pages import Page, Paging
from controlplane.http.paths import identity
from controlplane.http.principals import AnyRequest
from controlplane.kit.ids import text_id

Name = Annotated[str, Meta(min_length=1, max_length=groups.MAX_NAME)]
Description = Annotated[str, Meta(max_length=500)]


class NewGroup(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    name: Name
    description: Description = ""


class GroupChange(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is not given stays."""

    name: Name | None = None
    description: Description | None = None


class GroupView(Struct, frozen=True, kw_only=True):
    id: str
    name: str
    description: str
    source: str
    """Who keeps it: ``local`` or ``scim``, the tenant's directory."""
    created_at: Moment


class MemberView(Struct, frozen=True, kw_only=True):
    id: str
    email: str
    name: str
    status: str


class GroupsController(Controller):
    path = "/groups"
    tags = ("groups",)

    @get("/", opt=rule(Surface.TENANT, "group:read"))
    async def listing(self, tx: NamedDependency[TenantTx], paging: NamedDependency[Paging]) -> Page[GroupView]:
        """Groups, newest first."""
        rows = await groups.listing(tx, after=paging.after_id, limit=paging.fetch)
        return paging.page(rows, lambda group: group.id, _view)

    @post("/", status_code=201, opt=rule(Surface.TENANT, "group:write"))
    async def create(
        self, data: JSONBody[NewGroup], tx: NamedDependency[TenantTx], actor: NamedDependency[Actor]
    ) -> GroupView:
        """Make a group. What its members hold by it are its role assignments."""
        return _view(await groups.create(tx, actor, data.name, data.description))

    @get("/{group:str}", opt=rule(Surface.TENANT, "group:read"))
    async def show(self, tx: NamedDependency[TenantTx], group: FromPath[str]) -> GroupView:
        """One group."""
        return _view(await groups.get(tx, identity("grp", group)))

    @patch("/{group:str}", opt=rule(Surface.TENANT, "group:write"))
    async def change(
        self,
        data: JSONBody[GroupChange],
        tx: NamedDependency[TenantTx],
        actor: NamedDependency[Actor],
        group: FromPath[str],
    ) -> GroupView:
        """Call it something else."""
        group_id = identity("grp", group)
        return _view(await groups.change(tx, actor, group_id, name=data.name, description=data.description))

    @delete("/{group:str}", opt=rule(Surface.TENANT, "group:write"))
    async def remove(
        self, request: AnyRequest, tx: NamedDependency[TenantTx], actor: NamedDependency[Actor], group: FromPath[str]
    ) -> None:
        """Delete a group; what its members held by it ends with it."""
        group_id = identity("grp", group)
        await handing_on.take_from(tx, request.user, Holder("group", group_id))
        await groups.delete(tx, actor, group_id)

    @get("/{group:str}/members", opt=rule(Surface.TENANT, "group:read"))
    async def members(
        self, tx: NamedDependency[TenantTx], paging: NamedDependency[Paging], group: FromPath[str]
    ) -> Page[MemberView]:
        """Who is in it."""
        rows = await groups.members(tx, identity("grp", group), after=paging.after_id, limit=paging.fetch)
        return paging.page(rows, lambda member: member.id, _member)

    @put("/{group:str}/members/{user:str}", status_code=204, opt=rule(Surface.TENANT, "group:write"))
    async def add(
        self,
        request: AnyRequest,
        tx: NamedDependency[TenantTx],
        actor: NamedDependency[Actor],
        group: FromPath[str],
        user: FromPath[str],
    ) -> None:
        """Put somebody into it: they hold what it holds, which the caller has to hold too."""
        group_id, user_id = identity("grp", group), identity("usr", user)
        await handing_on.group(tx, request.user, group_id)
        await groups.add_member(tx, actor, group_id, user_id)

    @delete("/{group:str}/members/{user:str}", opt=rule(Surface.TENANT, "group:write"))
    async def take_out(
        self,
        request: AnyRequest,
        tx: NamedDependency[TenantTx],
        actor: NamedDependency[Actor],
        group: FromPath[str],
        user: FromPath[str],
    ) -> None:
        """Take somebody out of it."""
        group_id, user_id = identity("grp", group), identity("usr", user)
        await handing_on.take_from(tx, request.user, Holder("group", group_id))
        await groups.remove_member(tx, actor, group_id, user_id)


def _view(group: groups.Group) -> GroupView:
    return GroupView(
        id=text_id("grp", group.id),
        name=group.name,
        description=group.description,
        source=group.source,
        created_at=moment(group.created_at),
    )


def _member(member: groups.Member) -> MemberView:
    return MemberView(id=text_id("usr", member.id), email=member.email_norm, name=member.name, status=member.status)
