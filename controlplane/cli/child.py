"""A program of ours that runs beside ``up``: started again when it dies, ended when ``up`` does."""

import signal
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from controlplane.cli.problems import Declined
from controlplane.embedded.supervised import Supervised

FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.5, 30.0
STEADY_S = 60.0
"""Who ran this long has not died at its start: the next pause is the first again."""

LOG_LIMIT_BYTES = 10 << 20
LAST_WORDS_CHARACTERS = 2000


class Child:
    """At most one process, and a small one beside it that ends it when this process ends, even by SIGKILL."""

    def __init__(self, name: str, command: Sequence[str | Path], log: Path) -> None:
        self.name = name
        self._command, self._log = command, log
        self._process: Supervised | None = None
        self._pause_s = FIRST_PAUSE_S
        self._started_at = 0.0
        self._next_at: float | None = None

    def start(self, ready: Callable[[], bool] = lambda: True) -> None:
        """Start it and wait until it is *ready*.

        Raises:
            Declined: With its last words, if it ended instead.
        """
        if self._log.exists() and self._log.stat().st_size > LOG_LIMIT_BYTES:
            self._log.replace(self._log.with_suffix(".1.log"))
        before = self._log.stat().st_size if self._log.exists() else 0
        self._launch()
        assert self._process is not None
        if not self._process.wait_until(lambda _: ready()):
            self.stop()
            said = self._log.read_bytes()[before:].decode(errors="replace").strip()
            raise Declined(f"The {self.name} did not start: {said[-LAST_WORDS_CHARACTERS:]}", f"Its log: {self._log}")

    def look_after(self) -> None:
        """Start it again if it died, after a pause that doubles as long as it keeps dying. Never waits."""
        if self._process is None or self._process.wait_until(lambda _: True):
            return
        now = time.monotonic()
        if self._next_at is None:
            if now - self._started_at > STEADY_S:
                self._pause_s = FIRST_PAUSE_S
            self._next_at = now + self._pause_s
            self._pause_s = min(2 * self._pause_s, LONGEST_PAUSE_S)
        elif now >= self._next_at:
            self._process.stop()
            self._launch()

    def stop(self) -> None:
        """Ask it to end, and wait until it has."""
        if self._process:
            self._process.stop()
        self._process = None

    def _launch(self) -> None:
        self._process = Supervised(self._command, log=self._log, stop=signal.SIGTERM)
        self._started_at, self._next_at = time.monotonic(), None
