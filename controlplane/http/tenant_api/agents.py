"""/v1/tenants/{tenant}/agents: what runs in the tenant's runtimes."""

from litestar import Controller, get
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery

from controlplane.db.database import TenantTx
from controlplane.domain import agents
from controlplane.http.authorize import Surface, rule
from controlplane.http.pages import Page, Paging
from controlplane.http.paths import identity
from controlplane.http.tenant_api import filters, views
from controlplane.http.tenant_api.views import AgentView
from controlplane.http.words import word


class AgentsController(Controller):
    path = "/agents"
    tags = ("agents",)
    opt = rule(Surface.TENANT, "agent:read")

    @get("/")
    async def listing(
        self,
        tx: NamedDependency[TenantTx],
        paging: NamedDependency[Paging],
        runtime: FromQuery[str | None] = None,
        project: FromQuery[str | None] = None,
    ) -> Page[AgentView]:
        """Agents, those of the newest runtime first."""
        rows = await agents.listing(
            tx,
            runtime_id=filters.identity("rt", "runtime", runtime),
            project=word("project", project),
            before=paging.after_id,
            limit=paging.fetch,
        )
        return paging.page(rows, lambda row: row.id, views.agent)

    @get("/{agent:str}")
    async def show(self, tx: NamedDependency[TenantTx], agent: FromPath[str]) -> AgentView:
        """One agent."""
        return views.agent(await agents.get(tx, identity("agt", agent)))
