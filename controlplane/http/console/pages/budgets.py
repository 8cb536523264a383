"""Budgets: how much is used, leased and left of each, at which runtime, and what was warned of."""

from collections.abc import Sequence
from functools import partial
from typing import Any, Final
from uuid import UUID

from litestar import Request, Response, get, post
from litestar.di import NamedDependency
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath, FromQuery
from litestar.response import ServerSentEvent
from msgspec import Struct

from controlplane.db import schema as t
from controlplane.db.database import TenantTx
from controlplane.domain import projects
from controlplane.domain.audit import Actor
from controlplane.domain.budgets import definitions, notices, standing
from controlplane.domain.budgets.definitions import MOST, Budget
from controlplane.domain.budgets.notices import Notice
from controlplane.domain.budgets.periods import NEVER
from controlplane.domain.budgets.standing import Share, Standing
from controlplane.domain.newest import Reading
from controlplane.domain.projects import Project
from controlplane.http.authorize import Surface, rule
from controlplane.http.console import forms
from controlplane.http.console.budget_form import EMPTY, Filled, filled
from controlplane.http.console.pages.leases import named
from controlplane.http.console.render import Page
from controlplane.http.console.screen import Screen, within
from controlplane.http.console.view import View
from controlplane.http.paths import identity

ROWS: Final = 100
NOTICES: Final = 30
SHOWS: Final = frozenset({"runtime:read", "project:read"})

NOTICE_STATES: Final = {
    "warned": "lagging",
    "exhausted": "failed",
    "unenforced": "lost",
    "released": "succeeded",
}
"""The mark of each."""

CONTEXT: Final = {"never": NEVER, "notice_states": NOTICE_STATES}


class BudgetsPage(Struct, frozen=True, kw_only=True):
    standings: list[Standing]
    names: dict[UUID, str]
    """Of projects and runtimes."""


class BudgetPage(Struct, frozen=True, kw_only=True):
    standing: Standing | None
    """None: it is to be made."""
    filled: Filled
    shares: list[Share]
    notices: Sequence[Notice]
    names: dict[UUID, str]
    projects: list[Project]
    runtimes: list["_Named"]


class _Named(Struct, frozen=True):
    id: UUID
    name: str


async def page(screen: NamedDependency[Screen]) -> Response[str]:
    return await screen.show(_all(screen.view))


async def live(screen: NamedDependency[Screen], seen: FromQuery[str] = "") -> ServerSentEvent:
    return screen.follow(_all(screen.view), seen=seen)


async def form(screen: NamedDependency[Screen]) -> Response[str]:
    return await screen.show(_one(screen.view, None))


async def make(
    request: Request[Any, Any, Any], screen: NamedDependency[Screen], actor: NamedDependency[Actor]
) -> Response[Any]:
    """Make a budget; it holds at each runtime once that was heard from."""
    given = await forms.read(request, Filled)

    async def work(tx: TenantTx) -> None:
        await definitions.create(tx, actor, await given.new(tx))

    return await screen.act(work, "/budgets", _one(screen.view, None, given))


async def one(screen: NamedDependency[Screen], budget: FromPath[str]) -> Response[str]:
    return await screen.show(_one(screen.view, budget))


async def live_one(
    screen: NamedDependency[Screen], budget: FromPath[str], seen: FromQuery[str] = ""
) -> ServerSentEvent:
    return screen.follow(_one(screen.view, budget), seen=seen)


async def change(
    request: Request[Any, Any, Any],
    screen: NamedDependency[Screen],
    actor: NamedDependency[Actor],
    budget: FromPath[str],
) -> Response[Any]:
    """Change its name, limit, thresholds or action."""
    given = await forms.read(request, Filled)

    async def work(tx: TenantTx) -> None:
        await definitions.change(tx, actor, identity("bud", budget), given.changes())

    return await screen.act(work, f"/budgets/{budget}", _one(screen.view, budget, given))


async def delete(
    screen: NamedDependency[Screen], actor: NamedDependency[Actor], budget: FromPath[str]
) -> Response[Any]:
    async def work(tx: TenantTx) -> None:
        await definitions.delete(tx, actor, identity("bud", budget))

    return await screen.act(work, "/budgets")


async def _gather_all(tx: Reading) -> BudgetsPage:
    own = within(tx)
    found = await definitions.listing(own, after=None, limit=MOST)
    return BudgetsPage(standings=await standing.of(own, found), names=await _names(own, found))


async def _gather_one(tx: Reading, budget: str | None, given: Filled | None) -> BudgetPage:
    own = within(tx)
    newest = own.select(t.runtimes).where(t.runtimes.c.revoked_at.is_(None)).order_by(t.runtimes.c.id.desc())
    offered: dict[str, Any] = {
        "projects": await projects.listing(own, after=None, limit=ROWS),
        "runtimes": await own.all(_Named, newest.limit(ROWS)),
    }
    if budget is None:
        return BudgetPage(standing=None, filled=given or EMPTY, shares=[], notices=[], names={}, **offered)
    its = await definitions.get(own, identity("bud", budget))
    shares = await standing.shares(own, its, limit=ROWS)
    said = await notices.listing(own, its.id, NOTICES)
    told_of = [each.runtime_id for each in said if each.runtime_id]
    names = await _names(own, [its]) | await named(own, t.runtimes, [each.runtime_id for each in shares] + told_of)
    return BudgetPage(
        standing=(await standing.of(own, [its]))[0],
        filled=given or filled(its),
        shares=shares,
        notices=said,
        names=names,
        **offered,
    )


async def _names(tx: TenantTx, budgets: Sequence[Budget]) -> dict[UUID, str]:
    """Of the projects and runtimes that budgets are for."""
    of_projects = await named(tx, t.projects, [each.project_id for each in budgets if each.project_id])
    return of_projects | await named(tx, t.runtimes, [each.runtime_id for each in budgets if each.runtime_id])


def _all(view: View) -> Page:
    return Page(
        template="budgets/page.html",
        parts=("budgets/list",),
        gather=_gather_all,
        context=CONTEXT,
        stream=f"{view.base}/budgets/live",
    )


def _one(view: View, budget: str | None, given: Filled | None = None) -> Page:
    stream = f"{view.base}/budgets/{budget}/live" if budget else None
    gather = partial(_gather_one, budget=budget, given=given)
    return Page(template="budgets/one.html", parts=("budgets/stands",), gather=gather, context=CONTEXT, stream=stream)


WRITE: Final = rule(Surface.CONSOLE, "budget:write", SHOWS | {"budget:read"}, fresh=True)
READ: Final = rule(Surface.CONSOLE, "budget:read", SHOWS)

HANDLERS: Final[Sequence[HTTPRouteHandler]] = (
    get("/budgets", opt=READ)(page),
    get("/budgets/live", opt=READ)(live),
    get("/budgets/new", opt=WRITE)(form),
    get("/budgets/{budget:str}", opt=READ)(one),
    get("/budgets/{budget:str}/live", opt=READ)(live_one),
    post("/budgets", status_code=200, opt=WRITE)(make),
    post("/budgets/{budget:str}", status_code=200, opt=WRITE)(change),
    post("/budgets/{budget:str}/delete", status_code=200, opt=WRITE)(delete),
)
"""Where these pages hang, below a tenant."""
