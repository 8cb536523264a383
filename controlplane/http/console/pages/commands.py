"""What the buttons of a runtime's and a session's page ask of the runtime."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Annotated, Any, Final, Literal

from litestar import Request, Response, post
from litestar.di import NamedDependency
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath
from msgspec import Meta, Struct
from msgspec.structs import replace

from controlplane.db.database import TenantTx
from controlplane.domain import commands
from controlplane.domain.audit import Actor
from controlplane.domain.commands import COLLECT, Range, Wanted
from controlplane.domain.logs import LOGS, Log
from controlplane.http.authorize import Surface, rule
from controlplane.http.console import forms
from controlplane.http.console.screen import Screen
from controlplane.http.paths import identity

LOGS_OF_FIELDS: Final[tuple[Log, ...]] = ("details", "tools")


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


class Collection(Struct, frozen=True, kw_only=True):
    hours: Annotated[int, Meta(ge=1, le=24 * 366)] | None = None
    """Back from now; None: everything, which only a session can be asked for."""
    raw: Literal["yes"] | None = None
    """Files as they stand, too."""
    comment: Annotated[str, Meta(max_length=1_000, pattern=r"^[^\u0000]*$")] = ""


async def collect_of_runtime(
    request: Request[Any, Any, Any],
    screen: NamedDependency[Screen],
    actor: NamedDependency[Actor],
    runtime: FromPath[str],
) -> Response[Any]:
    wanted = Wanted(kind=COLLECT, runtime_id=identity("rt", runtime))
    return await _collect(screen, actor, await forms.read(request, Collection), wanted, f"/runtimes/{runtime}")


async def collect_of_session(
    request: Request[Any, Any, Any],
    screen: NamedDependency[Screen],
    actor: NamedDependency[Actor],
    session: FromPath[str],
) -> Response[Any]:
    wanted = Wanted(kind=COLLECT, session_id=identity("ses", session))
    return await _collect(screen, actor, await forms.read(request, Collection), wanted, f"/sessions/{session}")


async def _collect(screen: Screen, actor: Actor, asked: Collection, wanted: Wanted, back: str) -> Response[Any]:
    async def work(tx: TenantTx) -> None:
        since = tx.now - timedelta(hours=asked.hours) if asked.hours else None
        its = Range(logs=LOGS if asked.raw else LOGS_OF_FIELDS, since=since)
        await commands.create(tx, actor, replace(wanted, comment=asked.comment.strip(), collecting=its))

    return await screen.act(work, back)


def _hung(address: str, act: Any, *besides: str) -> HTTPRouteHandler:
    its = rule(Surface.CONSOLE, "command:create", frozenset({"command:read", *besides}))
    return post(address, status_code=303, opt=its)(act)


HANDLERS: Final[Sequence[HTTPRouteHandler]] = (
    _hung("/runtimes/{runtime:str}/commands", ask_runtime),
    _hung("/sessions/{session:str}/commands", ask_session),
    _hung("/runtimes/{runtime:str}/collect-logs", collect_of_runtime, "log:tail"),
    _hung("/sessions/{session:str}/collect-logs", collect_of_session, "log:tail"),
)
"""Where they hang, below a tenant."""
