"""What the buttons of a runtime's and a session's page ask of the runtime, and taking that back."""

from collections.abc import Sequence
from typing import Annotated, Any, Final, Literal

from litestar import Request, Response, post
from litestar.di import NamedDependency
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath
from msgspec import Meta, Struct

from controlplane.db.database import TenantTx
from controlplane.domain import commands
from controlplane.domain.audit import Actor
from controlplane.domain.commands import Wanted
from controlplane.http.authorize import Surface, rule
from controlplane.http.console import forms
from controlplane.http.console.screen import Screen
from controlplane.http.paths import identity


class OfRuntime(Struct, frozen=True, kw_only=True):
    kind: Literal["rescan", "drain"]


class OfSession(Struct, frozen=True, kw_only=True):
    kind: Literal["pause", "resume", "cancel", "rollback", "undo"]
    checkpoint: Annotated[str, Meta(max_length=40)] = ""
    though_lost: Literal["", "yes"] = ""
    comment: Annotated[str, Meta(max_length=1_000, pattern=r"^[^\u0000]*$")] = ""


async def ask_runtime(
    request: Request[Any, Any, Any],
    screen: NamedDependency[Screen],
    actor: NamedDependency[Actor],
    runtime: FromPath[str],
) -> Response[Any]:
    wanted = await forms.read(request, OfRuntime)

    async def work(tx: TenantTx) -> None:
        await commands.create(tx, actor, Wanted(kind=wanted.kind, runtime_id=identity("rt", runtime)))

    return await screen.act(work, f"/runtimes/{runtime}")


async def ask_session(
    request: Request[Any, Any, Any],
    screen: NamedDependency[Screen],
    actor: NamedDependency[Actor],
    session: FromPath[str],
) -> Response[Any]:
    wanted = await forms.read(request, OfSession)

    async def work(tx: TenantTx) -> None:
        its = Wanted(
            kind=wanted.kind,
            session_id=identity("ses", session),
            checkpoint_id=identity("cp", wanted.checkpoint) if wanted.checkpoint else None,
            though_lost=bool(wanted.though_lost),
            comment=wanted.comment.strip(),
        )
        await commands.create(tx, actor, its)

    return await screen.act(work, f"/sessions/{session}")


async def withdraw_of_runtime(
    screen: NamedDependency[Screen], actor: NamedDependency[Actor], runtime: FromPath[str], command: FromPath[str]
) -> Response[Any]:
    return await _withdraw(screen, actor, command, f"/runtimes/{runtime}")


async def withdraw_of_session(
    screen: NamedDependency[Screen], actor: NamedDependency[Actor], session: FromPath[str], command: FromPath[str]
) -> Response[Any]:
    return await _withdraw(screen, actor, command, f"/sessions/{session}")


async def _withdraw(screen: Screen, actor: Actor, command: str, back: str) -> Response[Any]:
    async def work(tx: TenantTx) -> None:
        await commands.withdraw(tx, actor, identity("cmd", command))

    return await screen.act(work, back)


def _hung(address: str, act: Any, takes: str) -> HTTPRouteHandler:
    return post(address, status_code=303, opt=rule(Surface.CONSOLE, takes, frozenset({"command:read"})))(act)


HANDLERS: Final[Sequence[HTTPRouteHandler]] = (
    _hung("/runtimes/{runtime:str}/commands", ask_runtime, "command:create"),
    _hung("/sessions/{session:str}/commands", ask_session, "command:create"),
    _hung("/runtimes/{runtime:str}/commands/{command:str}/withdraw", withdraw_of_runtime, "command:withdraw"),
    _hung("/sessions/{session:str}/commands/{command:str}/withdraw", withdraw_of_session, "command:withdraw"),
)
"""Where they hang, below a tenant."""
