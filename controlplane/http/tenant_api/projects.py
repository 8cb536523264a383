"""/v1/tenants/{tenant}/projects: what a tenant keeps apart, each in one environment."""

from typing import Annotated

from litestar import Controller, get, patch, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody
from msgspec import Meta, Struct

from controlplane.db.database import TenantTx
from controlplane.domain import projects
from controlplane.domain.audit import Actor
from controlplane.domain.projects import Environment
from controlplane.http.authorize import Surface, rule
from controlplane.http.instants import Moment, moment
from controlplane.http.pages import Page, Paging
from controlplane.kit.ids import text_id

Name = Annotated[str, Meta(min_length=1, max_length=projects.MAX_NAME)]


class NewProject(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    slug: Annotated[str, Meta(min_length=2, max_length=40)]
    name: Name
    environment: Environment = "dev"


class ProjectChange(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is not given stays. A slug never changes: it is part of addresses."""

    name: Name | None = None
    environment: Environment | None = None


class ProjectView(Struct, frozen=True, kw_only=True):
    id: str
    slug: str
    name: str
    environment: str
    created_at: Moment
    archived_at: Moment | None


class ProjectsController(Controller):
    path = "/projects"
    tags = ("projects",)

    @get("/", opt=rule(Surface.TENANT, "project:read"))
    async def listing(self, tx: NamedDependency[TenantTx], paging: NamedDependency[Paging]) -> Page[ProjectView]:
        """Projects, newest first; archived ones included."""
        rows = await projects.listing(tx, after=paging.after_id, limit=paging.fetch)
        return paging.page(rows, lambda project: project.id, _view)

    @post("/", status_code=201, opt=rule(Surface.TENANT, "project:write"))
    async def create(
        self, data: JSONBody[NewProject], tx: NamedDependency[TenantTx], actor: NamedDependency[Actor]
    ) -> ProjectView:
        """Make a project."""
        return _view(await projects.create(tx, actor, data.slug, data.name, data.environment))

    @get("/{project:str}", opt=rule(Surface.TENANT, "project:read"))
    async def show(self, tx: NamedDependency[TenantTx], project: FromPath[str]) -> ProjectView:
        """One project, by id or slug."""
        return _view(await projects.named(tx, project))

    @patch("/{project:str}", opt=rule(Surface.TENANT, "project:write"))
    async def change(
        self,
        data: JSONBody[ProjectChange],
        tx: NamedDependency[TenantTx],
        actor: NamedDependency[Actor],
        project: FromPath[str],
    ) -> ProjectView:
        """Call it something else, or say that it is another environment."""
        found = await projects.named(tx, project)
        return _view(await projects.change(tx, actor, found, name=data.name, environment=data.environment))

    @post("/{project:str}/archive", status_code=200, opt=rule(Surface.TENANT, "project:write"))
    async def archive(
        self, tx: NamedDependency[TenantTx], actor: NamedDependency[Actor], project: FromPath[str]
    ) -> ProjectView:
        """Let no more runtimes in. Those that are in it go on reporting, and nothing of it is deleted."""
        return _view(await projects.archive(tx, actor, await projects.named(tx, project)))

    @post("/{project:str}/restore", status_code=200, opt=rule(Surface.TENANT, "project:write"))
    async def restore(
        self, tx: NamedDependency[TenantTx], actor: NamedDependency[Actor], project: FromPath[str]
    ) -> ProjectView:
        """Take it out of the archive."""
        return _view(await projects.restore(tx, actor, await projects.named(tx, project)))


def _view(project: projects.Project) -> ProjectView:
    return ProjectView(
        id=text_id("prj", project.id),
        slug=project.slug,
        name=project.name,
        environment=project.environment,
        created_at=moment(project.created_at),
        archived_at=moment(project.archived_at),
    )
