"""Processes as the system shows them: who is whose child, who still runs, and waiting for that to change."""

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

TIED = Path(__file__).with_name("tied.py")
ROOT = Path(__file__).parents[2]

ENVIRONMENT = {
    **{name: value for name, value in os.environ.items() if not name.startswith(("CONTROLPLANE_", "RUNTIME_AGENT_"))},
    "RUNTIME_AGENT_SOURCE_TIMEZONE": "UTC",
    "PYTHONPATH": str(ROOT),
}

LOOK_EVERY_S = 0.03


class TookTooLong(AssertionError):
    """Something that had to happen did not."""


class Process(NamedTuple):
    pid: int
    parent: int
    words: str


def start(module, *words, log, **more):
    """A program of ours, whose output goes to the file *log*; it ends when this process does."""
    command = [sys.executable, "-I", "-S", TIED, str(os.getpid()), sys.executable, "-m", module, *map(str, words)]
    with log.open("ab") as output:
        return subprocess.Popen(
            command, stdout=output, stderr=output, env=ENVIRONMENT, cwd="/", start_new_session=True, **more
        )


def everything():
    """All that runs on this machine."""
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError, ValueError, IndexError):
            parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            words = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
            yield Process(int(folder.name), parent, words)


def below(pid):
    """Everything that descends from *pid*, parents before children."""
    children = {}
    for process in everything():
        children.setdefault(process.parent, []).append(process)
    found, parents = [], [pid]
    for parent in parents:
        own = children.get(parent, [])
        found += own
        parents += [child.pid for child in own]
    return found


def runs(pid):
    """Whether it does; one that has ended and that nobody asked about does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def kill(pid):
    """SIGKILL; False if it had ended before."""
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return False
    return True


def until(holds, what, patience_s):
    """Wait until *holds* gives something true, and return that.

    Raises:
        TookTooLong: Saying *what* was waited for.
    """
    end = time.monotonic() + patience_s
    while not (answer := holds()):
        if time.monotonic() > end:
            raise TookTooLong(f"{what}: not within {patience_s:.0f} s")
        time.sleep(LOOK_EVERY_S)
    return answer
