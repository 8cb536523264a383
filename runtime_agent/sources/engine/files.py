"""Reading files that others are writing: bounded, never through a link, never half of something."""

import os
import stat
from collections.abc import Iterator

from msgspec import Struct

DOCUMENT_MAX = 16 << 20
"""Bytes of a JSON document; a larger one is refused, not read."""

LOG_MAX = 16 << 20
"""Bytes of a log that are read; of a longer one the last."""

LINE_MAX = 1 << 20
"""Bytes of a log line; a longer one is skipped."""

_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY
"""A link, a pipe or a device in the place of a file must neither lead out of the home nor hold us up."""


class Refused(Exception):
    """The file is there and will not be read: ``code`` says why."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


class Bytes(Struct, frozen=True):
    """A file's content, as of one moment."""

    content: bytes
    mtime_ns: int
    moved: bool = False
    """It changed while it was read."""
    cut: bool = False
    """The beginning of a long log is missing."""


def document(path: str) -> Bytes | None:
    """A whole JSON document; None if there is none.

    Raises:
        Refused: Too large, unreadable, or no regular file.
    """
    return _read(path, DOCUMENT_MAX, tail=False)


def head(path: str, size: int) -> bytes:
    """The first *size* bytes; empty if the file is not there or will not be read."""
    try:
        descriptor = os.open(path, _FLAGS)
    except OSError:
        return b""
    try:
        return os.read(descriptor, size) if stat.S_ISREG(os.fstat(descriptor).st_mode) else b""
    except OSError:
        return b""
    finally:
        os.close(descriptor)


def log(path: str) -> Bytes | None:
    """The last :data:`LOG_MAX` bytes of a log, from the start of a line; None if there is none.

    Raises:
        Refused: Unreadable, or no regular file.
    """
    found = _read(path, LOG_MAX, tail=True)
    if found is None or not found.cut:
        return found
    first = found.content.find(b"\n") + 1
    return Bytes(found.content[first:], found.mtime_ns, cut=True)


def lines(content: bytes) -> Iterator[bytes | memoryview]:
    """The lines that are not blank and not absurdly long. The last may be half written: it will not parse."""
    if len(content) <= LINE_MAX:
        yield from (line for line in content.split(b"\n") if line)
        return
    view, start = memoryview(content), 0
    while start < len(content):
        end = content.find(b"\n", start)
        end = len(content) if end < 0 else end
        if 0 < end - start <= LINE_MAX:
            yield view[start:end]
        start = end + 1


def _read(path: str, limit: int, *, tail: bool) -> Bytes | None:
    try:
        descriptor = os.open(path, _FLAGS)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise Refused("file-not-regular" if os.path.islink(path) else "file-unreadable") from error
    try:
        return _all_of(descriptor, limit, tail=tail)
    except OSError as error:
        raise Refused("file-unreadable") from error
    finally:
        os.close(descriptor)


def _all_of(descriptor: int, limit: int, *, tail: bool) -> Bytes:
    before = os.fstat(descriptor)
    if not stat.S_ISREG(before.st_mode):
        raise Refused("file-not-regular")
    cut = before.st_size > limit
    if cut and not tail:
        raise Refused("file-too-large")
    if cut:
        os.lseek(descriptor, before.st_size - limit, os.SEEK_SET)
    content = _up_to(descriptor, min(before.st_size, limit))
    after = os.fstat(descriptor)
    moved = (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns)
    return Bytes(content, after.st_mtime_ns, moved=moved, cut=cut)


def _up_to(descriptor: int, size: int) -> bytes:
    """A signal or a network file system may give less at a time than was asked for."""
    content = os.read(descriptor, size) if size else b""
    while content and len(content) < size:
        more = os.read(descriptor, size - len(content))
        if not more:
            break
        content += more
    return content
