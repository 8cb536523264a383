"""/v1/tenants/{tenant}/runs: each finished execution of an agent's graph."""

from litestar import Controller, get
from litestar.di import NamedDependency
from litestar.params import FromPath

from controlplane.db.database import TenantTx
from controlplane.domain import runs
from controlplane.domain.outcomes import Filters
from controlplane.http.authorize import Surface, rule
from controlplane.http.pages import Page, Paging
from controlplane.http.paths import identity
from controlplane.http.tenant_api import views
from controlplane.http.tenant_api.filters import FILTERS
from controlplane.http.tenant_api.views import RunView


class RunsController(Controller):
    path = "/runs"
    tags = ("runs",)
    opt = rule(Surface.TENANT, "run:read")

    @get("/", dependencies=FILTERS)
    async def listing(
        self, tx: NamedDependency[TenantTx], filters: NamedDependency[Filters], paging: NamedDependency[Paging]
    ) -> Page[RunView]:
        """Runs, those of the newest session first. ``q`` as for sessions."""
        rows = await runs.listing(tx, filters, before=paging.after_id, limit=paging.fetch)
        return paging.page(rows, lambda row: row.id, views.run)

    @get("/{run:str}")
    async def show(self, tx: NamedDependency[TenantTx], run: FromPath[str]) -> RunView:
        """One run."""
        return views.run(await runs.get(tx, identity("run", run)))
