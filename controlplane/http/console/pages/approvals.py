"""Approvals: what waits for a human, across runtimes, and deciding it."""

from collections.abc import Sequence
from datetime import datetime
from functools import partial
from typing import Annotated, Any, Final, Literal
from uuid import UUID

from litestar import Request, Response, get, post
from litestar.di import NamedDependency
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath, FromQuery
from litestar.response import ServerSentEvent
from msgspec import Meta, Struct

from controlplane.db import schema as t
from controlplane.db.database import TenantTx
from controlplane.domain import approvals, commands, fleet
from controlplane.domain.approvals import Approval
from controlplane.domain.audit import Actor
from controlplane.domain.commands import DECISIONS, Command
from controlplane.domain.commands.receipts import Which
from controlplane.domain.newest import Reading
from controlplane.domain.outcomes import Filters
from controlplane.http.authorize import Surface, rule
from controlplane.http.console import forms
from controlplane.http.console.pages import askers
from controlplane.http.console.pages.leases import named
from controlplane.http.console.render import Page
from controlplane.http.console.screen import Screen, within
from controlplane.http.console.view import View
from controlplane.http.paths import identity
from controlplane.kit.ids import parse_id, text_id
from controlplane.kit.problems import NotFound

ROWS: Final = 100
MOST_DECISIONS: Final = 50

SHOWS: Final = frozenset({"session:read", "runtime:read", "command:read"})
"""What the pages show besides."""


class Decided(Struct, frozen=True, kw_only=True):
    to: Literal["approve", "reject"]
    comment: Annotated[str, Meta(max_length=1_000, pattern=r"^[^\u0000]*$")] = ""


class InboxPage(Struct, frozen=True, kw_only=True):
    now: datetime
    approvals: list[Approval]
    runtimes: dict[UUID, str]
    """Their names."""
    called: dict[str, str]
    """Who decided."""
    older: str | None

    @property
    def open(self) -> int:
        """How many of those shown nobody has decided."""
        return sum(each.state == "waiting" for each in self.approvals)


class ApprovalPage(Struct, frozen=True, kw_only=True):
    now: datetime
    approval: Approval
    runtime: str
    """Its name."""
    decisions: list[Command]
    """On this session, newest first."""
    called: dict[str, str]
    """Who made them."""


async def page(screen: NamedDependency[Screen], before: FromQuery[str | None] = None) -> Response[str]:
    return await screen.show(_inbox(screen.view, before))


async def live(screen: NamedDependency[Screen], seen: FromQuery[str] = "") -> ServerSentEvent:
    return screen.follow(_inbox(screen.view, None), seen=seen)


async def one(screen: NamedDependency[Screen], approval: FromPath[str]) -> Response[str]:
    return await screen.show(_one(screen.view, approval))


async def live_one(
    screen: NamedDependency[Screen], approval: FromPath[str], seen: FromQuery[str] = ""
) -> ServerSentEvent:
    """Somebody else may decide while one still thinks."""
    return screen.follow(_one(screen.view, approval), seen=seen)


async def decide(
    request: Request[Any, Any, Any],
    screen: NamedDependency[Screen],
    actor: NamedDependency[Actor],
    approval: FromPath[str],
) -> Response[Any]:
    """Approve or reject; refused where somebody was quicker."""
    decided = await forms.read(request, Decided)

    async def work(tx: TenantTx) -> None:
        await approvals.decide(tx, actor, identity("apr", approval), decided.to, decided.comment.strip())

    return await screen.act(work, f"/approvals/{approval}", _one(screen.view, approval))


async def _gather_all(tx: Reading, before: str | None) -> InboxPage:
    after = parse_id("apr", before) if before else None
    if before and after is None:
        raise NotFound
    rows = await approvals.listing(tx, Filters(), before=after, limit=ROWS + 1)
    older = text_id("apr", rows[ROWS - 1].id) if len(rows) > ROWS else None
    shown = sorted(rows[:ROWS], key=lambda each: (each.state != "waiting", each.since))
    called = await askers.called(within(tx), [each.decision.created_by for each in shown if each.decision])
    runtimes = await named(within(tx), t.runtimes, list({each.session.runtime_id for each in shown}))
    return InboxPage(now=tx.now, approvals=shown, runtimes=runtimes, called=called, older=older)


async def _gather_one(tx: Reading, approval: str) -> ApprovalPage:
    found = await approvals.get(tx, identity("apr", approval))
    asked = await commands.listing(tx, Which(session_id=found.id), limit=MOST_DECISIONS)
    decisions = [each for each in asked if each.kind in DECISIONS]
    return ApprovalPage(
        now=tx.now,
        approval=found,
        runtime=(await fleet.get(tx, found.session.runtime_id)).name,
        decisions=decisions,
        called=await askers.called(within(tx), [each.created_by for each in decisions]),
    )


def _inbox(view: View, before: str | None) -> Page:
    stream = None if before else f"{view.base}/approvals/live"
    gather = partial(_gather_all, before=before)
    return Page(template="approvals/page.html", parts=("approvals/list",), gather=gather, stream=stream)


def _one(view: View, approval: str) -> Page:
    return Page(
        template="approvals/one.html",
        parts=("approvals/question", "approvals/decide", "approvals/decisions"),
        gather=partial(_gather_one, approval=approval),
        stream=f"{view.base}/approvals/{approval}/live",
    )


HANDLERS: Final[Sequence[HTTPRouteHandler]] = (
    get("/approvals", opt=rule(Surface.CONSOLE, "approval:read", SHOWS))(page),
    get("/approvals/live", opt=rule(Surface.CONSOLE, "approval:read", SHOWS))(live),
    get("/approvals/{approval:str}", opt=rule(Surface.CONSOLE, "approval:read", SHOWS))(one),
    get("/approvals/{approval:str}/live", opt=rule(Surface.CONSOLE, "approval:read", SHOWS))(live_one),
    post(
        "/approvals/{approval:str}",
        status_code=200,
        opt=rule(Surface.CONSOLE, "approval:decide", SHOWS | {"approval:read"}),
    )(decide),
)
"""Where these pages hang, below a tenant."""
