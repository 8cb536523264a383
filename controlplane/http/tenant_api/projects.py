"""/v1/tenants/{tenant}/projects: what a tenant keeps apart."""

from litestar import Controller, get
from litestar.di import NamedDependency
from litestar.params import FromPath
from msgspec import Struct

from controlplane.db.database import TenantTx
from controlplane.domain import projects
from controlplane.http.authorize import Surface, rule
from controlplane.http.instants import Moment, moment
from controlplane.http.pages import Page, Paging
from controlplane.kit.ids import text_id


class ProjectView(Struct, frozen=True, kw_only=True):
    id: str
    slug: str
    name: str
    environment: str
    created_at: Moment


class ProjectsController(Controller):
    path = "/projects"
    tags = ("projects",)
    opt = rule(Surface.TENANT, "project:read")

    @get("/")
    async def listing(self, tx: NamedDependency[TenantTx], paging: NamedDependency[Paging]) -> Page[ProjectView]:
        """Projects, newest first."""
        rows = await projects.listing(tx, after=paging.after_id, limit=paging.fetch)
        return paging.page(rows, lambda project: project.id, _view)

    @get("/{project:str}")
    async def show(self, tx: NamedDependency[TenantTx], project: FromPath[str]) -> ProjectView:
        """One project, by id or slug."""
        return _view(await projects.named(tx, project))


def _view(project: projects.Project) -> ProjectView:
    return ProjectView(
        id=text_id("prj", project.id),
        slug=project.slug,
        name=project.name,
        environment=project.environment,
        created_at=moment(project.created_at),
    )
