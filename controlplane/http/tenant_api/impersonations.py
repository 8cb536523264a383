"""/v1/tenants/{tenant}/impersonations: operators who want to work as the tenant's people, for its owners to decide."""

from litestar import Controller, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath

from controlplane.db.database import TenantTx
from controlplane.domain import handing_on
from controlplane.domain.audit import Actor
from controlplane.domain.impersonation import requests
from controlplane.domain.impersonation.requests import Impersonation
from controlplane.http.authorize import Surface, rule
from controlplane.http.impersonation_view import ImpersonationView, impersonation_view, operators_of
from controlplane.http.pages import Page, Paging
from controlplane.http.paths import identity
from controlplane.http.principals import AnyRequest


class ImpersonationsController(Controller):
    path = "/impersonations"
    tags = ("impersonations",)

    @get("/", opt=rule(Surface.TENANT, "impersonation:read"))
    async def listing(self, tx: NamedDependency[TenantTx], paging: NamedDependency[Paging]) -> Page[ImpersonationView]:
        """Who of the service asked to work as whom, newest first; what has ended included."""
        rows = await requests.listing(tx, after=paging.after_id, limit=paging.fetch)
        operators = await operators_of(tx.on_platform(), rows)
        return paging.page(rows, lambda row: row.id, lambda row: impersonation_view(row, operators, tx.now))

    @get("/{impersonation:str}", opt=rule(Surface.TENANT, "impersonation:read"))
    async def show(self, tx: NamedDependency[TenantTx], impersonation: FromPath[str]) -> ImpersonationView:
        """One of them."""
        return await _view(tx, await requests.get(tx, identity("imp", impersonation)))

    @post("/{impersonation:str}/consent", status_code=200, opt=rule(Surface.TENANT, "tenant:own", fresh=True))
    async def consent(
        self,
        request: AnyRequest,
        tx: NamedDependency[TenantTx],
        actor: NamedDependency[Actor],
        impersonation: FromPath[str],
    ) -> ImpersonationView:
        """Agree to it. The operator can begin it within eight hours, and has then as many minutes as they asked for."""
        by = handing_on.oneself(request.user)
        return await _view(tx, await requests.consent(tx, actor, by, identity("imp", impersonation)))

    @post("/{impersonation:str}/refuse", status_code=200, opt=rule(Surface.TENANT, "tenant:own"))
    async def refuse(
        self, tx: NamedDependency[TenantTx], actor: NamedDependency[Actor], impersonation: FromPath[str]
    ) -> ImpersonationView:
        """Do not let it happen."""
        return await _view(tx, await requests.refuse(tx, actor, identity("imp", impersonation)))

    @post("/{impersonation:str}/end", status_code=200, opt=rule(Surface.TENANT, "tenant:own"))
    async def end(
        self, tx: NamedDependency[TenantTx], actor: NamedDependency[Actor], impersonation: FromPath[str]
    ) -> ImpersonationView:
        """End it now, or take the consent back. From then on no request is done in it."""
        return await _view(tx, await requests.end(tx, actor, identity("imp", impersonation), "owner"))


async def _view(tx: TenantTx, row: Impersonation) -> ImpersonationView:
    return impersonation_view(row, await operators_of(tx.on_platform(), [row]), tx.now)
