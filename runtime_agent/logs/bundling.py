"""A bundle of logs: what of their lines may leave, in one file that somebody can take along."""

import threading
import time
import unicodedata
from collections.abc import Generator
from datetime import UTC, datetime
from functools import partial
from typing import IO, Final
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

import msgspec
from msgspec import Struct

from runtime_agent.configuration.redaction import Redaction
from runtime_agent.logs import showing
from runtime_agent.logs.choosing import RAW, Chosen, LogFile
from runtime_agent.logs.following import Follower, Line
from runtime_agent.sources.engine.files import LINE_MAX
from runtime_agent.sources.engine.logs import EngineLogs, LogRefused
from runtime_agent.wire.commands import Command
from runtime_agent.wire.logs import LINE_BYTES

MOST_BYTES: Final = 64 << 20
"""Of text in one bundle; the file itself is smaller."""

BREATH_BYTES: Final = 256 << 10
"""After so much, as long a rest as it took: half a core at the most."""

ABOUT: Final = "about.json"

EARLIEST_S: Final = datetime(1980, 1, 1, tzinfo=UTC).timestamp()
LATEST_S: Final = datetime(2107, 1, 1, tzinfo=UTC).timestamp()
"""What a zip file can say of times."""


class Stopped(Exception):
    """The program ends."""


class Counts(Struct, kw_only=True):
    """What has come of it."""

    sessions: int = 0
    files: int = 0
    lines: int = 0
    shortened: int = 0
    refused: int = 0
    beyond: int = 0


class About(Struct, frozen=True, kw_only=True):
    """What a bundle says of itself."""

    command: str
    runtime: str
    made_at: datetime
    logs: list[str]
    since: str
    until: str
    counts: Counts


class _Unread(Exception):
    """The file cannot be read, or not to its end."""


class Bundling:
    """Writes one."""

    def __init__(self, logs: EngineLogs, redaction: Redaction, stop: threading.Event, most: int = MOST_BYTES) -> None:
        """
        Args:
            stop: Ends it within a line.
            most: Bytes of text.
        """
        self._logs, self._redaction, self._stop, self._left = logs, redaction, stop, most
        self._counts = Counts()
        self._began, self._since_breath = time.monotonic(), 0

    def write(self, file: IO[bytes], chosen: Chosen, command: Command, now: datetime) -> Counts:
        """All that is *chosen*, as far as there is room, into *file*.

        Raises:
            Stopped: It was to end.
            OSError: It cannot be written.
        """
        wanted, counts = command.collecting, self._counts
        assert wanted is not None, "the caller has looked"
        counts.refused = chosen.refused
        sessions = set()
        with ZipFile(file, "w", ZIP_DEFLATED) as bundle:
            for place, each in enumerate(chosen.files):
                if self._left <= 0:
                    counts.beyond += len(chosen.files) - place
                    break
                if self._add(bundle, each):
                    counts.files += 1
                    sessions.add((each.agent, each.session))
            counts.sessions = len(sessions - {("", "")})
            about = About(
                command=command.command,
                runtime=command.runtime,
                made_at=now,
                logs=wanted.logs,
                since=wanted.since,
                until=wanted.until,
                counts=counts,
            )
            bundle.writestr(_entry(ABOUT, now.timestamp()), msgspec.json.format(msgspec.json.encode(about)))
        return counts

    def _add(self, bundle: ZipFile, file: LogFile) -> bool:
        """Whether there was anything to add."""
        lines = self._lines(file)
        try:
            first = next(lines, None)
        except _Unread:
            self._counts.refused += 1
            return False
        if first is None:
            return False
        with bundle.open(_entry(_called(file), file.touched_ns / 1e9), "w") as member:
            fits = self._put(member, file.log, first)
            try:
                while fits and (line := next(lines, None)) is not None:
                    fits = self._put(member, file.log, line)
            except _Unread:
                fits = False
        lines.close()
        if not fits:
            self._counts.beyond += 1
        return True

    def _put(self, member: IO[bytes], log: str, line: Line) -> bool:
        """False: there is no more room."""
        if self._stop.is_set():
            raise Stopped
        text = showing.shown(log, line, self._redaction)
        raw = text.encode() + b"\n"
        if len(raw) > self._left:
            self._left = 0
            return False
        member.write(raw)
        self._left -= len(raw)
        self._counts.lines += 1
        self._counts.shortened += self._is_short(log, text)
        self._breathe(len(line.content))
        return True

    def _is_short(self, log: str, text: str) -> bool:
        if text.endswith(showing.LEFT_OUT):
            return True
        return bool(text) and (bool(self._redaction.withheld) if log == RAW else text.startswith("["))

    def _lines(self, file: LogFile) -> Generator[Line, None, None]:
        opened = partial(self._logs.open, file.agent, file.session, file.log, file.path)
        follower = Follower(opened, 0, LINE_BYTES if file.log == RAW else LINE_MAX)
        try:
            while line := follower.next():
                yield line
            if rest := follower.rest():
                yield rest
        except (LogRefused, OSError) as error:
            raise _Unread from error
        finally:
            follower.close()

    def _breathe(self, read: int) -> None:
        self._since_breath += read
        if self._since_breath >= BREATH_BYTES:
            self._stop.wait(time.monotonic() - self._began)
            self._began, self._since_breath = time.monotonic(), 0


def _called(file: LogFile) -> str:
    """Its name in the bundle, which leads nowhere on whatever machine it is unpacked."""
    if not file.session:
        return "/".join(map(_plain, file.path.split("/")))
    name = f"files/{_plain(file.path)}" if file.log == RAW else f"{file.log}.jsonl"
    return f"sessions/{_plain(file.agent)}/{_plain(file.session)}/{name}"


def _plain(name: str) -> str:
    kept = (each if unicodedata.category(each)[0] != "C" and each not in '\\:*?"<>|' else "_" for each in name)
    return "".join(kept)


def _entry(name: str, at_s: float) -> ZipInfo:
    at = datetime.fromtimestamp(min(max(at_s, EARLIEST_S), LATEST_S), UTC)
    entry = ZipInfo(name, at.timetuple()[:6])
    entry.compress_type, entry.external_attr = ZIP_DEFLATED, 0o600 << 16
    return entry
