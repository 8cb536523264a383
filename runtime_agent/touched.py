"""Which units to look at, and when: at once after a change, again a moment later, and never faster than is fair."""

import threading
from collections.abc import Iterable

SETTLE_S = 1.0
"""A unit is looked at once more that long after a change: what happened before its folders were watched is seen then."""

SHARE = 0.1
"""The part of the time that reading one large unit over and over may take."""

WORTH_RESTING_S = 0.02
"""A unit read faster than that needs no rest."""


class Touched:
    """Used by the watching and the reading thread. Times are of a monotonic clock, in seconds."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._due: dict[str, float] = {}
        self._settling: dict[str, float] = {}
        self._resting: dict[str, float] = {}

    def add(self, keys: Iterable[str], now: float) -> None:
        """Files of these units changed."""
        with self._lock:
            for key in keys:
                ready = max(now, self._resting.get(key, 0.0))
                self._due[key] = min(self._due.get(key, ready), ready)
                self._settling[key] = ready + SETTLE_S

    def take(self, now: float) -> list[str]:
        """Units to look at now; they count as looked at."""
        with self._lock:
            ready = {key for key, at in self._due.items() if at <= now}
            settled = {key for key, at in self._settling.items() if at <= now}
            for key in ready:
                del self._due[key]
            for key in settled:
                del self._settling[key]
            for key in [key for key, until in self._resting.items() if until <= now]:
                del self._resting[key]
            return sorted(ready | settled)

    def took(self, key: str, seconds: float, now: float) -> None:
        """Reading *key* took that long; leave it alone for a while if that was much."""
        if seconds >= WORTH_RESTING_S:
            with self._lock:
                self._resting[key] = now + seconds / SHARE

    def wait_s(self, now: float) -> float | None:
        """Seconds until there is something to look at; None: nothing is."""
        with self._lock:
            times = [*self._due.values(), *self._settling.values()]
        return max(0.0, min(times) - now) if times else None
