"""/v1/tenants/{tenant}/role-assignments: who holds which role, and where it counts."""

from typing import Annotated, Literal

from litestar import Controller, delete, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, JSONBody
from msgspec import Meta, Struct

from controlplane.db.database import TenantTx
from controlplane.domain import assignments, handing_on, roles
from controlplane.domain.assignments import KINDS, Assignment, Found
from controlplane.domain.audit import Actor
from controlplane.domain.holdings import Holder, HolderKind
from controlplane.domain.permission_names import ADMINISTRATION, PERMISSIONS
from controlplane.domain.permissions import check_grantable
from controlplane.http.authorize import Surface, rule
from controlplane.http.instants import Moment, moment
from controlplane.http.pages import Page, Paging
from controlplane.http.paths import identity
from controlplane.http.principals import AnyRequest
from controlplane.http.problems import AtOdds, Invalid
from controlplane.http.tenant_api import filters
from controlplane.http.tenant_api.holding import LimitView, Word, limit_of, limit_view
from controlplane.kit.ids import text_id

Id = Annotated[str, Meta(max_length=40)]


class NewRoleAssignment(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One of *user*, *group* and *service_account* is given."""

    role: Annotated[str, Meta(max_length=63)]
    """Name or id."""
    user: Id | None = None
    group: Id | None = None
    service_account: Id | None = None
    project: Annotated[str, Meta(max_length=100)] | None = None
    """Slug or id; null: in every project."""
    labels: Annotated[dict[Word, Word], Meta(max_length=assignments.MOST_LABELS)] = {}
    """It counts for runtimes that have all of these, and for what they report."""


class HolderView(Struct, frozen=True, kw_only=True):
    kind: Literal["user", "group", "service-account"]
    id: str


class RoleAssignmentView(Struct, frozen=True, kw_only=True):
    id: str
    holder: HolderView
    role: str
    """Its id."""
    role_name: str
    limit: LimitView
    created_by: str
    created_at: Moment


class RoleAssignmentsController(Controller):
    path = "/role-assignments"
    tags = ("role-assignments",)

    @get("/", opt=rule(Surface.TENANT, "role:read"))
    async def listing(
        self,
        tx: NamedDependency[TenantTx],
        paging: NamedDependency[Paging],
        user: FromQuery[str | None] = None,
        group: FromQuery[str | None] = None,
        service_account: FromQuery[str | None] = None,
        permission: FromQuery[str | None] = None,
    ) -> Page[RoleAssignmentView]:
        """Who holds what, newest first. With *permission*: who may do this, and where."""
        if permission is not None and permission not in PERMISSIONS:
            raise Invalid([{"in": "query", "name": "permission", "detail": "no such permission"}])
        given: dict[HolderKind, str | None] = {"user": user, "group": group, "service-account": service_account}
        found = Found(holders=_asked_for(given), permission=permission)
        rows = await assignments.listing(tx, found, after=paging.after_id, limit=paging.fetch)
        return paging.page(rows, lambda row: row.id, _view)

    @post("/", status_code=201, opt=rule(Surface.TENANT, "role:assign", fresh=True))
    async def create(
        self,
        data: JSONBody[NewRoleAssignment],
        request: AnyRequest,
        tx: NamedDependency[TenantTx],
        actor: NamedDependency[Actor],
    ) -> RoleAssignmentView:
        """Give a role to a person, a group or a service account. Nobody gives out more than they hold."""
        limit = await limit_of(tx, data.project, dict(data.labels))
        role = await handing_on.role(tx, request.user, data.role, limit)
        return _view(await assignments.assign(tx, actor, _holder(data), role, limit))

    @get("/{assignment:str}", opt=rule(Surface.TENANT, "role:read"))
    async def show(self, tx: NamedDependency[TenantTx], assignment: FromPath[str]) -> RoleAssignmentView:
        """One of them."""
        return _view(await assignments.get(tx, identity("asg", assignment)))

    @delete("/{assignment:str}", opt=rule(Surface.TENANT, "role:assign", fresh=True))
    async def withdraw(
        self,
        request: AnyRequest,
        tx: NamedDependency[TenantTx],
        actor: NamedDependency[Actor],
        assignment: FromPath[str],
    ) -> None:
        """Take the role away; it counts no more from the next call on. The last owner stays one."""
        found = await assignments.get(tx, identity("asg", assignment))
        role = await roles.get(tx, found.role_id)
        check_grantable(request.user, role.permissions & ADMINISTRATION, found.limit, role=role.name)
        await assignments.withdraw(tx, actor, found)


def _holder(data: NewRoleAssignment) -> Holder:
    given: dict[HolderKind, str | None] = {
        "user": data.user,
        "group": data.group,
        "service-account": data.service_account,
    }
    named = [(kind, text) for kind, text in given.items() if text is not None]
    if len(named) != 1:
        raise AtOdds("one of user, group and service_account is needed, and no more")
    [(kind, text)] = named
    return Holder(kind, identity(KINDS[kind], text))


def _asked_for(given: dict[HolderKind, str | None]) -> tuple[Holder, ...]:
    found = []
    for kind, text in given.items():
        named = filters.identity(KINDS[kind], kind.replace("-", "_"), text)
        if named is not None:
            found.append(Holder(kind, named))
    return tuple(found)


def _view(row: Assignment) -> RoleAssignmentView:
    return RoleAssignmentView(
        id=text_id("asg", row.id),
        holder=HolderView(kind=row.holder.kind, id=text_id(KINDS[row.holder.kind], row.holder.id)),
        role=text_id("role", row.role_id),
        role_name=row.role,
        limit=limit_view(row.limit),
        created_by=row.created_by,
        created_at=moment(row.created_at),
    )
