"""Noticing changed files as they change; where the system cannot watch so many folders, looking again and again."""

import logging
import threading
from collections.abc import Callable
from pathlib import Path

from watchfiles import watch

from runtime_agent.sources import Source
from runtime_agent.wire.heartbeat import Trouble

STEP_MS = 25
"""How long nothing more must change before what changed is told. Smaller costs more: 25 ms are 0.3 % of a core."""

DEBOUNCE_MS = 100
"""The longest that changes are gathered while they keep coming."""

logger = logging.getLogger(__name__)


class Watcher:
    """A thread of its own that tells which units of a source changed."""

    def __init__(self, source: Source, tell: Callable[[set[str]], None]) -> None:
        """Not watching yet.

        Args:
            source: Whose folders to watch.
            tell: Called in the watching thread with the keys of units whose files changed.
        """
        self._source = source
        self._tell = tell
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._watched: list[Path] = []
        self._failure: str | None = None

    @property
    def active(self) -> bool:
        """Whether changes are told as they happen."""
        return self._thread is not None and self._thread.is_alive() and self._failure is None

    @property
    def troubles(self) -> list[Trouble]:
        """Why they are not, if that can be mended."""
        return [Trouble(code="watch-limit", line=self._failure)] if self._failure else []

    def ensure(self) -> None:
        """Watch what there is to watch now; called again after every look at everything."""
        wanted = self._source.watch_paths()
        if wanted == self._watched and (self.active or not wanted):
            return
        self.stop()
        self._watched, self._failure = wanted, None
        if wanted:
            self._stop = threading.Event()
            self._thread = threading.Thread(target=self._run, args=(wanted, self._stop), name="watch", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """End the thread; returns when it has ended."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def _run(self, paths: list[Path], stop: threading.Event) -> None:
        try:
            for changes in watch(
                *paths,
                watch_filter=None,
                debounce=DEBOUNCE_MS,
                step=STEP_MS,
                stop_event=stop,
                rust_timeout=60_000,
                ignore_permission_denied=True,
            ):
                keys = {key for _, path in changes if (key := self._source.unit_of(path)) is not None}
                if keys:
                    self._tell(keys)
        except (OSError, RuntimeError) as error:
            self._failure = f"folders cannot be watched, they are looked at now and then instead: {error}"[:500]
            logger.warning("watch.failed: %s", error)
