"""GET /v1/runtime/channel, a WebSocket: what a poll hears, question by question, over one connection.

While nothing is new it costs a task here, and no transaction. It ends with the runtime's token, at the latest.
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final, TypeAlias

import msgspec
from litestar import WebSocket, websocket
from litestar.exceptions import WebSocketDisconnect
from msgspec.structs import replace

from controlplane.db.database import Database
from controlplane.domain import commands
from controlplane.domain.keys import Keyring
from controlplane.domain.permissions import Runtime
from controlplane.domain.runtime_tokens import AccessTokens, TokenInvalid
from controlplane.domain.sync.pulses import Pulses
from controlplane.http.authorize import Surface, rule
from controlplane.http.runtime_api import standing
from controlplane.http.runtime_api.admission import POLL, Admission
from controlplane.http.runtime_api.commands import Place, is_news, there
from controlplane.kit.ids import RuntimeId, text_id
from controlplane.kit.problems import Refusal
from controlplane.kit.wakeups import Listener, Wakeups
from runtime_agent.wire.channel import FRAME_BYTES, GOING, QUESTION_WITHIN_S, Asking

Socket: TypeAlias = WebSocket[Runtime, Any, Any]

QUESTION: Final = msgspec.json.Decoder(Asking)


class FrameUnfit(Refusal):
    code, status, title = "frame-unfit", 400, "That is no question"
    hint = f"Each frame is an Asking in JSON, of {FRAME_BYTES} bytes at the most; see the wire's reference."


class ChannelSilent(Refusal):
    """Nobody asks anything any more: whoever is there hears nothing either."""

    code, status, title = "channel-silent", 408, "No question came after the last answer"
    hint = "Open it anew."


class ChannelReplaced(Refusal):
    """A runtime has one. Two programs that take turns are found by their heartbeats."""

    code, status, title = "channel-replaced", 409, "The runtime has opened another channel"
    hint = "No action needed unless this repeats."


class OpenChannels:
    """Those of one process: one for each runtime, the newest."""

    def __init__(self) -> None:
        self._by_runtime: dict[RuntimeId, asyncio.Event] = {}

    @asynccontextmanager
    async def one_of(self, runtime_id: RuntimeId) -> AsyncIterator[asyncio.Event]:
        """What is set once another one takes its place."""
        replaced = asyncio.Event()
        if (before := self._by_runtime.get(runtime_id)) is not None:
            before.set()
        self._by_runtime[runtime_id] = replaced
        try:
            yield replaced
        finally:
            if self._by_runtime.get(runtime_id) is replaced:
                del self._by_runtime[runtime_id]


@websocket("/channel", opt=rule(Surface.RUNTIME, "command:fetch"))
async def channel(socket: Socket) -> None:
    """Answer one question after the other, each as a poll is, until the token ends or the replica does."""
    state = socket.app.state
    admission: Admission = state.admission
    admission.admit(POLL, socket.user.tenant_id)
    topic = commands.topic(text_id("rt", socket.user.id))
    await socket.accept()
    open_channels: OpenChannels = state.open_channels
    wakeups: Wakeups = state.wakeups
    with contextlib.suppress(WebSocketDisconnect):
        async with open_channels.one_of(socket.user.id) as replaced, wakeups.listen(topic) as listener:
            await Talk(socket, listener, replaced).go_on()


class Talk:
    """One connection's."""

    def __init__(self, socket: Socket, listener: Listener, replaced: asyncio.Event) -> None:
        state = socket.app.state
        self._socket, self._listener, self._replaced = socket, listener, replaced
        self._db: Database = state.db
        self._keyring: Keyring = state.keyring
        self._streams = state.streams
        self._pulses: Pulses = state.pulses
        self._admission: Admission = state.admission
        self._until_s = _good_until_s(socket)
        self._frame: asyncio.Task[str] | None = None
        """The next one of the agent, which nobody has looked at."""

    async def go_on(self) -> None:
        """
        Raises:
            WebSocketDisconnect: The agent has hung up.
            Refusal: It is to be closed for that reason.
        """
        try:
            while not self._streams.ended:
                await self._answer(await self._next(QUESTION_WITHIN_S))
            await self._socket.close(GOING)
        finally:
            if self._frame is not None:
                self._frame.cancel()
                await asyncio.gather(self._frame, return_exceptions=True)

    async def _answer(self, place: Place) -> None:
        runtime, until = self._socket.user, time.monotonic() + place.wait_s
        self._admission.admit(POLL, runtime.tenant_id)
        while True:
            if self._until_s <= self._db.clock().timestamp():
                raise TokenInvalid
            seen = standing.may_call(await self._pulses.of(runtime.tenant_id, runtime.id), runtime)
            found = await there(self._db, self._keyring, runtime, seen, place)
            left = min(until - time.monotonic(), self._until_s - self._db.clock().timestamp())
            some = is_news(found, place) or left <= 0 or self._streams.ended
            if some or not await self._nudged_or_asked(left):
                again_ms = self._admission.window_ms if self._streams.ended else 0
                return await self._say(msgspec.json.encode(replace(found, again_ms=again_ms)).decode())
            if self._frame is not None and self._frame.done():
                place = await self._next(QUESTION_WITHIN_S)
                until = time.monotonic() + place.wait_s
                self._admission.admit(POLL, runtime.tenant_id)

    async def _nudged_or_asked(self, within_s: float) -> bool:
        """Until there may be something new, or the agent asks anew or has gone (True), or the time is up, or the end.

        Raises:
            ChannelReplaced: As it says.
        """
        frame = self._coming()
        nudged = asyncio.create_task(self._streams.nudged(self._listener, within_s))
        replaced = asyncio.create_task(self._replaced.wait())
        try:
            await asyncio.wait({frame, nudged, replaced}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for each in (nudged, replaced):
                each.cancel()
            await asyncio.gather(nudged, replaced, return_exceptions=True)
        if self._replaced.is_set():
            raise ChannelReplaced
        return frame.done() or (not nudged.cancelled() and nudged.result())

    async def _next(self, within_s: float) -> Place:
        """
        Raises:
            ChannelSilent, ChannelReplaced, FrameUnfit: As they say.
        """
        frame, replaced = self._coming(), asyncio.create_task(self._replaced.wait())
        await asyncio.wait({frame, replaced}, timeout=within_s, return_when=asyncio.FIRST_COMPLETED)
        replaced.cancel()
        if self._replaced.is_set():
            raise ChannelReplaced
        if not frame.done():
            raise ChannelSilent
        self._frame = None
        return _place(frame.result())

    def _coming(self) -> asyncio.Task[str]:
        """It is never cancelled while the connection stands: what it has taken would be lost."""
        if self._frame is None:
            self._frame = asyncio.create_task(self._socket.receive_text())
        return self._frame

    async def _say(self, text: str) -> None:
        """It is the only one under way: an agent that does not read is not told anything more."""
        try:
            await self._socket.send_text(text)
        except (RuntimeError, OSError):  # what the server raises where nobody is there any more
            raise WebSocketDisconnect(detail="gone") from None


def _good_until_s(socket: Socket) -> float:
    """When the token ends that it was opened with."""
    tokens: AccessTokens = socket.app.state.access_tokens
    token = socket.headers["authorization"].partition(" ")[2]
    return float(tokens.check(token, socket.app.state.db.clock()).expires_at)


def _place(frame: str) -> Place:
    try:
        if len(frame) > FRAME_BYTES:
            raise FrameUnfit
        asked = QUESTION.decode(frame)
    except msgspec.DecodeError:
        raise FrameUnfit from None
    return Place(
        store=asked.store, after=asked.after, wait_s=asked.wait, config=asked.config, tails=frozenset(asked.tails)
    )
