"""Connections: which accounts elsewhere the tenant has, which want somebody, and the gallery to connect another."""

from collections.abc import Sequence
from datetime import datetime
from functools import partial
from typing import Annotated, Any, Final

from litestar import Request, Response, get, post
from litestar.di import NamedDependency
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromQuery
from litestar.response import Redirect
from msgspec import Meta, Struct

from controlplane.domain import projects, tenants
from controlplane.domain.audit import Actor
from controlplane.domain.newest import Reading
from controlplane.domain.projects import Project
from controlplane.domain.vault import apps, connecting, connections, statics
from controlplane.domain.vault.apps import App
from controlplane.domain.vault.connections import Connection
from controlplane.domain.vault.provider import Provider
from controlplane.domain.vault.provider import filled as filled_in
from controlplane.domain.vault.statics import NewStatic
from controlplane.http.authorize import Surface, rule
from controlplane.http.connecting import going, starting
from controlplane.http.connecting.desk import Desk, Vault
from controlplane.http.connecting.returning import TOLD
from controlplane.http.connecting.setting_up import WITH_APPS
from controlplane.http.connecting.starting import CONNECTABLE, Wanted
from controlplane.http.console import forms, render
from controlplane.http.console.render import Page
from controlplane.http.console.screen import Screen, within
from controlplane.http.console.words import CONNECTION_STATES
from controlplane.http.paths import identity
from controlplane.kit.ids import parse_id, text_id
from controlplane.kit.problems import NotFound, Refusal
from controlplane.kit.secret import Secret

ROWS: Final = 100
MOST_APPS: Final = 200
MOST_PROJECTS: Final = 200

OF_A_FIELD: Final = "field_"
OF_A_VARIABLE: Final = "variable_"
"""What the names of inputs begin with that a provider brings."""

WANT_SOMEBODY: Final = frozenset({"needs_reauth", "refresh_failing", "pending_confirm"})

ADDS: Final = frozenset({"connection:read", "oauth-app:read", "project:read"})


class Filled(Struct, frozen=True, kw_only=True):
    """The form of a new connection, without what is secret."""

    provider: Annotated[str, Meta(max_length=40)] = ""
    app: Annotated[str, Meta(max_length=40)] = ""
    name: Annotated[str, Meta(max_length=100)] = ""
    project: Annotated[str, Meta(max_length=63)] = ""
    scopes: Annotated[str, Meta(max_length=4_000)] = ""
    connection: Annotated[str, Meta(max_length=40)] = ""
    """What is to be connected anew."""
    other_account: Annotated[str, Meta(max_length=4)] = ""
    url: Annotated[str, Meta(max_length=2_000)] = ""
    """Of an MCP server."""
    way: Annotated[str, Meta(max_length=30)] = ""
    """Of an app that gets tokens by itself; with what it says of them:"""
    subject: Annotated[str, Meta(max_length=500)] = ""
    audience: Annotated[str, Meta(max_length=500)] = ""
    repositories: Annotated[str, Meta(max_length=4_000)] = ""
    permissions: Annotated[str, Meta(max_length=2_000)] = ""


EMPTY: Final = Filled()


class ConnectionsPage(Struct, frozen=True, kw_only=True):
    now: datetime
    rows: list[Connection]
    wanting: int
    """How many want somebody."""
    older: str | None
    providers: dict[str, str]
    """Their names by id."""


class Offer(Struct, frozen=True, kw_only=True):
    """A provider in the gallery, and how it can be had."""

    provider: Provider
    way: str
    """``connect``, ``put-in``, ``needs-app``, ``mint`` or ``by-program``."""


class GalleryPage(Struct, frozen=True, kw_only=True):
    groups: list[tuple[str, list[Offer]]]
    chosen: Provider | None
    apps: list[App]
    """Of the chosen one."""
    installs: dict[str, str]
    """Where an app is installed, by app, where that is what has to be done first."""
    projects: list[Project]
    elsewhere: bool
    """Whether somebody may consent on another device."""


async def page(
    screen: NamedDependency[Screen],
    vault: NamedDependency[Vault],
    before: FromQuery[str | None] = None,
    problem: FromQuery[str] = "",
) -> Response[str]:
    """With the reason why somebody has come back from a provider with nothing."""
    return await screen.show(_all(vault, before, TOLD.get(problem)))


async def gallery(
    screen: NamedDependency[Screen], vault: NamedDependency[Vault], provider: FromQuery[str] = ""
) -> Response[str]:
    return await screen.show(gallery_page(vault, Filled(provider=provider)))


async def put_in(
    request: Request[Any, Any, Any],
    screen: NamedDependency[Screen],
    actor: NamedDependency[Actor],
    vault: NamedDependency[Vault],
) -> Response[Any]:
    """Keep what somebody has typed in. It is shown to nobody again."""
    filled, given = await forms.read(request, Filled), await brought(request, OF_A_FIELD)
    try:
        provider = vault.provider(filled.provider)
        async with screen.inside() as tx:
            project = await projects.named(tx, filled.project) if filled.project else None
            new = NewStatic(
                name=filled.name.strip() or provider.name,
                fields={name: Secret(value) for name, value in given.items()},
                project_id=project.id if project else None,
            )
            made = await statics.create(tx, actor, provider, new)
    except NotFound:
        raise
    except Refusal as problem:
        return await screen.show(gallery_page(vault, filled), problem)
    return Redirect(f"{screen.view.base}/connections/{text_id('con', made.id)}", status_code=303)


async def connect(
    request: Request[Any, Any, Any],
    screen: NamedDependency[Screen],
    actor: NamedDependency[Actor],
    vault: NamedDependency[Vault],
    connect_desk: NamedDependency[Desk],
) -> Response[Any]:
    """Send this browser to the provider, to come back with an account of its own."""
    filled = await forms.read(request, Filled)
    wanted = await wanted_of(request, filled)
    try:
        return await off(screen, actor, connect_desk, wanted)
    except NotFound:
        raise
    except Refusal as problem:
        return await screen.show(gallery_page(vault, filled), problem)


async def wanted_of(request: Request[Any, Any, Any], filled: Filled) -> Wanted:
    """What the form of a connection wants to be begun."""
    return Wanted(
        provider=filled.provider,
        app_id=identity("app", filled.app) if filled.app else None,
        connection_id=identity("con", filled.connection) if filled.connection else None,
        other_account=bool(filled.other_account),
        variables=await brought(request, OF_A_VARIABLE),
        scopes=filled.scopes.split() or None,
        name=filled.name.strip(),
        project=filled.project or None,
    )


async def off(screen: Screen, actor: Actor, desk: Desk, wanted: Wanted) -> Response[Any]:
    """The page from which a browser goes on to the provider.

    Raises:
        Refusal: If it cannot be begun like this.
    """
    async with screen.inside() as tx:
        new = await starting.session(tx, desk.vault, screen.view.person, wanted)
        session, _ = await connecting.begin(tx, desk.pepper, actor, new)
        tenant_id = tx.tenant_id
    away = await going.go(desk, tenant_id, session.id)
    answer = render.html("away.html", {"url": away.url, "host": away.host})
    answer.cookies = [away.cookie]
    return answer


async def brought(request: Request[Any, Any, Any], prefix: str) -> dict[str, str]:
    """The inputs whose names begin with *prefix*, without it; those left empty are not brought."""
    form = await request.form()
    return {name.removeprefix(prefix): str(value) for name, value in form.items() if name.startswith(prefix) and value}


async def _gather_all(tx: Reading, vault: Vault, before: str | None) -> ConnectionsPage:
    after = parse_id("con", before) if before else None
    if before and after is None:
        raise NotFound
    rows = await connections.listing(within(tx), after=after, limit=ROWS + 1)
    order = list(CONNECTION_STATES)
    shown = sorted(rows[:ROWS], key=lambda row: order.index(row.state))
    return ConnectionsPage(
        now=tx.now,
        rows=shown,
        wanting=sum(row.state in WANT_SOMEBODY for row in shown),
        older=text_id("con", rows[ROWS - 1].id) if len(rows) > ROWS else None,
        providers={each.id: each.name for each in vault.catalogue.listing()},
    )


async def _gather_gallery(tx: Reading, vault: Vault, filled: Filled) -> GalleryPage:
    own = within(tx)
    known = [
        app for place in (own, own.on_platform()) for app in await apps.listing(place, after=None, limit=MOST_APPS)
    ]
    chosen = vault.catalogue.find(filled.provider) if filled.provider else None
    if filled.provider and chosen is None:
        raise NotFound
    with_app = {app.provider for app in known}
    groups: dict[str, list[Offer]] = {}
    for provider in vault.catalogue.listing():
        groups.setdefault(provider.category, []).append(Offer(provider=provider, way=_way(provider, with_app)))
    return GalleryPage(
        groups=sorted(groups.items()),
        chosen=chosen,
        apps=[app for app in known if chosen is not None and app.provider == chosen.id],
        installs=_installs(chosen, known) if chosen is not None else {},
        projects=await projects.listing(own, after=None, limit=MOST_PROJECTS),
        elsewhere=(await tenants.get(own)).device_flow,
    )


def _installs(chosen: Provider, known: Sequence[App]) -> dict[str, str]:
    """An address that a person opens; whatever it leaves open, the app has not said."""
    template = chosen.urls.install or ""
    places = {str(app.id): filled_in(template, app.variables) for app in known if app.provider == chosen.id}
    return {id_: url for id_, url in places.items() if url and "{" not in url}


def _way(provider: Provider, with_app: set[str]) -> str:
    if provider.kind == "static":
        return "put-in"
    if provider.kind == "mcp":
        return "connect"
    if provider.kind in WITH_APPS and provider.id not in with_app:
        return "needs-app"
    if provider.kind in CONNECTABLE:
        return "connect"
    return "mint" if provider.mints else "by-program"


def _all(vault: Vault, before: str | None = None, said: type[Refusal] | None = None) -> Page:
    gather = partial(_gather_all, vault=vault, before=before)
    return Page(template="connections/page.html", parts=(), gather=gather, context={"before": before, "said": said})


def gallery_page(vault: Vault, filled: Filled = EMPTY) -> Page:
    gather = partial(_gather_gallery, vault=vault, filled=filled)
    return Page(template="connections/new.html", parts=(), gather=gather, context={"filled": filled})


HANDLERS: Final[Sequence[HTTPRouteHandler]] = (
    get("/connections", opt=rule(Surface.CONSOLE, "connection:read"))(page),
    get("/connections/new", opt=rule(Surface.CONSOLE, "connection:connect", ADDS))(gallery),
    post("/connections", status_code=200, opt=rule(Surface.CONSOLE, "connection:write", ADDS, fresh=True))(put_in),
    post("/connections/new", status_code=200, opt=rule(Surface.CONSOLE, "connection:connect", ADDS))(connect),
)
"""Where these pages hang, below a tenant."""
