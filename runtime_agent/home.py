"""The agent's own folder: closed to others, used by one process at a time, written without half-states."""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from runtime_agent.problems import Busy, Refusal, WideModes

IDENTITY = "identity.json"
OUTBOX = "outbox.db"
LOCK = "lock"
STATUS = "status.json"
SECRETS = (IDENTITY, OUTBOX)


def prepare(home: Path) -> None:
    """Make the folder if it is not there.

    Raises:
        Refusal: It cannot be made, or what stands there is open to others.
    """
    try:
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise Refusal(
            f"the home {home} cannot be made: {error.strerror}", hint="Give another one with --home."
        ) from error
    check_modes(home)


def wide_modes(home: Path) -> list[str]:
    """The commands that would mend what is open to other accounts; empty: all is closed."""
    found = []
    for path, wanted in [(home, "700"), *((home / name, "600") for name in SECRETS)]:
        try:
            mode = path.stat().st_mode
        except OSError:
            continue
        if mode & 0o077:
            found.append(f"chmod {wanted} {path}")
    return found


def check_modes(home: Path) -> None:
    """Refuse to go on when keys or records can be read by others.

    Raises:
        WideModes: With the commands that mend it.
    """
    if found := wide_modes(home):
        raise WideModes(f"{home} is open to other accounts of this machine", hint=f"Run: {' && '.join(found)}")


def write_whole(path: Path, content: bytes, *, durable: bool = True) -> None:
    """Replace *path* so that a crash leaves the old or the new content, mode 0600.

    Args:
        path: In a folder that exists.
        content: All of it.
        durable: Whether it must survive a power cut too.
    """
    beside = path.with_name(f".{path.name}.new")
    handle = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with open(handle, "wb") as file:
        file.write(content)
        if durable:
            file.flush()
            os.fsync(file.fileno())
    beside.replace(path)
    if durable:
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


@contextmanager
def only_process(home: Path) -> Iterator[None]:
    """Hold the home; the system lets go of it when the process ends, however it ends.

    Raises:
        Busy: Another process holds it.
    """
    handle = os.open(home / LOCK, os.O_RDWR | os.O_CREAT, 0o600)
    with open(handle, "r+") as file:
        if not _taken(file):
            raise Busy(
                f"another runtime-agent (process {file.read().strip() or 'unknown'}) works with {home}",
                hint="It sends by itself. Stop it first to use this command.",
            )
        with suppress(OSError):  # a full disk; the lock is what counts
            os.ftruncate(handle, 0)
            os.pwrite(handle, str(os.getpid()).encode(), 0)
        yield


def _taken(file: IO[str]) -> bool:
    """Try a few times: ``status`` asks by taking the lock for a moment."""
    for wait_s in (0.05, 0.1, 0.0):
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(wait_s)
        else:
            return True
    return False


def holder(home: Path) -> int | None:
    """Process id of whoever works with the home now, None if nobody does."""
    try:
        with (home / LOCK).open() as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                text = file.read().strip()
                return int(text) if text.isdigit() else 0
    except OSError:
        pass
    return None
