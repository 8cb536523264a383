"""/v1/tenants/{tenant}/checkpoints: the places from which an agent could go on."""

from litestar import Controller, get
from litestar.di import NamedDependency
from litestar.params import FromPath

from controlplane.db.database import TenantTx
from controlplane.domain import checkpoints
from controlplane.domain.checkpoints import Filters
from controlplane.domain.content import reading
from controlplane.http.authorize import Surface, rule
from controlplane.http.pages import Page, Paging
from controlplane.http.paths import identity
from controlplane.http.tenant_api import views
from controlplane.http.tenant_api.filters import CHECKPOINT_FILTERS
from controlplane.http.tenant_api.views import CheckpointView


class CheckpointsController(Controller):
    path = "/checkpoints"
    tags = ("checkpoints",)
    opt = rule(Surface.TENANT, "checkpoint:read")

    @get("/", dependencies=CHECKPOINT_FILTERS)
    async def listing(
        self, tx: NamedDependency[TenantTx], filters: NamedDependency[Filters], paging: NamedDependency[Paging]
    ) -> Page[CheckpointView]:
        """Checkpoints, newest first. Those of a run were made from its start until its session's next run."""
        rows = await checkpoints.listing(tx, filters, before=paging.after_id, limit=paging.fetch)
        found = await reading.standings(tx, tx.tenant_id, [row.id for row in rows])
        return paging.page(rows, lambda row: row.id, lambda row: views.checkpoint(row, found.get(row.id)))

    @get("/{checkpoint:str}")
    async def show(self, tx: NamedDependency[TenantTx], checkpoint: FromPath[str]) -> CheckpointView:
        """One checkpoint."""
        found = await checkpoints.get(tx, identity("cp", checkpoint))
        return views.checkpoint(found, (await reading.standings(tx, tx.tenant_id, [found.id])).get(found.id))
