"""/v1/tenants/{tenant}/sessions/{session}/logs/{log}: a part of a log, or all that is written from now on."""

from typing import Annotated, Any, TypeAlias

from litestar import Controller, Request, get
from litestar.di import NamedDependency, Provide
from litestar.params import FromPath, QueryParameter
from litestar.response import ServerSentEvent
from msgspec import Struct

from controlplane.db.database import Database
from controlplane.domain.audit import Actor
from controlplane.domain.logs import CHUNK_BYTES, LOGS, LONGEST_PATH, Gap, Log, Wanted
from controlplane.http.authorize import Surface, rule
from controlplane.http.looking import FIRST_BYTE, Looking
from controlplane.http.paths import identity
from controlplane.kit.problems import NotFound
from controlplane.kit.wakeups import Wakeups

Offset: TypeAlias = Annotated[
    int,
    QueryParameter(
        ge=-(2**53), le=2**53, description="Byte to begin at, or so many before the end. The next whole line is first."
    ),
]
Limit: TypeAlias = Annotated[int, QueryParameter(ge=1, le=4 * CHUNK_BYTES, description="Bytes of text, at most.")]
Path: TypeAlias = Annotated[
    str,
    QueryParameter(
        max_length=LONGEST_PATH,
        description="Of raw: a file in the session's folder of logs, or event_logs/ and a file there.",
    ),
]


class Part(Struct, frozen=True, kw_only=True):
    """What stands there now."""

    log: Log
    offset: int
    next: int
    """Go on from here."""
    size: int
    """Of the file."""
    complete: bool
    """Nothing stands behind it yet."""
    gap: Gap
    lines: list[str]


def provide_looking(
    request: Request[Any, Any, Any],
    db: NamedDependency[Database],
    wakeups: NamedDependency[Wakeups],
    actor: NamedDependency[Actor],
) -> Looking:
    return Looking(request, db, wakeups, actor)


class LogsController(Controller):
    path = "/sessions/{session:str}/logs/{log:str}"
    tags = ("sessions",)
    opt = rule(Surface.TENANT, "log:tail", also=frozenset({"session:read"}))
    dependencies = {"looking": Provide(provide_looking, sync_to_thread=False)}

    @get("/")
    async def part(
        self,
        looking: NamedDependency[Looking],
        session: FromPath[str],
        log: FromPath[str],
        path: Path = "",
        offset: Offset = FIRST_BYTE,
        limit: Limit = CHUNK_BYTES,
    ) -> Part:
        """Lines of a log, fetched from its runtime now and kept nowhere. That they were is in the audit log."""
        named = _log(log)
        wanted = Wanted(
            session_id=identity("ses", session), log=named, path=path, first_byte=offset, follow=False, most=limit
        )
        found = await looking.part(await looking.open(wanted))
        return Part(
            log=named,
            offset=found.offset,
            next=found.next,
            size=found.size,
            complete=found.complete,
            gap=found.gap,
            lines=found.lines,
        )

    @get("/tail", media_type="text/event-stream")
    async def tail(
        self,
        looking: NamedDependency[Looking],
        session: FromPath[str],
        log: FromPath[str],
        path: Path = "",
        offset: Offset = FIRST_BYTE,
    ) -> ServerSentEvent:
        """Lines as they are written, as server-sent events, until you hang up.

        Events are `opened`, `lines`, `gap` and, last, `ended` with why. The id of each `lines` is the byte to go on
        from: what a browser says in `Last-Event-ID` counts more than `offset`.
        """
        first = looking.resumed(offset)
        wanted = Wanted(session_id=identity("ses", session), log=_log(log), path=path, first_byte=first)
        return looking.events(await looking.open(wanted))


def _log(name: str) -> Log:
    """
    Raises:
        NotFound: If there is no such log.
    """
    for known in LOGS:
        if name == known:
            return known
    raise NotFound
