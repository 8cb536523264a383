"""Which files of logs there are in a home: of one session, or all that were written to in a time."""

import os
import stat
from collections.abc import Iterator
from datetime import UTC, datetime, tzinfo
from typing import Final, NamedTuple

from runtime_agent.sources.engine.logs import EVENT_LOGS, NAMES, EngineLogs, LogRefused
from runtime_agent.sources.engine.times import Times, compact
from runtime_agent.wire.commands import Command

RAW: Final = "raw"


class LogFile(NamedTuple):
    """One file, as :meth:`EngineLogs.open` takes it."""

    agent: str
    session: str
    """Both empty for an event log, which is of no session."""
    log: str
    path: str
    touched_ns: int
    size: int


class Window(NamedTuple):
    since: datetime | None
    until: datetime | None

    def holds(self, name: str, touched_ns: int, zone: tzinfo | None) -> bool:
        """Whether something that is called *name*, and was last written then, can have been written in it.

        Lines of L2 have no time, so files come whole. A copy's files are as young as the copy: then too much comes.
        """
        if self.since is not None and touched_ns < self.since.timestamp() * 1e9:
            return False
        latest = datetime.max.replace(tzinfo=UTC)
        began = Times(zone, latest).named(compact(name)) if self.until is not None else None
        return self.until is None or began is None or began <= self.until


class Chosen:
    """What is to be read, the youngest first."""

    def __init__(self, logs: EngineLogs, command: Command, zone: tzinfo | None) -> None:
        """
        Args:
            zone: Of the times in names; None: the machine's.

        Raises:
            LogRefused: If the session that is named cannot be one.
        """
        wanted = command.collecting
        assert wanted is not None, "the caller has looked"
        self.refused = 0
        """Links, folders, pipes, and what may not be read."""
        self._logs, self._zone = logs, zone
        self._wanted = frozenset(wanted.logs)
        self._window = Window(_instant(wanted.since), _instant(wanted.until))
        if command.session:
            found = list(self._of_session(command.agent, command.session, named=True))
        else:
            found = [*self._of_all(), *(self._event_logs() if RAW in self._wanted else ())]
        self.files = sorted(found, key=lambda file: file.touched_ns, reverse=True)

    def _of_all(self) -> Iterator[LogFile]:
        for agent in self._folders("agents"):
            for session in self._folders("agents", agent, "sessions"):
                yield from self._of_session(agent, session)

    def _of_session(self, agent: str, session: str, *, named: bool = False) -> Iterator[LogFile]:
        kinds = {name: log for log, name in NAMES.items() if log in self._wanted}
        for name, found in self._entries("agents", agent, "sessions", session, "logs", named=named):
            regular = stat.S_ISREG(found.st_mode)
            if not self._window.holds(session, found.st_mtime_ns, self._zone):
                continue
            if not regular:
                self.refused += name in kinds or RAW in self._wanted
                continue
            if name in kinds:
                yield LogFile(agent, session, kinds[name], "", found.st_mtime_ns, found.st_size)
            if RAW in self._wanted:
                yield LogFile(agent, session, RAW, name, found.st_mtime_ns, found.st_size)

    def _event_logs(self) -> Iterator[LogFile]:
        for name, found in self._entries(EVENT_LOGS):
            if not self._window.holds(name, found.st_mtime_ns, self._zone):
                continue
            if stat.S_ISREG(found.st_mode):
                yield LogFile("", "", RAW, f"{EVENT_LOGS}/{name}", found.st_mtime_ns, found.st_size)
            else:
                self.refused += 1

    def _folders(self, *parts: str) -> list[str]:
        return [name for name, found in self._entries(*parts) if stat.S_ISDIR(found.st_mode)]

    def _entries(self, *parts: str, named: bool = False) -> list[tuple[str, os.stat_result]]:
        try:
            return self._logs.entries(*parts)
        except LogRefused:
            if named:
                raise
            self.refused += 1
        except OSError:
            self.refused += 1
        return []


def _instant(text: str) -> datetime | None:
    return datetime.fromisoformat(text) if text else None
