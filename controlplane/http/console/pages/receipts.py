"""What runtimes were asked to do, across all of them, and the receipt of one: what came of it?"""

from collections.abc import Sequence
from datetime import datetime
from functools import partial
from typing import Annotated, Any, Final, TypeAlias, get_args
from uuid import UUID

from litestar import Response, get, post
from litestar.di import NamedDependency
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath, FromQuery, QueryParameter
from litestar.response import ServerSentEvent
from msgspec import Struct

from controlplane.db import schema as t
from controlplane.db.database import TenantTx
from controlplane.domain import commands, fleet
from controlplane.domain.audit import Actor
from controlplane.domain.commands import Command, State
from controlplane.domain.commands.receipts import Which
from controlplane.domain.newest import Reading
from controlplane.http.authorize import Surface, rule
from controlplane.http.console.pages import askers
from controlplane.http.console.pages.leases import named
from controlplane.http.console.render import Page
from controlplane.http.console.screen import Screen, within
from controlplane.http.console.view import View
from controlplane.http.console.words import with_query
from controlplane.http.paths import identity, maybe
from controlplane.kit.ids import text_id

ROWS: Final = 100
STATES: Final[tuple[State, ...]] = get_args(State)

InState: TypeAlias = Annotated[State | None, QueryParameter(name="state")]
"""Litestar keeps the name for itself."""

READ: Final = rule(Surface.CONSOLE, "command:read", also=frozenset({"runtime:read"}))


class Asked(Struct, frozen=True, kw_only=True):
    """What the address asks for; None does not narrow."""

    state: State | None
    runtime: str | None
    session: str | None
    before: str | None

    def address(self, place: str, **changed: object) -> str:
        """The same page with something changed; from the newest on unless that is said too."""
        kept = {"state": self.state, "runtime": self.runtime, "session": self.session, **changed}
        return f"{place}{with_query(**kept)}"


class ReceiptsPage(Struct, frozen=True, kw_only=True):
    now: datetime
    commands: list[Command]
    runtimes: dict[UUID, str]
    """Their names."""
    called: dict[str, str]
    """Who asked."""
    older: str | None


class ReceiptPage(Struct, frozen=True, kw_only=True):
    now: datetime
    command: Command
    runtime: str
    """Its name."""
    called: dict[str, str]
    """Who asked."""
    undoable: bool
    """It is a rollback, and the one that an undo of its session would take back."""


async def page(
    screen: NamedDependency[Screen],
    in_state: InState = None,
    runtime: FromQuery[str | None] = None,
    session: FromQuery[str | None] = None,
    before: FromQuery[str | None] = None,
) -> Response[str]:
    return await screen.show(_all(screen.view, Asked(state=in_state, runtime=runtime, session=session, before=before)))


async def live(
    screen: NamedDependency[Screen],
    in_state: InState = None,
    runtime: FromQuery[str | None] = None,
    session: FromQuery[str | None] = None,
    seen: FromQuery[str] = "",
) -> ServerSentEvent:
    asked = Asked(state=in_state, runtime=runtime, session=session, before=None)
    return screen.follow(_all(screen.view, asked), seen=seen)


async def one(screen: NamedDependency[Screen], command: FromPath[str]) -> Response[str]:
    return await screen.show(_one(screen.view, command))


async def live_one(
    screen: NamedDependency[Screen], command: FromPath[str], seen: FromQuery[str] = ""
) -> ServerSentEvent:
    return screen.follow(_one(screen.view, command), seen=seen)


async def withdraw(
    screen: NamedDependency[Screen], actor: NamedDependency[Actor], command: FromPath[str]
) -> Response[Any]:
    """Take it back, unless its runtime has it already."""

    async def work(tx: TenantTx) -> None:
        await commands.withdraw(tx, actor, identity("cmd", command))

    return await screen.act(work, f"/commands/{command}", _one(screen.view, command))


async def _gather_all(tx: Reading, asked: Asked) -> ReceiptsPage:
    own = within(tx)
    which = Which(runtime_id=maybe("rt", asked.runtime), session_id=maybe("ses", asked.session), state=asked.state)
    rows = await commands.listing(own, which, before=maybe("cmd", asked.before), limit=ROWS + 1)
    shown = rows[:ROWS]
    return ReceiptsPage(
        now=tx.now,
        commands=shown,
        runtimes=await named(own, t.runtimes, list({each.runtime_id for each in shown})),
        called=await askers.called(own, [each.created_by for each in shown]),
        older=text_id("cmd", shown[-1].id) if len(rows) > ROWS else None,
    )


async def _gather_one(tx: Reading, command: str) -> ReceiptPage:
    own = within(tx)
    its = await commands.get(own, identity("cmd", command))
    last = await commands.undoable(own, [own.tenant_id], [its.session_id]) if its.session_id else {}
    return ReceiptPage(
        now=tx.now,
        command=its,
        runtime=(await fleet.get(own, its.runtime_id)).name,
        called=await askers.called(own, [its.created_by]),
        undoable=any(each.id == its.id for each in last.values()),
    )


def _all(view: View, asked: Asked) -> Page:
    place = f"{view.base}/commands"
    return Page(
        template="commands/page.html",
        parts=("commands/list",),
        gather=partial(_gather_all, asked=asked),
        context={"asked": asked, "states": STATES},
        stream=None if asked.before else asked.address(f"{place}/live"),
    )


def _one(view: View, command: str) -> Page:
    return Page(
        template="commands/one.html",
        parts=("commands/receipt",),
        gather=partial(_gather_one, command=command),
        stream=f"{view.base}/commands/{command}/live",
    )


HANDLERS: Final[Sequence[HTTPRouteHandler]] = (
    get("/commands", opt=READ)(page),
    get("/commands/live", opt=READ)(live),
    get("/commands/{command:str}", opt=READ)(one),
    get("/commands/{command:str}/live", opt=READ)(live_one),
    post(
        "/commands/{command:str}/withdraw",
        status_code=200,
        opt=rule(Surface.CONSOLE, "command:withdraw", frozenset({"command:read", "runtime:read"})),
    )(withdraw),
)
"""Where these pages hang, below a tenant."""
