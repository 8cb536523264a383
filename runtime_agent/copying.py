"""A folder copied as it is, and onto the disk: names, modes, times, owners, and links as links."""

import os
import shutil
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Final, TypeAlias

from runtime_agent.swapping import sync

BLOCK: Final = 1 << 20

Wanted: TypeAlias = Callable[[Path], bool]
"""Whether what stands there, relative to the folder, is copied."""


class Odd(Exception):
    """Neither a file nor a folder nor a link: nothing that can be copied."""


def copied(source: Path, target: Path, wanted: Wanted, inside: Path = Path()) -> None:
    """Copy *source* to *target*, which must not be there.

    Raises:
        Odd: If there is something that cannot be.
        OSError: If it cannot be read or written.
    """
    target.mkdir(mode=0o700)
    with os.scandir(source) as entries:
        for entry in entries:
            if not wanted(inside / entry.name):
                continue
            if entry.is_dir(follow_symlinks=False):
                copied(Path(entry.path), target / entry.name, wanted, inside / entry.name)
            elif entry.is_file(follow_symlinks=False):
                _file(Path(entry.path), target / entry.name)
            elif entry.is_symlink():
                (target / entry.name).symlink_to(os.readlink(entry.path))
            else:
                raise Odd(entry.name)
    like(source, target)
    sync(target)


def like(source: Path, target: Path) -> None:
    """Give *target* the mode and the times of *source*, and its owner where that can be given."""
    found = os.lstat(source)
    if os.geteuid() == 0:
        os.chown(target, found.st_uid, found.st_gid, follow_symlinks=False)
    os.chmod(target, stat.S_IMODE(found.st_mode))
    os.utime(target, ns=(found.st_atime_ns, found.st_mtime_ns))


def _file(source: Path, target: Path) -> None:
    reads = os.open(source, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with open(reads, "rb") as old, open(target, "xb") as new:
        shutil.copyfileobj(old, new, BLOCK)
        new.flush()
        os.fsync(new.fileno())
    like(source, target)
