"""Who could use a connection, and by which policy; and what one runtime would be answered now."""

from collections.abc import Sequence
from functools import partial
from typing import Annotated, Final, TypeAlias
from uuid import UUID

from litestar import Response, get
from litestar.di import NamedDependency
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath, FromQuery, QueryParameter
from msgspec import Meta, Struct
from msgspec.structs import replace

from controlplane.db.database import TenantTx
from controlplane.domain.newest import Reading
from controlplane.domain.vault import access, connections
from controlplane.domain.vault.access import Access, Runtime
from controlplane.domain.vault.connections import SERVED, Connection
from controlplane.domain.vault.deciding import Decision, Mode
from controlplane.http.authorize import Surface, rule
from controlplane.http.console import policy_words
from controlplane.http.console.policy_words import MODES, Said
from controlplane.http.console.render import Page
from controlplane.http.console.screen import Screen, within
from controlplane.http.paths import identity
from controlplane.kit.ids import parse_id, text_id
from controlplane.kit.problems import NotFound

ROWS: Final = 50
"""Runtimes on a page."""

Term: TypeAlias = Annotated[str, Meta(max_length=200, pattern=r"^[^\x00-\x1f\x7f]*$")]


class Verdict(Struct, frozen=True, kw_only=True):
    """Of one way to use it."""

    allowed: bool
    policy: UUID | None
    name: str
    """Of the policy; or why none has decided."""
    only: list[Said]
    """Under which conditions it allows that."""


class Line(Struct, frozen=True, kw_only=True):
    runtime: Runtime
    agent: str | None
    """None: any that is not named beside it."""
    verdicts: dict[Mode, Verdict]


class Asked(Struct, frozen=True, kw_only=True):
    """The form of the question what one would be answered."""

    runtime: Term = ""
    agent: Term = ""
    purpose: Term = ""


class CouldPage(Struct, frozen=True, kw_only=True):
    connection: Connection
    served: bool
    """Whether there is anything to be had of it now."""
    lines: list[Line]
    runtimes: list[Runtime]
    older: str | None
    tried: dict[Mode, Verdict] | None


async def page(
    screen: NamedDependency[Screen],
    connection: FromPath[str],
    before: FromQuery[str | None] = None,
    runtime: Annotated[Term, QueryParameter()] = "",
    agent: Annotated[Term, QueryParameter()] = "",
    purpose: Annotated[Term, QueryParameter()] = "",
) -> Response[str]:
    asked = Asked(runtime=runtime.strip(), agent=agent.strip(), purpose=purpose.strip())
    gather = partial(_gather, connection=connection, before=before, asked=asked)
    context = {"before": before, "asked": asked, "modes": MODES}
    return await screen.show(Page(template="policies/could_use.html", parts=(), gather=gather, context=context))


async def _gather(tx: Reading, connection: str, before: str | None, asked: Asked) -> CouldPage:
    own, after = within(tx), parse_id("rt", before) if before else None
    if before and after is None:
        raise NotFound
    its = await connections.get(own, identity("con", connection))
    found, lines = await access.access(own, its.id, after=after, limit=ROWS + 1)
    shown = {runtime.id for runtime in found[:ROWS]}
    return CouldPage(
        connection=its,
        served=its.state in SERVED,
        lines=[_line(each) for each in lines if each.runtime.id in shown],
        runtimes=found[:ROWS],
        older=text_id("rt", found[ROWS - 1].id) if len(found) > ROWS else None,
        tried=await _tried(own, its, asked) if asked.runtime else None,
    )


async def _tried(tx: TenantTx, its: Connection, asked: Asked) -> dict[Mode, Verdict]:
    runtime_id = identity("rt", asked.runtime)
    return _verdicts(await access.tried(tx, its.id, runtime_id, agent=asked.agent, purpose=asked.purpose))


def _line(each: Access) -> Line:
    return Line(runtime=each.runtime, agent=each.agent, verdicts=_verdicts(each.modes))


def _verdicts(modes: dict[Mode, Decision]) -> dict[Mode, Verdict]:
    return {mode: _verdict(modes[mode], mode) for mode in MODES}


def _verdict(its: Decision, mode: Mode) -> Verdict:
    if its.policy is None:
        return Verdict(allowed=its.allowed, policy=None, name=policy_words.because(its), only=[])
    when = its.policy.conditions
    only = policy_words.only(when if mode == "lease" else replace(when, max_ttl_s=None)) if its.allowed else []
    return Verdict(allowed=its.allowed, policy=its.policy.id, name=its.policy.name, only=only)


TAKES: Final = frozenset({"connection:read", "runtime:read"})

HANDLERS: Final[Sequence[HTTPRouteHandler]] = (
    get("/connections/{connection:str}/access", opt=rule(Surface.CONSOLE, "policy:read", TAKES))(page),
)
"""Where this page hangs, below a tenant."""
