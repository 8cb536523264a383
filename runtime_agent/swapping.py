"""One folder put in the place of another, at once, and what stood there before kept, so that it can be put back.

Whatever happens in between, the place holds the one or the other, whole. Only where the file system cannot exchange two
names is there a moment without either, and whoever begins again ends it.
"""

import ctypes
import errno
import os
import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final, TypeAlias

import msgspec
from msgspec import Struct

SHELF: Final = ".runtime-agent"
"""Beside what is replaced, on the same file system; the dot keeps others from taking it for one of those."""

PLAN: Final = "plan.json"
EXCHANGE: Final = 2
"""``RENAME_EXCHANGE`` of renameat2(2)."""

HERE: Final = -100
"""``AT_FDCWD``."""

UNABLE: Final = frozenset({errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP})

Exchange: TypeAlias = Callable[[Path, Path], bool]
"""Gives each of two folders the other's name, at once; False: this file system cannot."""


class Moved(Exception):
    """Something else stands there than what was to be replaced."""


class NothingKept(Exception):
    """There is nothing to put back."""


class Plan(Struct, frozen=True, kw_only=True):
    """What is to be replaced by what, told by inodes: they stay when names change."""

    swap: str
    before: int
    after: int


class Swap:
    """The replacing of one folder, under a name of its own. Begun again after it ended, it changes nothing."""

    def __init__(self, live: Path, name: str, exchange: Exchange) -> None:
        """
        Args:
            live: The folder that is replaced.
            name: Of this replacing; becomes the name of a folder.
            exchange: How two folders get each other's name.
        """
        self._live, self._name = live, name
        self._exchange = exchange
        self._kept = shelf(live) / name
        self._work = self._kept.with_name(f"{name}.doing")
        self.aside = self._work / "state"
        """Where what comes is composed; afterwards, what was."""

    def done(self) -> bool:
        """Whether it has come to its end, which it is helped to where it was cut short.

        Raises:
            Moved: If it was cut short, and somebody else has been there since.
        """
        if self._kept.is_dir():
            return True
        plan = self._plan()
        if plan is None:
            return False
        live, before = _inode(self._live), self._work / "before"
        if live is None and _inode(before) == plan.before and _inode(self.aside) == plan.after:
            self.aside.rename(self._live)
            live = plan.after
        if live == plan.after:
            self._end()
            return True
        if live != plan.before:
            raise Moved
        return False

    def begin(self) -> None:
        """Make room for composing; what was composed before and not put in place is thrown away."""
        self.discard()
        self._work.mkdir(parents=True, mode=0o700)
        sync(self._live.parent, self._work.parent.parent, self._work.parent)

    def discard(self) -> None:
        """Throw away what was composed."""
        with suppress(FileNotFoundError):
            shutil.rmtree(self._work)

    def take(self, undone: str) -> None:
        """Have what the replacing called *undone* has kept put back.

        Raises:
            NothingKept: If it is not there any more.
        """
        if not self._work.is_dir():
            try:
                self._kept.with_name(undone).rename(self._work)
            except FileNotFoundError:
                raise NothingKept from None

    def give_back(self, undone: str) -> None:
        """It was not put back after all."""
        self._work.rename(self._kept.with_name(undone))

    def replace(self) -> None:
        """Put what is aside in place, and keep what was there.

        Raises:
            OSError: If it cannot be; nothing has changed.
        """
        before, after = os.stat(self._live).st_ino, os.stat(self.aside).st_ino
        write_new(self._work / PLAN, msgspec.json.encode(Plan(swap=self._name, before=before, after=after)))
        sync(self._work, self._work.parent)
        if not self._exchange(self._live, self.aside):
            self._live.rename(self._work / "before")
            self.aside.rename(self._live)
        sync(self._live.parent, self._work)
        self._end()

    def _end(self) -> None:
        with suppress(FileNotFoundError):
            (self._work / "before").rename(self.aside)
        self._work.rename(self._kept)
        sync(self._kept, self._kept.parent)

    def _plan(self) -> Plan | None:
        try:
            plan = msgspec.json.decode((self._work / PLAN).read_bytes(), type=Plan)
        except (FileNotFoundError, msgspec.MsgspecError):
            return None
        return plan if plan.swap == self._name else None


def shelf(live: Path) -> Path:
    """Where what *live* was is kept."""
    return live.parent / SHELF / live.name


def exchanged(one: Path, other: Path) -> bool:
    """As Linux does it."""
    call = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if call is None:
        return False
    if call(HERE, os.fsencode(one), HERE, os.fsencode(other), EXCHANGE) == 0:
        return True
    if (code := ctypes.get_errno()) in UNABLE:
        return False
    raise OSError(code, os.strerror(code), str(one))


def write_new(path: Path, content: bytes) -> None:
    """Write a file anew and have it on the disk; a link in its place is replaced, and not followed."""
    path.unlink(missing_ok=True)
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with open(handle, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(handle)


def sync(*folders: Path) -> None:
    """Have the names in *folders* on the disk."""
    for folder in folders:
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _inode(path: Path) -> int | None:
    try:
        return os.lstat(path).st_ino
    except FileNotFoundError:
        return None
