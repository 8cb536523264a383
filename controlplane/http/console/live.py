"""What changes while a page is open: patches of its parts, by server-sent events.

A stream ends when the server is asked to stop. An ASGI server runs the lifespan's shutdown only after the last response
has ended, and a stream has no end; so the signal itself is watched, in front of the handler that the server installed.
"""

import asyncio
import contextlib
import random
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from types import FrameType
from typing import Final

from litestar.response import ServerSentEvent, ServerSentEventMessage
from msgspec import Struct

from controlplane.db.database import Database
from controlplane.http.console import render
from controlplane.http.console.render import Page
from controlplane.http.console.view import View
from controlplane.kit.wakeups import Listener, Wakeups

EVERYTHING: Final = "fleet"
"""What is nudged whatever tenant something happened in."""

LOOK_AGAIN_S: Final = 15.0
"""Nudges may get lost, and some changes are the clock's."""

BREATH_S: Final = 1.0
"""At most one patch in this time, however much comes in."""

LONGEST: Final = timedelta(minutes=10)
"""Then the browser connects anew, and the guard looks at it again."""


class Streams:
    """The open streams of one process, and the word that ends them."""

    def __init__(self, drain_s: float = 0.0) -> None:
        """
        Args:
            drain_s: In which streams end one after the other once the server is asked to stop, before it does.
        """
        self._ending = asyncio.Event()
        self._drain_s = drain_s
        self.breath_s = BREATH_S

    def end(self) -> None:
        self._ending.set()

    @property
    def ended(self) -> bool:
        return self._ending.is_set()

    async def pause(self, seconds: float) -> None:
        """Wait, but not for the end."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._ending.wait()

    async def nudged(self, listener: Listener, within_s: float = LOOK_AGAIN_S) -> bool:
        """Until there may be something new (True), or it has been long enough, or the end."""
        nudge = asyncio.ensure_future(listener.wait(within_s))
        waits = [nudge, asyncio.ensure_future(self._ending.wait())]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            if self.ended and self._drain_s:
                await asyncio.sleep(random.uniform(0, self._drain_s))  # noqa: S311 spread, not secrecy
            return nudge.done() and nudge.result()
        finally:
            for wait in waits:
                wait.cancel()
            await asyncio.gather(*waits, return_exceptions=True)

    @contextmanager
    def until_signalled(self) -> Iterator[None]:
        """Have SIGTERM and SIGINT end the streams first, and do what they did before after that.

        A second one waits for nothing.
        """
        loop = asyncio.get_running_loop()
        before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}

        def stop(number: int, frame: FrameType | None) -> None:
            earlier, again = before[signal.Signals(number)], self.ended
            loop.call_soon_threadsafe(self.end)
            if callable(earlier) and self._drain_s and not again:
                loop.call_soon_threadsafe(loop.call_later, self._drain_s, earlier, number, None)
            elif callable(earlier):
                earlier(number, frame)

        for number in before:
            signal.signal(number, stop)
        try:
            yield
        finally:
            self.end()
            for number, handler in before.items():
                signal.signal(number, handler)


class Feed(Struct, frozen=True):
    """What one request's stream lives on."""

    wakeups: Wakeups
    streams: Streams
    again: Callable[[], Awaitable[View | None]]
    """The view of whoever reads, as it is now: their roles may have changed. None: they may read no more; they may have
    signed out, been removed, or their tenant suspended."""


def follow(db: Database, feed: Feed, view: View, page: Page, *, seen: str) -> ServerSentEvent:
    """
    Args:
        seen: Fingerprint of what the browser shows already.
    """
    return ServerSentEvent(_patches(db, feed, view, page, seen=seen))


async def _patches(
    db: Database, feed: Feed, view: View, page: Page, *, seen: str
) -> AsyncIterator[ServerSentEventMessage]:
    streams = feed.streams
    topic = EVERYTHING if view.tenant is None else f"tenant:{view.tenant.tenant_id}"
    until = db.clock() + LONGEST
    known: dict[str, str] = {}
    async with feed.wakeups.listen(topic) as listener:
        while not streams.ended and db.clock() < until:
            rendered = await render.parts(db, view, page)
            if not known and render.fingerprint(rendered) == seen:
                known = _by_part(rendered)
            now = _by_part(rendered)
            changed = [rendered[name] for name in rendered if known.get(name) != now[name]]
            known = now
            yield (
                ServerSentEventMessage(event="patch", data="".join(changed))
                if changed
                else ServerSentEventMessage(comment="still here")
            )
            await streams.pause(streams.breath_s)
            if streams.ended:
                return
            await streams.nudged(listener)
            renewed = await feed.again()
            if renewed is None:
                return
            view = renewed


def _by_part(rendered: Mapping[str, str]) -> dict[str, str]:
    return {name: render.fingerprint({name: part}) for name, part in rendered.items()}
