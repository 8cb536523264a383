"""Looking at a log where it is: a tail is opened, held open by the viewer's connection, and ended with it."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

import msgspec
from litestar import Request
from litestar.response import ServerSentEvent, ServerSentEventMessage
from msgspec import Struct

from controlplane.db.database import Database
from controlplane.domain import commands, logs, sessions
from controlplane.domain.audit import Actor
from controlplane.domain.logs import Chunk, Desk, Gap, Look, Wanted
from controlplane.domain.logs.tails import OpenTail
from controlplane.http import authorize
from controlplane.http.transaction import seeing
from controlplane.kit.ids import TenantId, text_id
from controlplane.kit.problems import Refusal
from controlplane.kit.wakeups import Wakeups

RENEW_S: Final = 5.0
"""Between renewals of the lease: who reads is asked about again, and may have stopped reading."""

FIRST_BYTE: Final = -16_384
"""Where one begins to look if nobody says."""

UNANSWERED_S: Final = 15.0
"""Within which an agent that calls takes up what it is asked."""

ENDINGS: Final = {
    "complete": "That is all there is.",
    "cap-reached": "A tail brings so much and no more. Open another from here.",
    "not-allowed": "The owner of that machine does not let this log be looked at: the agent's setting logs.",
    "not-found": "There is no such log of this session.",
    "path-outside": "That path leads out of the folders of logs, which the agent does not follow.",
    "unreadable": "The agent may not read that file, or it is none.",
    "unanswered": "The agent did not take it up. See on the runtime's page whether it calls, and try again.",
    "credit-exceeded": "The agent sent more than was asked for, so it was not listened to any further.",
    "over": "It was open for as long as a tail may be, or may not be seen any more. Open another.",
    "stopping": "The server is being restarted. Open another.",
}
"""Why a tail has ended, and what to do about it."""


class Found(Struct, frozen=True, kw_only=True):
    """A part of a log."""

    lines: list[str]
    offset: int
    next: int
    size: int
    complete: bool
    gap: Gap


class TailUnanswered(Refusal):
    code, status, title = "tail-unanswered", 504, "The agent did not take it up in time"
    hint = ENDINGS["unanswered"]


class LogRefused(Refusal):
    """The agent's own word on why it shows nothing."""

    code, status, title = "log-refused", 409, "The agent does not show this log"
    hint = "What the agent says is its owner's decision, or how things stand on that disk; the detail says which."

    def __init__(self, reason: str) -> None:
        super().__init__(ENDINGS[reason])
        self.reason = reason

    def facts(self) -> dict[str, object]:
        return {"reason": self.reason}


class Looking:
    """One request that looks at a log."""

    def __init__(self, request: Request[Any, Any, Any], db: Database, wakeups: Wakeups, actor: Actor) -> None:
        self._request, self._db, self._wakeups, self._actor = request, db, wakeups, actor
        self._desk: Desk = request.app.state.log_desk
        self._streams = request.app.state.streams

    async def open(self, wanted: Wanted) -> OpenTail:
        """
        Raises:
            NotFound, LogPathUnfit, RuntimeUnreachable, RuntimeGone, TooManyTails: If nothing could come of it.
        """
        async with seeing(self._db, self._request) as tx:
            return await logs.open_tail(tx, self._actor, wanted)

    def resumed(self, offset: int) -> int:
        """The byte to begin at: what a browser says that it has counts more than *offset*."""
        after = self._request.headers.get("last-event-id", "")
        return int(after) if after.isascii() and after.isdigit() and len(after) < 17 else offset

    def events(self, tail: OpenTail) -> ServerSentEvent:
        """Events ``lines``, ``gap`` and, last, ``ended``. Each has the byte from which one goes on as its id."""
        return ServerSentEvent(self._events(tail))

    async def part(self, tail: OpenTail) -> Found:
        """All lines of a tail that does not follow.

        Raises:
            TailUnanswered: If the agent did not bring them in time.
            LogRefused: If it does not show them.
            CreditExceeded: If it sent more than it was asked for.
        """
        chunks: list[Chunk] = []
        until = time.monotonic() + UNANSWERED_S
        async with self._held(tail) as look:
            while (left := until - time.monotonic()) > 0 and not self._streams.ended:
                chunk = await look.next(min(left, RENEW_S))
                if chunk is not None:
                    chunks.append(chunk)
                    if chunk.ended:
                        return _found(chunks)
                if look.broken:
                    raise logs.CreditExceeded
        raise TailUnanswered

    async def _events(self, tail: OpenTail) -> AsyncIterator[ServerSentEventMessage]:
        async with self._held(tail) as look:
            yield ServerSentEventMessage(event="opened", data=_json({"tail": tail.name, "log": tail.log}))
            asked_at = renewed_at = time.monotonic()
            unanswered = True
            while True:
                chunk = await self._next(look, 1.0)
                for message in _told(chunk):
                    yield message
                unanswered = unanswered and chunk is None
                over = self._over(look, chunk, unanswered and time.monotonic() - asked_at > UNANSWERED_S)
                if not over and time.monotonic() - renewed_at >= RENEW_S:
                    renewed_at = time.monotonic()
                    over = "" if await self._renewed(tail) else "over"
                    yield ServerSentEventMessage(comment="still here")
                if over:
                    yield ServerSentEventMessage(event="ended", data=_json({"code": over, "hint": ENDINGS[over]}))
                    return

    def _over(self, look: Look, chunk: Chunk | None, unanswered: bool) -> str:
        """Why nothing more comes; empty: it does."""
        if chunk is not None:
            return chunk.ended
        if look.broken:
            return "credit-exceeded"
        if self._streams.ended:
            return "stopping"
        return "unanswered" if unanswered else ""

    async def _next(self, look: Look, within_s: float) -> Chunk | None:
        """As :meth:`Look.next`; None as well once the server is asked to stop."""
        waits = asyncio.ensure_future(look.next(within_s)), asyncio.ensure_future(self._streams.pause(within_s))
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            return waits[0].result() if waits[0].done() else None
        finally:
            for wait in waits:
                wait.cancel()
            await asyncio.gather(*waits, return_exceptions=True)

    @asynccontextmanager
    async def _held(self, tail: OpenTail) -> AsyncIterator[Look]:
        """The tail, ended with the block: the agent hears of it at once, also where the viewer's line was cut."""
        tenant_id = TenantId(self._request.state.tenant_id)
        try:
            async with self._desk.looking(tenant_id, tail) as look:
                await self._wake(tail)
                yield look
        finally:
            self._desk.afterwards(self._closed(tenant_id, tail))

    async def _closed(self, tenant_id: TenantId, tail: OpenTail) -> None:
        async with self._db.tenant(tenant_id) as tx:
            await logs.close(tx, tail.id)
        await self._wake(tail)

    async def _wake(self, tail: OpenTail) -> None:
        await self._wakeups.nudge(commands.topic(text_id("rt", tail.runtime_id)))

    async def _renewed(self, tail: OpenTail) -> bool:
        """The lease, as long as whoever looks still may."""
        try:
            await authorize.authorize(self._request, self._request.route_handler)
            async with seeing(self._db, self._request) as tx:
                await sessions.get(tx, tail.session_id)
                return await logs.renew(tx, tail.id)
        except Refusal:
            return False


def _found(chunks: list[Chunk]) -> Found:
    first, last = chunks[0], chunks[-1]
    if last.ended not in ("complete", "cap-reached"):
        raise LogRefused(last.ended)
    return Found(
        lines=[line for chunk in chunks for line in chunk.lines],
        offset=first.offset,
        next=last.next,
        size=last.size,
        complete=last.ended == "complete",
        gap=first.gap,
    )


def _told(chunk: Chunk | None) -> list[ServerSentEventMessage]:
    told = []
    if chunk is not None and chunk.gap:
        told.append(ServerSentEventMessage(event="gap", data=_json({"kind": chunk.gap, "size": chunk.size})))
    if chunk is not None and chunk.lines:
        said = {"offset": chunk.offset, "next": chunk.next, "size": chunk.size, "lines": chunk.lines}
        told.append(ServerSentEventMessage(event="lines", data=_json(said), id=str(chunk.next)))
    return told


def _json(said: object) -> str:
    return msgspec.json.encode(said).decode()
