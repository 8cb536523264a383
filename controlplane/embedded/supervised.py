"""A server with its watcher beside it, seen from the process that wants it."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from controlplane.embedded import watch
from controlplane.embedded.account import Account, environment

PATIENCE_S = 300.0
"""How long a server may take until it works: a crash can leave minutes of work. One that cannot start dies at once."""


class Supervised:
    """One running server. It stops with :meth:`stop`, or by itself when this process ends, however it ends."""

    def __init__(
        self, command: Sequence[str | Path], *, log: Path, stop: signal.Signals, account: Account | None = None
    ) -> None:
        task = watch.Task(
            command=[str(word) for word in command],
            log=str(log),
            uid=account.uid if account else None,
            gid=account.gid if account else None,
            stop=stop,
        )
        with watch.open_log(log) as output:
            self._watcher = subprocess.Popen(
                [sys.executable, "-I", "-S", watch.__file__, json.dumps(task)],
                bufsize=0,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=output,
                cwd="/",
                env=environment(),
                start_new_session=True,  # Ctrl-C must reach the app first, not the database
            )
        assert self._watcher.stdout is not None  # it was asked for
        self.pid = int(self._watcher.stdout.readline() or 0)
        """Of the server as first started; 0 if it could not even be started."""

    def wait_until(self, ready: Callable[[int], bool]) -> bool:
        """Whether it, by its process id, became *ready* before it ended or patience did."""
        end = time.monotonic() + PATIENCE_S
        while self._watcher.poll() is None and time.monotonic() < end:
            if ready(self.pid):
                return True
            time.sleep(0.01)
        return False

    def keep(self) -> None:
        """From now on it is started again when it dies."""
        assert self._watcher.stdin is not None  # it was asked for
        self._watcher.stdin.write(b"keep\n")

    def stop(self) -> bool:
        """Stop it and wait for its end; False if somebody ended the watcher, so that the server may still run."""
        assert self._watcher.stdin is not None  # it was asked for
        assert self._watcher.stdout is not None
        self._watcher.stdin.close()
        status = self._watcher.wait()
        self._watcher.stdout.close()
        return status >= 0
