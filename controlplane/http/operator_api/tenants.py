"""/v1/operator/tenants: every tenant, and new ones."""

from typing import Annotated

from litestar import Controller, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, JSONBody
from msgspec import Meta, Struct

from controlplane.db.database import Database, PlatformTx
from controlplane.domain import people, tenants
from controlplane.domain.audit import Actor
from controlplane.domain.tenants import Status
from controlplane.http.authorize import Surface, rule
from controlplane.http.operator_api.lifecycle import found
from controlplane.http.pages import Page, Paging
from controlplane.http.tenant_view import OperatedTenantView, operated_view
from controlplane.http.words import word


class NewTenant(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    slug: Annotated[str, Meta(max_length=40)]
    name: Annotated[str, Meta(max_length=tenants.MAX_NAME)]
    owner: Annotated[str, Meta(max_length=254)] | None = None
    """E-mail address of its first owner; an account is made where there is none."""


class TenantsController(Controller):
    path = "/tenants"
    tags = ("operator",)

    @get("/", opt=rule(Surface.OPERATOR, "operator:tenant-read"))
    async def listing(
        self,
        db: NamedDependency[Database],
        paging: NamedDependency[Paging],
        status: FromQuery[Status | None] = None,
        q: FromQuery[str | None] = None,
    ) -> Page[OperatedTenantView]:
        """Every tenant, newest first. `q` is the start of a slug or a part of a name, in any case."""
        asked = word("q", q)
        async with db.operator() as tx:
            rows = await tenants.listing(tx, after=paging.after_id, limit=paging.fetch, status=status, q=asked)
        return paging.page(rows, lambda tenant: tenant.tenant_id, operated_view)

    @post("/", status_code=201, opt=rule(Surface.OPERATOR, "operator:tenant-write", fresh=True))
    async def create(
        self,
        data: JSONBody[NewTenant],
        db: NamedDependency[Database],
        actor: NamedDependency[Actor],
        tx: NamedDependency[PlatformTx],
    ) -> OperatedTenantView:
        """Create a tenant, with an owner or without."""
        del tx  # only the answer is kept in it: account and tenant are made in transactions of their own
        owner = None
        if data.owner is not None:
            async with db.platform() as platform_tx:
                owner = await people.account_for(platform_tx, actor, data.owner)
        async with db.new_tenant() as inside:
            tenant = await tenants.create(inside, actor, data.slug, data.name)
            if owner is not None:
                await people.add_user(inside, actor, owner, "owner")
        return operated_view(tenant)

    @get("/{target:str}", opt=rule(Surface.OPERATOR, "operator:tenant-read"))
    async def show(self, db: NamedDependency[Database], target: FromPath[str]) -> OperatedTenantView:
        """One tenant, by id or slug."""
        async with db.tenant(await found(db, target)) as tx:
            return operated_view(await tenants.get(tx))
