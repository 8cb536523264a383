"""The tails that are open at this runtime: each a task that reads, and sends as much as there is room for."""

import asyncio
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial
from types import MappingProxyType
from typing import Final

from msgspec.structs import replace

from runtime_agent.clock import Clock
from runtime_agent.configuration.redaction import Redaction
from runtime_agent.http import Busy, Refused, Unreachable
from runtime_agent.logs import showing
from runtime_agent.logs.following import Follower, Line
from runtime_agent.server import Server
from runtime_agent.sources.engine.files import LINE_MAX
from runtime_agent.sources.engine.logs import EngineLogs, LogRefused
from runtime_agent.wire.logs import CHUNK_BYTES, LEASE_S, LINE_BYTES, MOST_LINES, MOST_TAILS, Chunk, Ended, Tail

LOOK_S: Final = 0.1
"""Between looks at a file that has nothing new."""

STILL_S: Final = 3.0
"""Between words where there is nothing to say: so one hears that nobody looks any more."""

AGAIN_S: Final = 0.5

logger = logging.getLogger(__name__)


class Over(Exception):
    """Nobody looks any more, as far as can be told from here."""


class Tails:
    """Those that the control plane says are open. The list is all there is: what is not on it any more ends."""

    def __init__(
        self,
        server: Server,
        clock: Clock,
        redaction: Redaction,
        *,
        allowed: frozenset[str] = frozenset(),
        homes: Mapping[str, EngineLogs] = MappingProxyType({}),
    ) -> None:
        """
        Args:
            redaction: What configuration keeps in.
            allowed: The logs that the owner of this machine lets be looked at.
            homes: By the kind of source; one that keeps no logs is left out.
        """
        self._server, self._clock, self._redaction = server, clock, redaction
        self._allowed, self._homes = allowed, homes
        self._open: dict[str, asyncio.Task[None]] = {}
        self.known: tuple[str, ...] = ()
        """Of the last list, those that have ended here included."""

    def heed(self, tails: Sequence[Tail], known: Sequence[str], skew_s: float) -> None:
        """Begin what is new, and end what nobody looks at any more.

        Args:
            known: All that were on the list, those that are not to be heeded included.
            skew_s: How far the control plane's clock is ahead.
        """
        self.known = tuple(known)
        wanted = {tail.tail: tail for tail in tails[:MOST_TAILS]}
        for name in [name for name in self._open if name not in wanted]:
            self._open.pop(name).cancel()
        for name, tail in wanted.items():
            late = datetime.fromisoformat(tail.not_after) < self._clock() + timedelta(seconds=skew_s)
            if name not in self._open and not late:
                self._open[name] = asyncio.create_task(self._follow(tail))

    async def close(self) -> None:
        """End them all."""
        tasks, self._open = list(self._open.values()), {}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _follow(self, tail: Tail) -> None:
        logger.info("tail.began: %s %s", tail.tail, tail.log)
        sending = Sending(self._server, tail, self._redaction)
        try:
            if tail.log not in self._allowed or "engine" not in self._homes:
                await sending.end("not-allowed")
                return
            await sending.all_of(self._homes["engine"])
        except Over:
            pass
        except Exception:
            logger.exception("bug")
        finally:
            logger.info("tail.ended: %s", tail.tail)


class Sending:
    """One tail's way up. Never more than one chunk is in memory, and one under way."""

    def __init__(
        self, server: Server, tail: Tail, redaction: Redaction, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._server, self._tail, self._redaction, self._monotonic = server, tail, redaction, monotonic
        self._number, self._credit, self._sent = 0, CHUNK_BYTES, 0
        self._until = monotonic() + LEASE_S
        self._held: Line | None = None
        """Read, and for the next chunk."""

    async def all_of(self, home: EngineLogs) -> None:
        """
        Raises:
            Over: If nobody looks any more.
        """
        tail = self._tail
        longest = LINE_BYTES if tail.log == "raw" else LINE_MAX
        opened = partial(home.open, tail.agent, tail.session, tail.log, tail.path)
        follower = Follower(opened, tail.offset, longest)
        try:
            await self._all_of(follower)
        except LogRefused as refused:
            await self.end(refused.code)
        except OSError:
            await self.end("unreadable")
        finally:
            follower.close()

    async def end(self, code: Ended) -> None:
        """Say why nothing comes."""
        await self._send(Chunk(number=1, offset=0, next=0, size=0, ended=code))

    async def _all_of(self, follower: Follower) -> None:
        said_at, absent = -STILL_S, False
        while True:
            chunk = await asyncio.to_thread(self._gathered, follower)
            if follower.absent and not absent:
                absent, chunk = True, replace(chunk, gap="absent")
            told = chunk.lines or chunk.gap or chunk.ended
            if not told and self._credit and self._monotonic() - said_at < STILL_S:
                await asyncio.sleep(LOOK_S)
                continue
            await self._send(chunk)
            said_at = self._monotonic()
            if chunk.ended:
                return

    def _gathered(self, follower: Follower) -> Chunk:
        """As many lines as there are and there is room for; in a thread of its own."""
        lines: list[str] = []
        first: Line | None = None
        used, end = 0, self._held.start if self._held else follower.position
        ended: Ended = ""
        while not ended and len(lines) < MOST_LINES and self._credit:
            line, ended = self._next(follower)
            if line is None:
                break
            text = showing.shown(self._tail.log, line, self._redaction)
            weight = max(1, len(text.encode()))
            capped = bool(self._sent + used) and self._sent + used + weight > self._tail.most
            if capped or used + weight > self._credit or (line.gap and lines):
                self._held, end, ended = line, line.start, "cap-reached" if capped else ""
                break
            first = first or line
            lines.append(text)
            used, end = used + weight, line.end
        self._sent += used
        start = first.start if first else end
        gap = first.gap if first else ""
        return Chunk(number=1, offset=start, next=end, size=follower.size, gap=gap, lines=lines, ended=ended)

    def _next(self, follower: Follower) -> tuple[Line | None, Ended]:
        """The next line, and whether that is all there is for who does not wait for more."""
        line, self._held = self._held or follower.next(), None
        if line is not None or self._tail.follow:
            return line, ""
        if follower.absent:
            return None, "not-found"
        return follower.rest(), "complete"

    async def _send(self, chunk: Chunk) -> None:
        """Until it was taken.

        Raises:
            Over: If nobody looks any more, or nothing is heard of anybody for as long as a lease lasts.
        """
        self._number += 1
        numbered = replace(chunk, number=self._number)
        while self._monotonic() < self._until:
            wait_s = AGAIN_S
            try:
                granted = await self._server.bring(self._tail.tail, numbered)
            except Refused as refused:
                raise Over from refused
            except Busy as busy:
                wait_s = busy.retry_after_s
            except (Unreachable, OSError):
                pass
            else:
                self._until = self._monotonic() + LEASE_S
                self._credit = min(granted.credit, CHUNK_BYTES)
                if not granted.live:
                    raise Over
                if granted.number >= numbered.number:
                    return
            await asyncio.sleep(wait_s)
        raise Over
