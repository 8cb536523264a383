"""Keep one server running for as long as another process wants it; run as a program of its own.

The process that wants the server starts this one and holds the writing end of its standard input. However that
process ends, also by SIGKILL, the pipe closes, and the server is stopped in order. The server is a child of this
process, so its id cannot have become somebody else's by then.

Told as its only argument: a :class:`Task` in JSON; on standard input the word ``keep``, once the server was seen to
work: from then on it is started again when it dies. Tells on standard output: the server's process id.

Standard library only and started without ``site``: it must be up in a few milliseconds.
"""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
from typing import IO, TypedDict

PATIENCE_S = 30.0
"""How long a server may take to stop in order."""

PAUSE_S = 0.2
"""Before a server that died is started again: one that cannot start must not take a whole core."""


class Task(TypedDict):
    """What to run."""

    command: list[str]
    log: str
    """File that the server's output is added to."""
    uid: int | None
    gid: int | None
    """Account to run it as; None: this process's own."""
    stop: int
    """Signal that asks the server to stop at once but in order."""


class Wishes:
    """What the process that wants the server has said so far."""

    def __init__(self) -> None:
        self.keep = False
        self.over = False
        self._parent = os.getppid()
        self._woken, waking = os.pipe()
        os.set_blocking(waking, False)
        signal.set_wakeup_fd(waking)
        signal.signal(signal.SIGCHLD, lambda *_: None)  # wakes the wait below
        for ending in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(ending, self._end)

    def wait(self) -> None:
        """Until something happens to the server or to the wishes, or a second has passed."""
        ready, _, _ = select.select([sys.stdin.fileno(), self._woken], [], [], 1.0)
        if self._woken in ready:
            os.read(self._woken, 4096)
        if sys.stdin.fileno() in ready:
            said = os.read(sys.stdin.fileno(), 4096)
            self.keep = self.keep or said.startswith(b"keep")
            self.over = self.over or not said
        if os.getppid() != self._parent:  # it is gone, though a child that it forked still holds the pipe
            self.over = True

    def _end(self, *_: object) -> None:
        self.over = True


def open_log(path: str | os.PathLike[str]) -> IO[bytes]:
    """For adding to. Its folder may belong to the account of the server, which must not lead root elsewhere by a link.

    Raises:
        OSError: If there is a link in its place, or it cannot be written.
    """
    return open(os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW, 0o600), "ab")


def start(task: Task) -> subprocess.Popen[bytes]:
    with open_log(task["log"]) as log:
        return subprocess.Popen(
            task["command"],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd="/",
            user=task["uid"],
            group=task["gid"],
            extra_groups=None if task["uid"] is None else [],
        )


def stop(server: subprocess.Popen[bytes], ask: int) -> None:
    server.send_signal(ask)
    try:
        server.wait(PATIENCE_S)
    except subprocess.TimeoutExpired:
        server.send_signal(signal.SIGQUIT)  # PostgreSQL: stop at once, recover at the next start
        server.wait()


def main(task: Task) -> int:
    """Run the server until it is not wanted any more (0), or until it dies before it was seen to work (1)."""
    wishes = Wishes()
    server = start(task)
    os.write(sys.stdout.fileno(), b"%d\n" % server.pid)
    while not wishes.over:
        wishes.wait()
        if server.poll() is not None and not wishes.over:
            if not wishes.keep:
                return 1
            select.select([sys.stdin.fileno()], [], [], PAUSE_S)
            server = start(task)
    stop(server, task["stop"])
    return 0


if __name__ == "__main__":
    sys.exit(main(json.loads(sys.argv[1])))
