"""When the next call may be made: one pace for all loops, so that a server in need hears from this agent once."""

import random
import time
from collections.abc import Callable

from runtime_agent import backoff


class Pace:
    """Whether the server answers, and how long to leave it alone when it does not."""

    def __init__(
        self, *, monotonic: Callable[[], float] = time.monotonic, roll: Callable[[], float] = random.random
    ) -> None:
        self.connected: bool | None = None
        """None before the first answer."""
        self.window_ms = 5_000
        self._monotonic = monotonic
        self._roll = roll
        self._not_before = 0.0
        self._attempt = 0
        self._last_roll = 0.0

    def wait_s(self) -> float:
        """Seconds until a call may be made; 0: now."""
        return max(0.0, self._not_before - self._monotonic())

    def answered(self) -> None:
        """The server answered, whatever it said."""
        self.connected, self._attempt, self._last_roll = True, 0, 0.0

    def failed(self) -> None:
        """The server could not be reached, or broke. Of several calls that fail together, one counts."""
        if self.wait_s():
            return
        roll = self._roll()
        if self.connected:
            self.connected, wait_s = False, backoff.edge_s(self.window_ms, roll)
        else:
            self.connected = False
            self._attempt += 1
            wait_s = backoff.delay_s(self._attempt, self._last_roll, roll)
            self._last_roll = roll
        self._hold(wait_s)

    def busy(self, retry_after_s: float) -> None:
        """The server asked for patience. Nothing is wrong with it, nor with us."""
        self.answered()
        self._hold(backoff.admitted_s(retry_after_s, self._roll()))

    def refused(self) -> None:
        """The server wants nothing of this runtime; ask now and then whether that has changed."""
        self.answered()
        self._hold(backoff.admitted_s(backoff.SLOW_S, self._roll()))

    def rest(self, seconds: float) -> None:
        """Wait at least that long before the next call."""
        self._hold(seconds)

    def _hold(self, seconds: float) -> None:
        self._not_before = max(self._not_before, self._monotonic() + seconds)
