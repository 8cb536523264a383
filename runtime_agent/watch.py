"""Noticing changed files as they change; where the system cannot watch so many folders, looking again and again."""

import logging
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from watchfiles import watch

from runtime_agent.sources import Source
from runtime_agent.wire.heartbeat import Trouble

STEP_MS = 25
"""How long nothing more must change before what changed is told. Smaller costs more: 25 ms are 0.3 % of a core."""

DEBOUNCE_MS = 100
"""The longest that changes are gathered while they keep coming."""

TRY_AGAIN_S = 600.0
"""After not all folders could be watched."""

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
        self._try_again = 0.0

    @property
    def active(self) -> bool:
        """Whether every change is told as it happens."""
        return self._thread is not None and self._thread.is_alive() and self._failure is None

    @property
    def troubles(self) -> list[Trouble]:
        """Why not, if that can be mended."""
        return [Trouble(code="watch-limit", line=self._failure)] if self._failure else []

    def ensure(self) -> None:
        """Watch what there is to watch now; called again after every look at everything."""
        wanted = self._source.watch_paths()
        alive = self._thread is not None and self._thread.is_alive()
        tried_lately = self._failure is not None and time.monotonic() < self._try_again
        if wanted == self._watched and (not wanted or (alive and (self.active or tried_lately))):
            return
        self.stop()
        self._watched, self._failure, self._try_again = wanted, None, time.monotonic() + TRY_AGAIN_S
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
            self._watch(paths, stop, whole=True)
        except PermissionError:  # what is closed to us cannot be read either
            self._watch_part(paths, stop)
        except (OSError, RuntimeError) as error:
            self._failure = f"not all folders can be watched, they are looked at now and then instead: {error}"[:500]
            logger.warning("watch.failed: %s", str(error)[:500])
            self._watch_part(paths, stop)

    def _watch_part(self, paths: list[Path], stop: threading.Event) -> None:
        with suppress(OSError, RuntimeError):
            self._watch(paths, stop, whole=False)

    def _watch(self, paths: list[Path], stop: threading.Event, *, whole: bool) -> None:
        """Until stopped.

        Args:
            whole: Whether to fail where a folder cannot be watched; else it is left out, silently.
        """
        for changes in watch(
            *paths,
            watch_filter=None,
            debounce=DEBOUNCE_MS,
            step=STEP_MS,
            stop_event=stop,
            rust_timeout=60_000,
            ignore_permission_denied=not whole,  # ignores any error, not only this one
        ):
            if keys := {key for _, path in changes if (key := self._source.unit_of(path)) is not None}:
                self._tell(keys)
