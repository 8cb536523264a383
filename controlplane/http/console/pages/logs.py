"""A session's logs, at its runtime: what does it write right now?"""

from collections.abc import Sequence
from typing import Any, Final

from litestar import Request, Response, get
from litestar.di import NamedDependency
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath, FromQuery
from litestar.response import ServerSentEvent

from controlplane.db.database import Database
from controlplane.domain import fleet, sessions
from controlplane.domain.audit import Actor
from controlplane.domain.logs import LOGS, Log, Wanted
from controlplane.http.authorize import Surface, rule
from controlplane.http.console.screen import Screen
from controlplane.http.looking import FIRST_BYTE, Looking
from controlplane.http.paths import identity
from controlplane.kit.problems import NotFound
from controlplane.kit.wakeups import Wakeups

LOOK: Final = rule(Surface.CONSOLE, "log:tail", also=frozenset({"session:read", "runtime:read"}))


async def page(
    screen: NamedDependency[Screen], session: FromPath[str], log: FromQuery[str] = LOGS[0], path: FromQuery[str] = ""
) -> Response[str]:
    """Nothing is asked of the runtime before the page says so, which it does at once."""
    async with screen.inside() as tx:
        found = await sessions.get(tx, identity("ses", session))
        runtime = await fleet.get(tx, found.runtime_id)
    return await screen.plain(
        "session/logs.html", {"session": found, "runtime": runtime, "log": _log(log), "path": path.strip()}
    )


async def tail(  # noqa: PLR0913 what a stream is made of
    request: Request[Any, Any, Any],
    db: NamedDependency[Database],
    wakeups: NamedDependency[Wakeups],
    actor: NamedDependency[Actor],
    session: FromPath[str],
    log: FromQuery[str] = LOGS[0],
    path: FromQuery[str] = "",
    offset: FromQuery[int] = FIRST_BYTE,
) -> ServerSentEvent:
    looking = Looking(request, db, wakeups, actor)
    wanted = Wanted(session_id=identity("ses", session), log=_log(log), path=path, first_byte=looking.resumed(offset))
    return looking.events(await looking.open(wanted))


def _log(name: str) -> Log:
    for known in LOGS:
        if name == known:
            return known
    raise NotFound


HANDLERS: Final[Sequence[HTTPRouteHandler]] = (
    get("/sessions/{session:str}/logs", opt=LOOK)(page),
    get("/sessions/{session:str}/logs/tail", opt=LOOK)(tail),
)
"""Where these pages hang, below a tenant."""
