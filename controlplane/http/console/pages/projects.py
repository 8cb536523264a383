"""Projects: what a tenant keeps apart, and in which environment each is."""

from typing import Annotated, Any, Final

from litestar import Request, Response
from litestar.di import NamedDependency
from litestar.params import FromPath
from msgspec import Meta, Struct

from controlplane.db.database import TenantTx
from controlplane.domain import projects
from controlplane.domain.audit import Actor
from controlplane.domain.newest import Reading
from controlplane.domain.projects import Environment, Project
from controlplane.http.console import forms
from controlplane.http.console.render import Page
from controlplane.http.console.screen import Screen, within

MOST: Final = 200


class ProjectsPage(Struct, frozen=True, kw_only=True):
    projects: list[Project]


class Filled(Struct, frozen=True, kw_only=True):
    """The form of a project."""

    slug: Annotated[str, Meta(max_length=40)] = ""
    name: Annotated[str, Meta(max_length=projects.MAX_NAME)] = ""
    environment: Environment = "dev"


class Turned(Struct, frozen=True, kw_only=True):
    archived: bool


async def gather(tx: Reading) -> ProjectsPage:
    return ProjectsPage(projects=await projects.listing(within(tx), after=None, limit=MOST))


async def page(screen: NamedDependency[Screen]) -> Response[str]:
    return await screen.show(_page())


async def make(
    request: Request[Any, Any, Any], screen: NamedDependency[Screen], actor: NamedDependency[Actor]
) -> Response[Any]:
    """Make a project."""
    filled = await forms.read(request, Filled)

    async def work(tx: TenantTx) -> None:
        await projects.create(tx, actor, filled.slug, filled.name, filled.environment)

    return await screen.act(work, "/projects", _page(filled))


async def change(
    request: Request[Any, Any, Any],
    screen: NamedDependency[Screen],
    actor: NamedDependency[Actor],
    project: FromPath[str],
) -> Response[Any]:
    """Call it something else, or say that it is another environment."""
    filled = await forms.read(request, Filled)

    async def work(tx: TenantTx) -> None:
        found = await projects.named(tx, project)
        await projects.change(tx, actor, found, name=filled.name, environment=filled.environment)

    return await screen.act(work, "/projects", _page())


async def turn(
    request: Request[Any, Any, Any],
    screen: NamedDependency[Screen],
    actor: NamedDependency[Actor],
    project: FromPath[str],
) -> Response[Any]:
    """Put it into the archive, or take it out."""
    filled = await forms.read(request, Turned)

    async def work(tx: TenantTx) -> None:
        found = await projects.named(tx, project)
        await (projects.archive if filled.archived else projects.restore)(tx, actor, found)

    return await screen.act(work, "/projects", _page())


def _page(filled: Filled = Filled()) -> Page:  # noqa: B008 frozen
    return Page(template="access/projects.html", parts=(), gather=gather, context={"filled": filled})
