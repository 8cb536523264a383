"""What a running agent says of itself in ``status.json``, and what ``status`` makes of it and of the outbox."""

import os
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path

import msgspec
from msgspec import Struct

from runtime_agent import credential_files, heartbeat, home
from runtime_agent.clock import Clock
from runtime_agent.configuration import trying
from runtime_agent.identity import Identity
from runtime_agent.outbox import DiskFull, Outbox, OutboxDamaged, cursor, quarantine
from runtime_agent.outbox.position import position
from runtime_agent.settings import Settings
from runtime_agent.sources import Health
from runtime_agent.wire.config import Standing
from runtime_agent.wire.heartbeat import Backlog, Trouble

FRESH = timedelta(seconds=25)
"""An unchanged report is written again after that."""


NO_SPACE_BYTES = 1 << 20


class Running(Struct, frozen=True, kw_only=True):
    """The last report of a running agent."""

    pid: int
    started_at: datetime
    written_at: datetime
    connected: bool | None = None
    """None: no answer yet, and no failure either."""
    last_words: str = ""
    troubles: list[Trouble] = []
    watching: dict[str, bool] = {}
    """Per source, whether changes are noticed as they happen."""


class Reporter:
    """Writes the file, when something changed."""

    def __init__(self, folder: Path, clock: Clock) -> None:
        self._path = folder / home.STATUS
        self._clock = clock
        self._last = Running(pid=os.getpid(), started_at=clock(), written_at=datetime.fromtimestamp(0, clock().tzinfo))

    def write(
        self, connected: bool | None, last_words: str, troubles: list[Trouble], watching: dict[str, bool]
    ) -> None:
        now = self._clock()
        report = msgspec.structs.replace(
            self._last, connected=connected, last_words=last_words, troubles=troubles, watching=watching
        )
        if report == self._last and now - self._last.written_at < FRESH:
            return
        self._last = msgspec.structs.replace(report, written_at=now)
        with suppress(OSError):  # a full disk is told by heartbeat, too
            home.write_whole(self._path, msgspec.json.encode(self._last), durable=False)

    def remove(self) -> None:
        with suppress(OSError):
            self._path.unlink()


class SourceStatus(Struct, frozen=True, kw_only=True):
    kind: str
    path: str
    agents: int
    sessions: int
    troubles: list[Trouble]


class FileStatus(Struct, frozen=True, kw_only=True):
    """A credential that is kept as a file."""

    file: str
    connection: str
    expires_at: datetime | None
    """None: it is not there."""


class Ledger(Struct, frozen=True, kw_only=True):
    """Where the log stands."""

    epoch: int = 0
    last_seq: int = 0
    acked: int = 0
    backlog: Backlog = Backlog()
    quarantined: int = 0
    bytes_on_disk: int = 0


class Status(Struct, frozen=True, kw_only=True):
    """Everything that ``status`` shows."""

    home: str
    joined: bool
    runtime: str = ""
    name: str = ""
    tenant: str = ""
    project: str = ""
    server: str = ""
    running: Running | None = None
    sources: list[SourceStatus] = []
    credential_files: list[FileStatus] = []
    configuration: Standing = Standing()
    ledger: Ledger = Ledger()
    troubles: list[Trouble] = []


def gather(folder: Path, settings: Settings, identity: Identity | None, clock: Clock) -> Status:
    """Look at everything, ask nobody."""
    sources = [_source(source.kind, str(source.path), source.check()) for source in settings.opened()]
    running = _running(folder, clock())
    ledger, troubles = Ledger(), [trouble for source in sources for trouble in source.troubles]
    joined = identity is not None and identity.runtime_id is not None
    if identity is not None and joined:
        ledger, found = _ledger(folder, identity, clock())
        troubles += found
    troubles += running.troubles if running else []
    free = heartbeat.disk_free_bytes(folder)
    if free is not None and free < NO_SPACE_BYTES:
        troubles.append(Trouble(code="disk-full", line=f"{free >> 10} KiB are left where {folder} is"))
    return Status(
        home=str(folder),
        joined=joined,
        runtime=identity.runtime if identity else "",
        name=identity.name if identity else "",
        tenant=identity.tenant if identity else "",
        project=identity.project if identity else "",
        server=identity.server if identity else "",
        running=running,
        sources=sources,
        credential_files=_files(folder, settings),
        configuration=trying.seen(folder),
        ledger=ledger,
        troubles=list({(trouble.code, trouble.line): trouble for trouble in troubles}.values()),
    )


def _source(kind: str, path: str, health: Health) -> SourceStatus:
    return SourceStatus(
        kind=kind, path=path, agents=health.agents, sessions=health.sessions, troubles=list(health.troubles)
    )


def _files(folder: Path, settings: Settings) -> list[FileStatus]:
    """What is to be kept, and what is still there from before."""
    found = {Path(each.path): each for each in credential_files.kept(folder)}
    names = settings.files() | {path: each.name for path, each in found.items()}
    return [
        FileStatus(
            file=path.stem,
            connection=name,
            expires_at=found[path].expires_at if path in found and path.exists() else None,
        )
        for path, name in names.items()
    ]


def _running(folder: Path, now: datetime) -> Running | None:
    pid = home.holder(folder)
    if pid is None:
        return None
    with suppress(OSError, msgspec.MsgspecError):
        found = msgspec.json.decode((folder / home.STATUS).read_bytes(), type=Running)
        if found.pid == pid:
            return found
    return Running(pid=pid, started_at=now, written_at=now)


def _ledger(folder: Path, identity: Identity, now: datetime) -> tuple[Ledger, list[Trouble]]:
    path = folder / home.OUTBOX
    if not path.exists():
        return Ledger(), []
    try:
        outbox = Outbox(path, identity.id)
    except (OutboxDamaged, DiskFull) as error:
        return Ledger(bytes_on_disk=outbox_bytes(folder)), [Trouble(code="outbox-damaged", line=str(error)[:500])]
    try:
        where = position(outbox)
        ledger = Ledger(
            epoch=where.epoch,
            last_seq=where.last_seq,
            acked=where.acked,
            backlog=heartbeat.backlog(outbox, now),
            quarantined=quarantine.count(outbox),
            bytes_on_disk=outbox_bytes(folder),
        )
        return ledger, cursor.troubles(outbox)
    finally:
        outbox.close()


def outbox_bytes(folder: Path) -> int:
    """The outbox's size on disk, its write-ahead log included."""
    total = 0
    for name in (home.OUTBOX, home.OUTBOX + "-wal"):
        with suppress(OSError):
            total += (folder / name).stat().st_size
    return total
