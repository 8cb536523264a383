"""Where logs may be looked at in a home: a session's own folder of logs, and the folder of event logs. Nowhere else.

Every folder on the way is opened from the one before it and never through a link, so nothing that is put in their
place meanwhile leads out. The home itself may be a link: its owner has named it.
"""

import os
import stat
from contextlib import suppress
from pathlib import Path
from typing import Final

from runtime_agent.wire.logs import Ended

EVENT_LOGS: Final = "event_logs"

NAMES: Final = {"details": "details.jsonl", "tools": "tool_logs.jsonl"}

_FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY


class LogRefused(Exception):
    """It will not be opened; ``code`` says why."""

    def __init__(self, code: Ended) -> None:
        super().__init__(code)
        self.code: Ended = code


class EngineLogs:
    """The logs in one home."""

    def __init__(self, home: Path) -> None:
        self._home = home

    def open(self, agent: str, session: str, log: str, path: str) -> int:
        """A descriptor of the file, to be closed by whoever asked.

        Args:
            path: Of ``raw``; empty for the others.

        Raises:
            FileNotFoundError: It is not there, or not yet.
            LogRefused: It is none, may not be read, or lies elsewhere.
        """
        its_own = ["agents", agent, "sessions", session, "logs"]
        if log in NAMES and not path:
            return self._opened([*its_own, NAMES[log]])
        parts = path.split("/")
        if log != "raw":
            raise LogRefused("not-found")
        return self._opened(parts if parts[0] == EVENT_LOGS and len(parts) > 1 else [*its_own, *parts])

    def entries(self, *parts: str) -> list[tuple[str, os.stat_result]]:
        """What stands in a folder of the home, links as links; nothing where it is not there.

        Raises:
            LogRefused, OSError: It is no folder of the home, or may not be read.
        """
        try:
            folder = self._folder(list(parts))
        except FileNotFoundError:
            return []
        found = []
        try:
            for name in os.listdir(folder):
                with suppress(FileNotFoundError):
                    found.append((name, os.stat(name, dir_fd=folder, follow_symlinks=False)))
        finally:
            os.close(folder)
        return found

    def _opened(self, parts: list[str]) -> int:
        folder = self._folder(parts[:-1], parts[-1])
        try:
            descriptor = _inside(folder, parts[-1], _FILE)
        finally:
            os.close(folder)
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            raise LogRefused("unreadable")
        return descriptor

    def _folder(self, parts: list[str], *more: str) -> int:
        """A descriptor of the folder *parts*; *more* is what will be opened there, and is checked as well."""
        if any(part in ("", ".", "..") or "/" in part or "\0" in part for part in (*parts, *more)):
            raise LogRefused("path-outside")
        folder = os.open(self._home, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        for part in parts:
            try:
                inner = _inside(folder, part, _FOLDER)
            finally:
                os.close(folder)
            folder = inner
        return folder


def _inside(folder: int, name: str, flags: int) -> int:
    try:
        return os.open(name, flags, dir_fd=folder)
    except FileNotFoundError:
        raise
    except OSError as error:
        try:
            is_link = stat.S_ISLNK(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode)
        except OSError:
            is_link = False
        raise LogRefused("path-outside" if is_link else "unreadable") from error
