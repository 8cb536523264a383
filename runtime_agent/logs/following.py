"""Reading a log that is being written: line by line, across rotation and truncation, in bounded memory."""

import os
from collections.abc import Callable
from contextlib import suppress
from typing import Final, NamedTuple

from runtime_agent.wire.logs import Gap

BLOCK: Final = 64 << 10


class Line(NamedTuple):
    start: int
    """Byte of the file where it begins."""
    end: int
    """Byte behind it, its line feed included."""
    content: bytes
    left_out: bool = False
    """It is longer, and the rest is passed over."""
    gap: Gap = ""
    """What happened to the file since the line before it."""


class Follower:
    """One reader's place in a file that others write, replace and shorten."""

    def __init__(self, opened: Callable[[], int], offset: int, longest: int) -> None:
        """
        Args:
            opened: Opens the file anew; raises ``FileNotFoundError`` while it is not there.
            offset: Where to begin; negative: before the end. The first line is the next that begins there or later.
            longest: Bytes of a line that are read.
        """
        self.size = 0
        self._opened, self._offset, self._longest = opened, offset, longest
        self._descriptor: int | None = None
        self._position = 0
        self._held = b""
        self._passing = False
        """Over the rest of a line."""
        self._gap: Gap = ""

    @property
    def position(self) -> int:
        """Byte of the file where the next line begins."""
        return self._position - len(self._held)

    def close(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    @property
    def absent(self) -> bool:
        """The file was not there yet when it was last looked for."""
        return self._descriptor is None

    def next(self) -> Line | None:
        """The next line that is complete; None: there is none yet.

        Raises:
            OSError, LogRefused: As *opened* does, but for a file that is not there.
        """
        if self._descriptor is None and not self._begin():
            return None
        line = self._line()
        return self._line() if line is None and self._changed() else line

    def rest(self) -> Line | None:
        """What stands behind the last line feed, for who does not wait for the line's end."""
        if not self._held or self._passing:
            return None
        return Line(self.position, self.position, self._held[: self._longest], len(self._held) > self._longest)

    def _begin(self) -> bool:
        try:
            self._descriptor = self._opened()
        except FileNotFoundError:
            self._offset = 0  # all that it will hold is new
            return False
        self.size = os.fstat(self._descriptor).st_size
        at = self._offset if self._offset >= 0 else max(0, self.size + self._offset)
        if at > self.size:
            at, self._gap = 0, "truncated"
        self._position = at
        self._passing = at > 0 and os.pread(self._descriptor, 1, at - 1) != b"\n"
        return True

    def _line(self) -> Line | None:
        while True:
            end = self._held.find(b"\n")
            if self._passing:
                self._held = self._held[end + 1 :] if end >= 0 else b""
                self._passing = end < 0
                if not self._passing:
                    continue
            elif 0 <= end <= self._longest:
                start, line = self.position, self._held[:end]
                self._held = self._held[end + 1 :]
                return self._told(Line(start, self.position, line.removesuffix(b"\r")))
            elif len(self._held) > self._longest:
                start, line = self.position, self._held[: self._longest]
                self._held = self._held[self._longest :]
                self._passing = True
                return self._told(Line(start, self.position, line, left_out=True))
            if not self._more():
                return None

    def _told(self, line: Line) -> Line:
        gap, self._gap = self._gap, ""
        return line._replace(gap=gap)

    def _more(self) -> bool:
        assert self._descriptor is not None
        block = os.pread(self._descriptor, BLOCK, self._position)
        self._position += len(block)
        self._held += block
        return bool(block)

    def _changed(self) -> bool:
        """Whether the file was made shorter, or another stands in its place; what that one had is read to its end."""
        assert self._descriptor is not None
        mine = os.fstat(self._descriptor)
        self.size = mine.st_size
        if mine.st_size < self._position:
            self._from_the_start("truncated")
            return True
        with suppress(FileNotFoundError):
            other = self._opened()
            there = os.fstat(other)
            if (there.st_dev, there.st_ino) == (mine.st_dev, mine.st_ino):
                os.close(other)
                return False
            os.close(self._descriptor)
            self._descriptor, self.size = other, there.st_size
            self._from_the_start("rotated")
            return True
        return False

    def _from_the_start(self, gap: Gap) -> None:
        self._position, self._held, self._passing, self._gap = 0, b"", False, gap
