"""Policies: which runtimes may use which connections, and how. Nobody may unless one says so, and a no wins."""

from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any, Final, Literal
from uuid import UUID

from litestar import Request, Response, get, post
from litestar.di import NamedDependency
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath, FromQuery
from litestar.response import Redirect
from msgspec import Struct

from controlplane.db import schema as t
from controlplane.db.database import TenantTx
from controlplane.domain import projects
from controlplane.domain.audit import Actor
from controlplane.domain.newest import Reading
from controlplane.domain.vault import connections, foreseeing, policies
from controlplane.domain.vault.deciding import DAYS
from controlplane.domain.vault.foreseeing import Foreseen
from controlplane.domain.vault.policies import Change, Policy
from controlplane.http.authorize import Surface, rule
from controlplane.http.connecting.desk import Vault
from controlplane.http.console import forms, policy_words
from controlplane.http.console.pages.leases import named
from controlplane.http.console.policy_form import Filled, filled, rest
from controlplane.http.console.policy_words import MODES, Said
from controlplane.http.console.render import Page
from controlplane.http.console.screen import Screen, within
from controlplane.http.paths import identity
from controlplane.kit.ids import parse_id, text_id
from controlplane.kit.problems import NotFound, Refusal

ROWS: Final = 100
MOST_OFFERED: Final = 100
"""Of each kind, in a form."""

SHOWS: Final = frozenset({"connection:read", "runtime:read", "project:read"})
"""What is named in policies, and offered in their form."""

EMPTY: Final = Filled(mode=["lease"])


class PolicyMoved(Refusal):
    code, status, title = "policy-moved", 409, "Somebody else has changed this policy meanwhile"
    hint = "What stands below is what you wanted. Open the policy anew to see what it is now."


class Turn(Struct, frozen=True, kw_only=True):
    to: Literal["on", "off"]


class Line(Struct, frozen=True, kw_only=True):
    """A policy in words."""

    policy: Policy
    who: list[Said]
    what: list[Said]
    only: list[Said]


class PoliciesPage(Struct, frozen=True, kw_only=True):
    lines: list[Line]
    older: str | None


class Choice(Struct, frozen=True, kw_only=True):
    id: str
    name: str


class Offer(Struct, frozen=True, kw_only=True):
    """What can be chosen in a form; what was chosen already and is not among the newest stands behind them."""

    runtimes: list[Choice]
    projects: list[Choice]
    connections: list[Choice]
    providers: list[Choice]


class PolicyPage(Struct, frozen=True, kw_only=True):
    policy: Policy | None
    """None: it is to be made."""
    line: Line | None
    filled: Filled
    offer: Offer
    foreseen: Foreseen | None


class _Named(Struct, frozen=True):
    id: UUID
    name: str


async def page(
    screen: NamedDependency[Screen], vault: NamedDependency[Vault], before: FromQuery[str | None] = None
) -> Response[str]:
    gather = partial(_gather_all, vault=vault, before=before)
    return await screen.show(
        Page(template="policies/page.html", parts=(), gather=gather, context={"before": before, "modes": MODES})
    )


async def form(
    screen: NamedDependency[Screen], vault: NamedDependency[Vault], connection: FromQuery[str] = ""
) -> Response[str]:
    """An empty one, or for one connection."""
    return await screen.show(_new(vault, Filled(mode=["lease"], connection=[connection]) if connection else EMPTY))


async def make(
    request: Request[Any, Any, Any],
    screen: NamedDependency[Screen],
    actor: NamedDependency[Actor],
    vault: NamedDependency[Vault],
) -> Response[Any]:
    """Make a policy. It holds at once."""
    given = await forms.read(request, Filled)

    async def work(tx: TenantTx) -> None:
        await policies.create(tx, actor, given.new())

    return await screen.act(work, "/policies", _new(vault, given))


async def one(screen: NamedDependency[Screen], vault: NamedDependency[Vault], policy: FromPath[str]) -> Response[str]:
    return await screen.show(_one(vault, policy))


async def change(
    request: Request[Any, Any, Any],
    screen: NamedDependency[Screen],
    actor: NamedDependency[Actor],
    vault: NamedDependency[Vault],
    policy: FromPath[str],
) -> Response[Any]:
    """Let it say what the form says, unless it has become another since the form was opened."""
    given = await forms.read(request, Filled)

    async def work(tx: TenantTx) -> None:
        changed = await policies.change(tx, actor, identity("pol", policy), given.change())
        if changed.version != given.version + 1:
            raise PolicyMoved

    return await screen.act(work, "/policies", _one(vault, policy, given))


async def foresee_new(
    request: Request[Any, Any, Any], screen: NamedDependency[Screen], vault: NamedDependency[Vault]
) -> Response[Any]:
    """Say what a new one would change, and change nothing."""
    return await _foreseen(request, screen, vault, None)


async def foresee(
    request: Request[Any, Any, Any],
    screen: NamedDependency[Screen],
    vault: NamedDependency[Vault],
    policy: FromPath[str],
) -> Response[Any]:
    """Say what saving the form would change, and change nothing."""
    return await _foreseen(request, screen, vault, policy)


async def turn(
    request: Request[Any, Any, Any],
    screen: NamedDependency[Screen],
    actor: NamedDependency[Actor],
    policy: FromPath[str],
) -> Response[Any]:
    """Have it count, or not."""
    wanted = await forms.read(request, Turn)

    async def work(tx: TenantTx) -> None:
        await policies.change(tx, actor, identity("pol", policy), Change(enabled=wanted.to == "on"))

    return await screen.act(work, f"/policies/{policy}")


async def delete(
    screen: NamedDependency[Screen], actor: NamedDependency[Actor], policy: FromPath[str]
) -> Response[Any]:
    async with screen.inside() as tx:
        await policies.delete(tx, actor, identity("pol", policy))
    return Redirect(f"{screen.view.base}/policies", status_code=303)


async def _foreseen(request: Request[Any, Any, Any], screen: Screen, vault: Vault, policy: str | None) -> Response[str]:
    given = await forms.read(request, Filled)
    try:
        given.new()
    except Refusal as problem:
        return await screen.show(_one(vault, policy, given), problem)
    return await screen.show(_one(vault, policy, given, foreseen=True))


async def _gather_all(tx: Reading, vault: Vault, before: str | None) -> PoliciesPage:
    own, after = within(tx), parse_id("pol", before) if before else None
    if before and after is None:
        raise NotFound
    rows = await policies.listing(own, after=after, limit=ROWS + 1)
    lines = await _lines(own, vault, rows[:ROWS])
    return PoliciesPage(lines=lines, older=text_id("pol", rows[ROWS - 1].id) if len(rows) > ROWS else None)


async def _gather_one(
    tx: Reading, vault: Vault, policy: str | None, given: Filled | None, foreseen: bool
) -> PolicyPage:
    own = within(tx)
    its = await policies.get(own, identity("pol", policy)) if policy is not None else None
    lines = await _lines(own, vault, [its] if its else [])
    shown = given or (filled(its) if its else EMPTY)
    offer = await _offer(own, vault, shown)
    ahead = await foreseeing.foreseen(own, shown.new(), its.id if its else None) if foreseen else None
    return PolicyPage(policy=its, line=lines[0] if lines else None, filled=shown, offer=offer, foreseen=ahead)


async def _lines(tx: TenantTx, vault: Vault, rows: Sequence[Policy]) -> list[Line]:
    names = {each.id: each.name for each in vault.catalogue.listing()}
    names |= await _names(tx, "rt", [each for row in rows for each in row.subject.runtimes])
    names |= await _names(tx, "prj", [each for row in rows for each in row.subject.projects])
    names |= await _names(tx, "con", [each for row in rows for each in row.connections.ids])
    return [
        Line(
            policy=row,
            who=policy_words.who(row.subject, names),
            what=policy_words.what(row.connections, names),
            only=policy_words.only(row.conditions),
        )
        for row in rows
    ]


async def _names(tx: TenantTx, kind: Literal["rt", "prj", "con"], shown: Iterable[str]) -> dict[str, str]:
    """What those of *shown* are called that there are."""
    table = {"rt": t.runtimes, "prj": t.projects, "con": t.connections}[kind]
    ids = [found for each in shown if (found := parse_id(kind, each)) is not None]
    return {text_id(kind, id_): name for id_, name in (await named(tx, table, ids)).items()}


async def _offer(tx: TenantTx, vault: Vault, shown: Filled) -> Offer:
    newest = tx.select(t.runtimes).with_only_columns(t.runtimes.c.id, t.runtimes.c.name)
    living = newest.where(t.runtimes.c.revoked_at.is_(None)).order_by(t.runtimes.c.id.desc()).limit(MOST_OFFERED)
    runtimes = {text_id("rt", row.id): row.name for row in await tx.all(_Named, living)}
    known = await connections.listing(tx, limit=MOST_OFFERED)
    joined = await projects.listing(tx, after=None, limit=MOST_OFFERED)
    providers = {each.id: each.name for each in vault.catalogue.listing()}
    return Offer(
        runtimes=await _choices(tx, "rt", runtimes, shown.runtime),
        projects=await _choices(tx, "prj", {text_id("prj", row.id): row.name for row in joined}, shown.project),
        connections=await _choices(tx, "con", {text_id("con", row.id): row.name for row in known}, shown.connection),
        providers=[Choice(id=each, name=name) for each, name in providers.items()]
        + [Choice(id=each, name=each) for each in rest(shown.provider, providers)],
    )


async def _choices(
    tx: TenantTx, kind: Literal["rt", "prj", "con"], offered: dict[str, str], chosen: Sequence[str]
) -> list[Choice]:
    others = rest(chosen, offered)
    names = await _names(tx, kind, others)
    return [Choice(id=id_, name=name) for id_, name in offered.items()] + [
        Choice(id=each, name=names.get(each, each)) for each in others
    ]


def _new(vault: Vault, given: Filled) -> Page:
    return _one(vault, None, given)


def _one(vault: Vault, policy: str | None, given: Filled | None = None, *, foreseen: bool = False) -> Page:
    gather = partial(_gather_one, vault=vault, policy=policy, given=given, foreseen=foreseen)
    return Page(template="policies/one.html", parts=(), gather=gather, context={"modes": MODES, "days": DAYS})


def _hung(address: str, act: Any) -> HTTPRouteHandler:
    takes = rule(Surface.CONSOLE, "policy:write", SHOWS | {"policy:read"}, fresh=True)
    return post(address, status_code=200, opt=takes)(act)


READ: Final = rule(Surface.CONSOLE, "policy:read", SHOWS)

HANDLERS: Final[Sequence[HTTPRouteHandler]] = (
    get("/policies", opt=READ)(page),
    get("/policies/new", opt=rule(Surface.CONSOLE, "policy:write", SHOWS | {"policy:read"}))(form),
    get("/policies/{policy:str}", opt=READ)(one),
    _hung("/policies", make),
    post("/policies/foresee", status_code=200, opt=READ)(foresee_new),
    _hung("/policies/{policy:str}", change),
    post("/policies/{policy:str}/foresee", status_code=200, opt=READ)(foresee),
    _hung("/policies/{policy:str}/turn", turn),
    _hung("/policies/{policy:str}/delete", delete),
)
"""Where these pages hang, below a tenant."""
