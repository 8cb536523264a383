"""/v1/operator/tenants/{target}/…: what becomes of a tenant, and what it may use."""

from datetime import timedelta
from typing import Annotated, Any

from litestar import Controller, Request, Response, delete, get, post, put
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody
from msgspec import Meta, Struct, to_builtins

from controlplane.db.database import Database, PlatformTx
from controlplane.domain import purges, quotas, tenants
from controlplane.domain.audit import Actor
from controlplane.domain.keys import EVICTION
from controlplane.http.authorize import Surface, rule
from controlplane.http.tenant_view import (
    LimitsView,
    OperatedTenantView,
    limits_view,
    operated_view,
)
from controlplane.kit.ids import TenantId
from controlplane.kit.problems import NotFound
from controlplane.kit.wakeups import Wakeups

Most = Annotated[int, Meta(ge=0, le=1_000_000_000)]


class Suspension(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    reason: Annotated[str, Meta(max_length=500)] = ""
    """For operators."""
    message: Annotated[str, Meta(max_length=500)] = ""
    """For the tenant's people: they see it wherever they are turned away."""


class Agreement(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    plan: Annotated[str, Meta(max_length=40)] | None = None
    """Null: the default plan."""
    overrides: dict[str, Most | None] = {}
    """What is not the plan's, by kind; null is no limit."""


class PlanView(Struct, frozen=True, kw_only=True):
    name: str
    is_default: bool
    limits: dict[str, int | None]


class Plans(Struct, frozen=True, kw_only=True):
    data: list[PlanView]


class CertificateView(Struct, frozen=True, kw_only=True):
    facts: dict[str, Any]
    key_id: str
    """`certificate:` and this is its key's id in `/.well-known/jwks.json`."""
    signature: str


class LifecycleController(Controller):
    path = "/tenants/{target:str}"
    tags = ("operator",)

    @post("/suspend", status_code=200, opt=rule(Surface.OPERATOR, "operator:tenant-write", fresh=True))
    async def suspend(
        self,
        data: JSONBody[Suspension],
        db: NamedDependency[Database],
        actor: NamedDependency[Actor],
        wakeups: NamedDependency[Wakeups],
        target: FromPath[str],
    ) -> OperatedTenantView:
        """Stop serving a tenant, and keep its credentials sealed. Nothing is deleted; its runtimes keep what they have."""
        async with db.tenant(await found(db, target)) as tx:
            suspended = await tenants.suspend(tx, actor, data.reason, data.message)
        await wakeups.nudge(EVICTION)
        return operated_view(suspended)

    @post("/resume", status_code=200, opt=rule(Surface.OPERATOR, "operator:tenant-write", fresh=True))
    async def resume(
        self, db: NamedDependency[Database], actor: NamedDependency[Actor], target: FromPath[str]
    ) -> OperatedTenantView:
        """Serve a tenant again."""
        async with db.tenant(await found(db, target)) as tx:
            return operated_view(await tenants.resume(tx, actor))

    @delete("/", status_code=202, opt=rule(Surface.OPERATOR, "operator:tenant-delete", fresh=True))
    async def delete(
        self,
        request: Request[Any, Any, Any],
        db: NamedDependency[Database],
        actor: NamedDependency[Actor],
        target: FromPath[str],
    ) -> OperatedTenantView:
        """Have everything that a tenant has destroyed at `purge_at`. Until then it can be undeleted."""
        grace: timedelta = request.app.state.deletion_grace
        async with db.tenant(await found(db, target)) as tx:
            return operated_view(await tenants.delete(tx, actor, grace))

    @post("/undelete", status_code=200, opt=rule(Surface.OPERATOR, "operator:tenant-delete", fresh=True))
    async def undelete(
        self, db: NamedDependency[Database], actor: NamedDependency[Actor], target: FromPath[str]
    ) -> OperatedTenantView:
        """Take a deletion back: the tenant is what it was before."""
        async with db.tenant(await found(db, target)) as tx:
            return operated_view(await tenants.undelete(tx, actor))

    @get("/certificate", opt=rule(Surface.OPERATOR, "operator:tenant-read"))
    async def certificate(
        self, tx: NamedDependency[PlatformTx], db: NamedDependency[Database], target: FromPath[str]
    ) -> Response[CertificateView]:
        """The signed proof that a tenant was purged; by id, as its slug may be somebody else's by now."""
        certificate = await purges.certificate_of(tx, await found(db, target))
        if certificate is None:
            raise NotFound
        facts = to_builtins(certificate.facts)
        return Response(CertificateView(facts=facts, key_id=certificate.key_id, signature=certificate.signature))

    @get("/limits", opt=rule(Surface.OPERATOR, "operator:tenant-read"))
    async def limits(self, db: NamedDependency[Database], target: FromPath[str]) -> LimitsView:
        """What a tenant may use, and how much of it is in use."""
        async with db.tenant(await found(db, target)) as tx:
            return await limits_view(tx)

    @put("/limits", opt=rule(Surface.OPERATOR, "operator:tenant-write", fresh=True))
    async def agree(
        self,
        data: JSONBody[Agreement],
        db: NamedDependency[Database],
        actor: NamedDependency[Actor],
        target: FromPath[str],
    ) -> LimitsView:
        """Set a tenant's plan, and what is agreed with it alone. What it has already stays, even where it is more."""
        async with db.tenant(await found(db, target)) as tx:
            await tenants.get(tx)
            await quotas.agree(tx, actor, data.plan, data.overrides)
            return await limits_view(tx)


@get("/plans", opt=rule(Surface.OPERATOR, "operator:tenant-read"), tags=["operator"])
async def plans(tx: NamedDependency[PlatformTx]) -> Plans:
    """The plans that are configured, the default one first. They change with the configuration, not here."""
    found = await quotas.plans(tx)
    return Plans(
        data=[
            PlanView(name=name, is_default=number == 0, limits=limits)
            for number, (name, limits) in enumerate(found.items())
        ]
    )


async def found(db: Database, reference: str) -> TenantId:
    """
    Raises:
        NotFound: If *reference* can mean no tenant.
    """
    tenant_id = await tenants.find(db, reference)
    if tenant_id is None:
        raise NotFound
    return tenant_id
