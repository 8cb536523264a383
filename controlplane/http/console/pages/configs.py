"""Configuration: documents and their versions, how each reaches its runtimes, and who is not as they should be."""

from collections.abc import Sequence
from functools import partial
from typing import Any, Final
from uuid import UUID

from litestar import Request, Response, get, post
from litestar.di import NamedDependency
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath, FromQuery
from litestar.response import Redirect, ServerSentEvent
from msgspec import Struct

from controlplane.db import schema as t
from controlplane.db.database import TenantTx
from controlplane.domain import projects
from controlplane.domain.audit import Actor
from controlplane.domain.configs import checking, differences, documents, rollouts, standing
from controlplane.domain.configs.differences import Difference
from controlplane.domain.configs.documents import Config, Version
from controlplane.domain.configs.rollouts import Count, Rollout, Target
from controlplane.domain.configs.standing import Kept
from controlplane.domain.newest import Reading
from controlplane.domain.projects import Project
from controlplane.http.authorize import Surface, rule
from controlplane.http.console import forms
from controlplane.http.console.config_form import EMPTY, Filled, filled, scope_of
from controlplane.http.console.pages import askers
from controlplane.http.console.pages.leases import named
from controlplane.http.console.render import Page
from controlplane.http.console.screen import Screen, within
from controlplane.http.console.view import View
from controlplane.http.console.words import CONFIG_STATES
from controlplane.http.paths import identity, number
from controlplane.kit.ids import RuntimeId

ROWS: Final = 100
VERSIONS: Final = 30
SHOWS: Final = frozenset({"runtime:read", "project:read"})

ROLLOUT_STATES: Final = {
    "running": "running",
    "paused": "waiting",
    "finished": "succeeded",
    "failed": "failed",
    "cancelled": "cancelled",
}

MARKS: Final = {"states": CONFIG_STATES, "rollout_states": ROLLOUT_STATES}


class Progress(Struct, frozen=True, kw_only=True):
    """A roll-out, and how many runtimes have got how far."""

    rollout: Rollout
    counted: list[Count]

    def of(self, *outcomes: str) -> int:
        return sum(each.runtimes for each in self.counted if each.outcome in outcomes)

    @property
    def runtimes(self) -> int:
        return sum(each.runtimes for each in self.counted)

    @property
    def shares(self) -> list[tuple[str, float, float]]:
        """As a bar: kind, start and width in per cent."""
        whole = self.runtimes or 1
        out, x = [], 0.0
        for kind, runtimes in (
            ("acknowledged", self.of("applied")),
            ("lost", self.of("failed")),
            ("waiting", self.of("released", "fetched")),
        ):
            width = round(runtimes / whole * 100, 2)
            out.append((kind, round(x, 2), width))
            x += width
        return out


class ConfigsPage(Struct, frozen=True, kw_only=True):
    configs: list[Config]
    newest: dict[UUID, Progress]
    """The last roll-out of each."""
    astray: list[Kept]
    """Runtimes that are not as they should be."""
    names: dict[UUID, str]
    """Of projects and runtimes."""


class ConfigPage(Struct, frozen=True, kw_only=True):
    config: Config | None
    """None: it is to be made."""
    filled: Filled
    progress: Progress | None
    failed: list[Target]
    versions: list[Version]
    texts: list[tuple[str, str, int]]
    """Kind, name and version of each prompt and skill."""
    names: dict[UUID, str]
    called: dict[str, str]
    """Who made the versions."""
    projects: list[Project]
    runtimes: list["_Named"]


class VersionPage(Struct, frozen=True, kw_only=True):
    config: Config
    version: Version
    differences: list[Difference]
    names: dict[UUID, str]
    called: dict[str, str]


class _Named(Struct, frozen=True):
    id: UUID
    name: str


async def page(screen: NamedDependency[Screen]) -> Response[str]:
    return await screen.show(_all(screen.view))


async def live(screen: NamedDependency[Screen], seen: FromQuery[str] = "") -> ServerSentEvent:
    return screen.follow(_all(screen.view), seen=seen)


async def form(screen: NamedDependency[Screen], runtime: FromQuery[str] = "") -> Response[str]:
    """
    Args:
        runtime: For which it is meant; empty: nobody has said yet.
    """
    given = Filled(level="runtime", runtime=runtime[:40]) if runtime else None
    return await screen.show(_one(screen.view, None, given))


async def make(
    request: Request[Any, Any, Any], screen: NamedDependency[Screen], actor: NamedDependency[Actor]
) -> Response[Any]:
    """Make a document; it reaches its runtimes from now on."""
    given = await forms.read(request, Filled)

    async def work(tx: TenantTx) -> None:
        scope = await scope_of(tx, given)
        await documents.create(tx, actor, scope, given.edit(), given.rank)

    return await screen.act(work, "/configs", _one(screen.view, None, given))


async def one(screen: NamedDependency[Screen], config: FromPath[str]) -> Response[str]:
    return await screen.show(_one(screen.view, config))


async def live_one(
    screen: NamedDependency[Screen], config: FromPath[str], seen: FromQuery[str] = ""
) -> ServerSentEvent:
    return screen.follow(_one(screen.view, config), seen=seen)


async def save(
    request: Request[Any, Any, Any],
    screen: NamedDependency[Screen],
    actor: NamedDependency[Actor],
    config: FromPath[str],
) -> Response[Any]:
    """Make its next version, unless somebody else has made one since the form was opened."""
    given = await forms.read(request, Filled)

    async def work(tx: TenantTx) -> None:
        await documents.save(tx, actor, identity("cfg", config), given.edit(), given.version)

    return await screen.act(work, f"/configs/{config}", _one(screen.view, config, given))


async def delete(
    screen: NamedDependency[Screen], actor: NamedDependency[Actor], config: FromPath[str]
) -> Response[Any]:
    async def work(tx: TenantTx) -> None:
        await documents.delete(tx, actor, identity("cfg", config))

    return await screen.act(work, "/configs", _one(screen.view, config))


async def version(screen: NamedDependency[Screen], config: FromPath[str], version: FromPath[str]) -> Response[str]:
    gather = partial(_gather_version, config_id=identity("cfg", config), wanted=number(version))
    return await screen.show(Page(template="configs/version.html", parts=(), gather=gather, context=MARKS))


async def pause(
    screen: NamedDependency[Screen], actor: NamedDependency[Actor], config: FromPath[str], version: FromPath[str]
) -> Response[Any]:
    return await _turn(screen, config, partial(rollouts.pause, actor=actor, version=number(version)))


async def resume(
    screen: NamedDependency[Screen], actor: NamedDependency[Actor], config: FromPath[str], version: FromPath[str]
) -> Response[Any]:
    return await _turn(screen, config, partial(rollouts.resume, actor=actor, version=number(version)))


async def cancel(
    screen: NamedDependency[Screen], actor: NamedDependency[Actor], config: FromPath[str], version: FromPath[str]
) -> Response[Any]:
    return await _turn(screen, config, partial(rollouts.cancel, actor=actor, version=number(version)))


async def retry(
    screen: NamedDependency[Screen], actor: NamedDependency[Actor], runtime: FromPath[str]
) -> Response[Any]:
    """Have a runtime try again what it has failed at."""
    async with screen.inside() as tx:
        await standing.retry(tx, actor, RuntimeId(identity("rt", runtime)))
    return Redirect(f"{screen.view.base}/runtimes/{runtime}", status_code=303)


async def _turn(screen: Screen, config: str, act: Any) -> Response[Any]:
    config_id = identity("cfg", config)
    return await screen.act(lambda tx: act(tx, config_id=config_id), f"/configs/{config}", _one(screen.view, config))


async def _gather_all(tx: Reading) -> ConfigsPage:
    own = within(tx)
    found = await documents.listing(own, after=None, limit=ROWS)
    begun = await rollouts.listing(own, limit=5 * ROWS)
    last = {each.config_id: each for each in reversed(begun)}
    astray = [each for each in await standing.kept(own, ROWS) if each.word not in {"applied", "none"}]
    names = await names_of(own, found)
    names |= await named(own, t.runtimes, [each.runtime_id for each in astray])
    return ConfigsPage(configs=found, newest=await _progress(own, last.values()), astray=astray, names=names)


async def _gather_one(tx: Reading, config: str | None, given: Filled | None) -> ConfigPage:
    own = within(tx)
    newest = own.select(t.runtimes).where(t.runtimes.c.revoked_at.is_(None)).order_by(t.runtimes.c.id.desc())
    offered: dict[str, Any] = {
        "projects": await projects.listing(own, after=None, limit=ROWS),
        "runtimes": await own.all(_Named, newest.limit(ROWS)),
    }
    if config is None:
        nothing: dict[str, Any] = {
            "progress": None,
            "failed": [],
            "versions": [],
            "texts": [],
            "names": {},
            "called": {},
        }
        return ConfigPage(config=None, filled=given or EMPTY, **nothing, **offered)
    its = await documents.get(own, identity("cfg", config))
    last = (await rollouts.listing(own, config_id=its.id, limit=1))[0]
    history = await documents.versions(own, its.id, limit=VERSIONS)
    troubled = await rollouts.targets(own, last, ("failed", "missed"), limit=ROWS)
    names = await names_of(own, [its]) | await named(own, t.runtimes, [each.runtime_id for each in troubled])
    document = history[0].content()
    return ConfigPage(
        config=its,
        filled=given or filled(its, document, last),
        progress=(await _progress(own, [last]))[its.id],
        failed=troubled,
        versions=history,
        texts=[
            (kind, name, entry["version"])
            for kind in ("prompts", "skills")
            for name, entry in sorted((document.get(kind) or {}).items())
            if entry
        ],
        names=names,
        called=await askers.called(own, [each.created_by for each in history]),
        **offered,
    )


async def _gather_version(tx: Reading, config_id: UUID, wanted: int) -> VersionPage:
    own = within(tx)
    its = await documents.get(own, config_id)
    found = await documents.version(own, config_id, wanted)
    older = (await documents.version(own, config_id, found.version - 1)).content() if found.version > 1 else None
    between = differences.between(older, found.content())
    called = await askers.called(own, [found.created_by])
    return VersionPage(config=its, version=found, differences=between, names=await names_of(own, [its]), called=called)


async def _progress(tx: TenantTx, found: Any) -> dict[UUID, Progress]:
    known = list(found)
    counted = await rollouts.counts(tx, known)
    return {each.config_id: Progress(rollout=each, counted=counted[each.config_id, each.version]) for each in known}


async def names_of(tx: TenantTx, configs: Sequence[Config]) -> dict[UUID, str]:
    """Of the projects and runtimes that documents are for."""
    of_projects = await named(tx, t.projects, [each.project_id for each in configs if each.project_id])
    return of_projects | await named(tx, t.runtimes, [each.runtime_id for each in configs if each.runtime_id])


def _all(view: View) -> Page:
    return Page(
        template="configs/page.html",
        parts=("configs/list", "configs/astray"),
        gather=_gather_all,
        context=MARKS,
        stream=f"{view.base}/configs/live",
    )


def _one(view: View, config: str | None, given: Filled | None = None) -> Page:
    gather = partial(_gather_one, config=config, given=given)
    stream = f"{view.base}/configs/{config}/live" if config else None
    return Page(
        template="configs/one.html",
        parts=("configs/rollout",),
        gather=gather,
        context={**MARKS, "longest": checking.LONGEST},
        stream=stream,
    )


def _hung(address: str, act: Any) -> HTTPRouteHandler:
    takes = rule(Surface.CONSOLE, "config:write", SHOWS | {"config:read"}, fresh=True)
    return post(address, status_code=200, opt=takes)(act)


READ: Final = rule(Surface.CONSOLE, "config:read", SHOWS)

HANDLERS: Final[Sequence[HTTPRouteHandler]] = (
    get("/configs", opt=READ)(page),
    get("/configs/live", opt=READ)(live),
    get("/configs/new", opt=rule(Surface.CONSOLE, "config:write", SHOWS | {"config:read"}, fresh=True))(form),
    get("/configs/{config:str}", opt=READ)(one),
    get("/configs/{config:str}/live", opt=READ)(live_one),
    get("/configs/{config:str}/versions/{version:str}", opt=READ)(version),
    _hung("/configs", make),
    _hung("/configs/{config:str}", save),
    _hung("/configs/{config:str}/delete", delete),
    _hung("/configs/{config:str}/versions/{version:str}/pause", pause),
    _hung("/configs/{config:str}/versions/{version:str}/resume", resume),
    _hung("/configs/{config:str}/versions/{version:str}/cancel", cancel),
    _hung("/runtimes/{runtime:str}/configuration/retry", retry),
)
"""Where these pages hang, below a tenant."""
