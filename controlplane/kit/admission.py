"""How many are let in at once: so many a second, and of what takes long only a few at a time."""

import asyncio
import time
from collections import OrderedDict, deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Final

LONGEST_S: Final = 20.0
"""That anybody is told to stay away: a heartbeat that waits for twice as long is not missed yet."""

PATIENCE_S: Final = 8.0
"""That anybody waits for their turn, as far as can be told: whoever called must not have given up by then, because
what is done for them would be done in vain, and again."""


class Line:
    """Those who were turned away, each told to come back at a time of its own."""

    def __init__(self, clock: Callable[[], float] = time.monotonic, longest_s: float = LONGEST_S) -> None:
        self._clock, self._longest_s, self._at = clock, longest_s, 0.0

    def place(self, every_s: float) -> float:
        """Seconds until this one may try again.

        Args:
            every_s: What lies between two.
        """
        now = self._clock()
        self._at = min(max(self._at, now) + every_s, now + self._longest_s)
        return self._at - now


class Turnstile:
    """So many a second, and those of one second at once."""

    def __init__(self, per_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._every_s, self._clock, self._free_at = 1 / per_s, clock, 0.0
        self._line = Line(clock)

    def enter(self) -> float:
        """0.0: come in; else how many seconds to wait before the next try."""
        now = self._clock()
        free_at = max(self._free_at, now)
        if free_at - now > 1.0 - self._every_s:
            return self._line.place(self._every_s)
        self._free_at = free_at + self._every_s
        return 0.0

    @property
    def idle(self) -> bool:
        """Whether it makes no difference if it is forgotten."""
        return self._free_at <= self._clock()


class TooManyWait(Exception):
    def __init__(self, wait_s: float) -> None:
        super().__init__(f"again in {wait_s:.1f} s")
        self.wait_s = wait_s


class Turns:
    """A few at a time, and of those who wait one of each name after the other: nobody's crowd keeps others waiting."""

    def __init__(
        self,
        at_once: int,
        most_waiting: int,
        clock: Callable[[], float] = time.monotonic,
        *,
        first_guess_s: float = 0.1,
        longest_s: float = LONGEST_S,
    ) -> None:
        """
        Args:
            most_waiting: All names together; each has its share of that, and of what is done within :data:`PATIENCE_S`.
            first_guess_s: How long a turn takes, before any was taken.
            longest_s: That anybody is told to stay away.
        """
        self._free, self._most, self._clock = at_once, most_waiting, clock
        self._at_once, self._takes_s = at_once, first_guess_s
        self._waiting: OrderedDict[str, deque[asyncio.Future[None]]] = OrderedDict()
        self._line = Line(clock, longest_s)

    @asynccontextmanager
    async def turn(self, name: str) -> AsyncIterator[None]:
        """
        Raises:
            TooManyWait: If *name* has its share of those who wait already.
        """
        if not self._free:
            await self._wait(name)
        else:
            self._free -= 1
        began = self._clock()
        try:
            yield
        finally:
            self._takes_s += (self._clock() - began - self._takes_s) / 16
            self._next()

    async def _wait(self, name: str) -> None:
        names = len(self._waiting) + (name not in self._waiting)
        most = min(self._most, int(PATIENCE_S * self._at_once / self._takes_s))
        if len(self._waiting.get(name, ())) >= max(1, most // names):
            raise TooManyWait(self._line.place(self._takes_s / self._at_once))
        mine: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(name, deque()).append(mine)
        try:
            await mine
        except asyncio.CancelledError:
            if mine.done() and not mine.cancelled():
                self._next()  # it was our turn already
            raise

    def _next(self) -> None:
        while self._waiting:
            name, line = self._waiting.popitem(last=False)
            first = line.popleft()
            if line:
                self._waiting[name] = line
            if not first.done():
                first.set_result(None)
                return
        self._free += 1
