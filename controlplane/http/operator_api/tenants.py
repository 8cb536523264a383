"""/v1/operator/tenants: every tenant, and its life cycle."""

from typing import Annotated

from litestar import Controller, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody
from msgspec import Meta, Struct

from controlplane.db.database import Database, PlatformTx
from controlplane.domain import people, tenants
from controlplane.domain.audit import Actor
from controlplane.http.authorize import Surface, rule
from controlplane.http.pages import Page, Paging
from controlplane.http.tenant_view import TenantView, tenant_view
from controlplane.kit.ids import TenantId
from controlplane.kit.problems import NotFound


class NewTenant(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    slug: Annotated[str, Meta(max_length=40)]
    name: Annotated[str, Meta(max_length=tenants.MAX_NAME)]
    owner: Annotated[str, Meta(max_length=254)] | None = None
    """E-mail address of its first owner; an account is made where there is none."""


class Suspension(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    reason: Annotated[str, Meta(max_length=500)] = ""
    """Shown to the tenant's people."""


class TenantsController(Controller):
    path = "/tenants"
    tags = ("operator",)

    @get("/", opt=rule(Surface.OPERATOR, "operator:tenant-read"))
    async def listing(self, db: NamedDependency[Database], paging: NamedDependency[Paging]) -> Page[TenantView]:
        """Every tenant, newest first."""
        async with db.operator() as tx:
            rows = await tenants.listing(tx, after=paging.after_id, limit=paging.fetch)
        return paging.page(rows, lambda tenant: tenant.tenant_id, tenant_view)

    @post("/", status_code=201, opt=rule(Surface.OPERATOR, "operator:tenant-write"))
    async def create(
        self,
        data: JSONBody[NewTenant],
        db: NamedDependency[Database],
        actor: NamedDependency[Actor],
        tx: NamedDependency[PlatformTx],
    ) -> TenantView:
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
        return tenant_view(tenant)

    @get("/{target:str}", opt=rule(Surface.OPERATOR, "operator:tenant-read"))
    async def show(self, db: NamedDependency[Database], target: FromPath[str]) -> TenantView:
        """One tenant, by id or slug."""
        async with db.tenant(await _found(db, target)) as tx:
            return tenant_view(await tenants.get(tx))

    @post("/{target:str}/suspend", status_code=200, opt=rule(Surface.OPERATOR, "operator:tenant-write"))
    async def suspend(
        self,
        data: JSONBody[Suspension],
        db: NamedDependency[Database],
        actor: NamedDependency[Actor],
        target: FromPath[str],
    ) -> TenantView:
        """Stop serving a tenant. Nothing is deleted, and its runtimes keep what they have."""
        async with db.tenant(await _found(db, target)) as tx:
            return tenant_view(await tenants.suspend(tx, actor, data.reason))

    @post("/{target:str}/resume", status_code=200, opt=rule(Surface.OPERATOR, "operator:tenant-write"))
    async def resume(
        self, db: NamedDependency[Database], actor: NamedDependency[Actor], target: FromPath[str]
    ) -> TenantView:
        """Serve a tenant again."""
        async with db.tenant(await _found(db, target)) as tx:
            return tenant_view(await tenants.resume(tx, actor))


async def _found(db: Database, reference: str) -> TenantId:
    tenant_id = await tenants.find(db, reference)
    if tenant_id is None:
        raise NotFound
    return tenant_id
