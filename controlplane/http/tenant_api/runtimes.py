"""/v1/tenants/{tenant}/runtimes: the tenant's fleet, and whether each tells us everything."""

from typing import Annotated

from litestar import Controller, delete, get
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, QueryParameter

from controlplane.db.database import TenantTx
from controlplane.domain import fleet, runtimes
from controlplane.domain.audit import Actor
from controlplane.domain.vault import leased
from controlplane.domain.vault.leased import Which
from controlplane.http.authorize import Surface, rule
from controlplane.http.pages import Page, Paging
from controlplane.http.paths import identity
from controlplane.http.tenant_api import filters, views
from controlplane.http.tenant_api.views import RuntimeView
from controlplane.http.words import word
from controlplane.kit.ids import RuntimeId


class RuntimesController(Controller):
    path = "/runtimes"
    tags = ("runtimes",)

    @get("/", opt=rule(Surface.TENANT, "runtime:read"))
    async def listing(
        self,
        tx: NamedDependency[TenantTx],
        paging: NamedDependency[Paging],
        project: FromQuery[str | None] = None,
        in_state: Annotated[str | None, QueryParameter(name="state", schema_extra={"enum": filters.STATES})] = None,
    ) -> Page[RuntimeView]:
        """Runtimes, the one that joined last first; those that were told to go included."""
        rows = await fleet.listing(
            tx,
            state=filters.state(in_state),
            project=word("project", project),
            before=paging.after_id,
            limit=paging.fetch,
        )
        ledgers = await fleet.ledgers(tx, rows)
        return paging.page(rows, lambda row: row.id, lambda row: views.runtime(row, ledgers[row.id]))

    @get("/{runtime:str}", opt=rule(Surface.TENANT, "runtime:read"))
    async def show(self, tx: NamedDependency[TenantTx], runtime: FromPath[str]) -> RuntimeView:
        """One runtime with its ledger."""
        row = await fleet.get(tx, identity("rt", runtime))
        return views.runtime(row, (await fleet.ledgers(tx, [row]))[row.id])

    @delete("/{runtime:str}", opt=rule(Surface.TENANT, "runtime:write"))
    async def revoke(
        self, tx: NamedDependency[TenantTx], actor: NamedDependency[Actor], runtime: FromPath[str]
    ) -> None:
        """End its access at its next call, and its leases. What it has sent stays; doing it again changes nothing."""
        runtime_id = RuntimeId(identity("rt", runtime))
        await runtimes.revoke(tx, actor, runtime_id)
        await leased.revoke_all(tx, actor, Which(runtime_id=runtime_id))
