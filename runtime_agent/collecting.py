"""The command ``collect-logs``: a bundle is made in the agent's own home, and stays there until somebody fetches it.

Killed anywhere, nothing of it counts: it is made anew, under another name first. One that is there is not made again.
"""

import asyncio
import errno
import hashlib
import os
import stat
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta, tzinfo
from pathlib import Path
from typing import Final, NamedTuple
from zipfile import BadZipFile, ZipFile

import msgspec

from runtime_agent.clock import Clock
from runtime_agent.configuration.redaction import Redaction
from runtime_agent.doing import Doer
from runtime_agent.logs.bundling import ABOUT, MOST_BYTES, About, Bundling, Counts, Stopped
from runtime_agent.logs.choosing import Chosen
from runtime_agent.sources.acting import Failed
from runtime_agent.sources.engine.logs import EngineLogs, LogRefused
from runtime_agent.wire.commands import Bundle, Command

FOLDER: Final = "collected"

KEPT_FOR: Final = timedelta(days=7)
MOST_KEPT_BYTES: Final = 256 << 20
"""Of all bundles; the oldest go first."""

LEFT_FREE_BYTES: Final = 256 << 20
"""Of the disk, for what matters more."""

BLOCK: Final = 1 << 20
UNFINISHED: Final = ".new"
CLOSED: Final = 0o700

_FOLDER_FLAGS: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def free_bytes(folder: Path) -> int:
    found = os.statvfs(folder)
    return found.f_bavail * found.f_frsize


class Shelf(NamedTuple):
    """Where bundles are kept, and how much of them."""

    home: Path
    """The agent's own."""
    most: int = MOST_BYTES
    """Bytes of text in one."""
    free: Callable[[Path], int] = free_bytes
    """For tests: another disk."""

    @contextmanager
    def opened(self) -> Iterator[int]:
        """A descriptor of the folder, closed to others; never that of a link's target."""
        path = self.home / FOLDER
        with suppress(FileExistsError):
            path.mkdir(mode=CLOSED)
        folder = os.open(path, _FOLDER_FLAGS)
        try:
            os.fchmod(folder, CLOSED)
            yield folder
        finally:
            os.close(folder)

    def forget(self, now: datetime) -> int:
        """Delete what is old, and what is too much; returns how many bundles that were."""
        if not (self.home / FOLDER).is_dir():
            return 0
        gone, kept = 0, 0
        before = (now - KEPT_FOR).timestamp()
        with suppress(OSError), self.opened() as folder:
            found = [(name, os.stat(name, dir_fd=folder, follow_symlinks=False)) for name in os.listdir(folder)]
            for name, its in sorted(found, key=lambda each: each[1].st_mtime, reverse=True):
                kept += its.st_size
                if its.st_mtime < before or kept > MOST_KEPT_BYTES:
                    os.unlink(name, dir_fd=folder)
                    gone += 1
        return gone


class Collector:
    """Of one EngineX home."""

    def __init__(self, shelf: Shelf, logs: EngineLogs, redaction: Redaction, zone: tzinfo | None, clock: Clock) -> None:
        """
        Args:
            redaction: What configuration keeps in.
            zone: Of the times in names; None: the machine's.
        """
        self._shelf, self._logs, self._redaction, self._zone, self._clock = shelf, logs, redaction, zone, clock

    def collect(self, command: Command, stop: threading.Event) -> Bundle:
        """
        Raises:
            Failed: If it cannot be; then nothing is left of it.
            Stopped: *stop* was set.
        """
        name = f"logs-{command.command}.zip"
        try:
            with self._shelf.opened() as folder:
                return _there(folder, name) or self._made(folder, name, command, stop)
        except LogRefused as refused:
            raise Failed("path-outside-home", f"what it names is no session: {refused.code}") from None
        except OSError as error:
            code = "disk-full" if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG) else "unwritable"
            raise Failed(code, f"the bundle cannot be written: {error.strerror}") from error

    def _made(self, folder: int, name: str, command: Command, stop: threading.Event) -> Bundle:
        self._shelf.forget(self._clock())
        if self._shelf.free(self._shelf.home) < LEFT_FREE_BYTES + self._shelf.most:
            raise Failed("disk-full", f"less than {LEFT_FREE_BYTES + self._shelf.most >> 20} MiB are free there")
        chosen = Chosen(self._logs, command, self._zone)
        bundling = Bundling(self._logs, self._redaction, stop, self._shelf.most)
        beside = f"{name}{UNFINISHED}"
        with suppress(FileNotFoundError):
            os.unlink(beside, dir_fd=folder)
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            with open(os.open(beside, flags, 0o600, dir_fd=folder), "r+b") as file:
                counts = bundling.write(file, chosen, command, self._clock())
                file.flush()
                os.fsync(file.fileno())
            os.rename(beside, name, src_dir_fd=folder, dst_dir_fd=folder)
            os.fsync(folder)
        except (OSError, Stopped):
            with suppress(OSError):
                os.unlink(beside, dir_fd=folder)
            raise
        return _told(folder, name, counts)


def of_logs(collector: Collector, allowed: frozenset[str]) -> dict[str, Doer]:
    """What concerns logs, by kind.

    Args:
        allowed: The logs that the owner of this machine lets be looked at.
    """

    async def collect(command: Command) -> Bundle:
        if command.collecting is None:
            raise Failed("unknown-kind", "it does not say which logs")
        if others := set(command.collecting.logs) - allowed:
            named = ", ".join(sorted(others))
            raise Failed("not-allowed", f"this machine does not let {named} be looked at; its owner can: setting logs")
        stop = threading.Event()
        try:
            return await asyncio.to_thread(collector.collect, command, stop)
        finally:
            stop.set()

    return {"collect-logs": collect}


def _there(folder: int, name: str) -> Bundle | None:
    """The bundle of that name, if it is there and whole."""
    try:
        descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
    except FileNotFoundError:
        return None
    with open(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            return None
        try:
            with ZipFile(file) as bundle:
                about = msgspec.json.decode(bundle.read(ABOUT), type=About)
        except (BadZipFile, KeyError, msgspec.MsgspecError):
            return None
    return _told(folder, name, about.counts)


def _told(folder: int, name: str, counts: Counts) -> Bundle:
    with open(os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder), "rb") as file:
        digest, size = hashlib.sha256(), 0
        while block := file.read(BLOCK):
            digest.update(block)
            size += len(block)
    return Bundle(name=name, bytes=size, sha256=digest.hexdigest(), **msgspec.structs.asdict(counts))
