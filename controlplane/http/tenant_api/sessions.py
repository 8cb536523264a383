"""/v1/tenants/{tenant}/sessions: what agents have been working on."""

from litestar import Controller, get
from litestar.di import NamedDependency
from litestar.params import FromPath

from controlplane.db.database import TenantTx
from controlplane.domain import sessions
from controlplane.domain.outcomes import Filters
from controlplane.http.authorize import Surface, rule
from controlplane.http.pages import Page, Paging
from controlplane.http.paths import identity
from controlplane.http.tenant_api import views
from controlplane.http.tenant_api.filters import FILTERS
from controlplane.http.tenant_api.views import SessionView, WholeSessionView


class SessionsController(Controller):
    path = "/sessions"
    tags = ("sessions",)
    opt = rule(Surface.TENANT, "session:read")

    @get("/", dependencies=FILTERS)
    async def listing(
        self, tx: NamedDependency[TenantTx], filters: NamedDependency[Filters], paging: NamedDependency[Paging]
    ) -> Page[SessionView]:
        """Sessions, newest first. ``q`` is the start of an agent's name, or of the source's own session id."""
        rows = await sessions.listing(tx, filters, before=paging.after_id, limit=paging.fetch)
        totals = await sessions.totals(tx, rows)
        return paging.page(rows, lambda row: row.id, lambda row: views.session(row, totals[row.id]))

    @get("/{session:str}")
    async def show(self, tx: NamedDependency[TenantTx], session: FromPath[str]) -> WholeSessionView:
        """One session, with its path through the nodes."""
        row = await sessions.get(tx, identity("ses", session))
        totals = await sessions.totals(tx, [row])
        return views.whole_session(row, totals[row.id])
