"""What a source of records is, whatever runtime it reads.

A source turns one *unit* of a runtime's own files (for EngineX a session folder) into everything there is to say about
it now. It keeps nothing between calls: what must be remembered is handed back in :class:`Seen`. The scanner compares
with what was said before; the source never does.
"""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from pathlib import Path
from typing import NamedTuple, Protocol, TypeAlias
from uuid import UUID

import msgspec
from msgspec import Struct

from runtime_agent.wire.heartbeat import Trouble
from runtime_agent.wire.records import CheckpointSeen, CostLine, RunState, SessionState

STALE_AFTER = timedelta(minutes=10)
"""A session that claims to run and was not touched for longer is lost."""

NO_ID = UUID(int=0)
NO_TIME = datetime(1970, 1, 1, tzinfo=UTC)
"""What a draft carries in place of ``record_id`` and ``occurred_at``."""

Said: TypeAlias = SessionState | RunState | CheckpointSeen | CostLine


class Unit(NamedTuple):
    """Something a source can be asked about, found without reading any content."""

    key: str
    """``<agent>/<session folder>``; stable, unique within the source."""
    fingerprint: bytes
    """16 bytes over names, sizes, mtimes and inodes; another one means: read again."""
    path: str


class Seen(Struct, frozen=True, array_like=True):
    """What the agent itself observed of a unit. Kept by the scanner, understood by the source alone."""

    content: bytes
    """Hash of what was read; tells a change from a copy, which only moves mtimes and inodes."""
    changed_at: datetime | None = None
    """The content changed under the agent's eyes, not before this; None: it never saw it change."""
    broken_since: datetime | None = None
    """Since when a file cannot be read to its end; None when all can."""
    held: int = 0
    """Which files were there, a bit each: one that is missing now tells of a folder that is being deleted."""


class Draft(Struct, frozen=True):
    """One record to be, without id and time of writing."""

    kind: str
    """``session``, ``run``, ``checkpoint`` or ``cost``."""
    key: str
    """The natural key, unique within source and kind."""
    state: bool
    """True: sent again whenever its digest changes. False: a fact, sent once per key."""
    record: Said

    def digest(self) -> bytes:
        """16 bytes over the content, the same for the same content in every process."""
        return blake2b(_encode(self.record), digest_size=16).digest()

    def make(self, record_id: UUID, occurred_at: datetime, *, not_before: datetime | None = None) -> Said:
        """The record itself; of a state, ``changed_at`` is moved up to *not_before* where it lies earlier."""
        record = self.record
        if not_before is None or isinstance(record, CheckpointSeen | CostLine) or record.changed_at >= not_before:
            return msgspec.structs.replace(record, record_id=record_id, occurred_at=occurred_at)
        return msgspec.structs.replace(record, record_id=record_id, occurred_at=occurred_at, changed_at=not_before)


_encode = msgspec.json.Encoder().encode


class Spent(Struct, frozen=True, kw_only=True):
    """What a unit has used since it began, as far as its files tell."""

    tokens: int
    micro_usd: int | None
    """None: no file tells a price."""
    at: datetime
    """The source's own time of the last change."""


class Reading(Struct, frozen=True, kw_only=True):
    """Everything there is to say about one unit now."""

    records: list[Draft] = []
    """States first, then facts, oldest first. What was readable and complete is here even if ``again``."""
    seen: Seen
    """To be stored, and handed in at the next reading."""
    again: bool = False
    """A file was empty, half written or changed while being read: read again soon, whatever the fingerprint says."""
    open: bool = False
    """The session runs."""
    due_at: datetime | None = None
    """Read again then even if no file changes: what is said depends on the time."""
    touched_at: datetime | None = None
    """The newest sign of life."""
    troubles: list[Trouble] = []
    """What a person must look at; the same trouble may come from many units."""
    spent: Spent | None = None
    """None: nothing can be told."""


class Health(Struct, frozen=True, kw_only=True):
    """What ``doctor`` and ``status`` say of a source."""

    agents: int = 0
    sessions: int = 0
    troubles: list[Trouble] = []


class Source(Protocol):
    """One runtime's files on this machine, read only."""

    @property
    def kind(self) -> str: ...

    @property
    def path(self) -> Path: ...

    def watch_paths(self) -> list[Path]:
        """Existing folders whose changes, at any depth, are worth a look; empty while the home is missing."""
        ...

    def unit_of(self, changed: str) -> str | None:
        """The key of the unit that the changed file or folder belongs to; None: none, or one that needs no look."""
        ...

    def discover(self) -> Iterator[Unit]:
        """All units, without reading content; memory does not grow with their number.

        Raises:
            OSError: The home is missing or cannot be listed. Nothing may be concluded about what vanished.
        """
        ...

    def fingerprint(self, key: str) -> bytes | None:
        """Of one unit, as ``discover`` gives it; None: it is not there."""
        ...

    def read(self, key: str, *, now: datetime, seen: Seen | None, looked_at: datetime | None = None) -> Reading:
        """Everything to say about one unit now. Never raises for what the files hold.

        Args:
            key: As ``discover`` gives it.
            now: The agent's clock.
            seen: What the last reading handed back; None on first sight.
            looked_at: When the agent last knew this unit to be as it was at the last reading: its last complete pass,
                or its last event. A change since then happened after that instant, which is all that the agent can
                say it saw; None: it cannot say.

        Raises:
            FileNotFoundError: The unit is not there (any more).
        """
        ...

    def content(self, checkpoint: CheckpointSeen) -> bytes | None:
        """What the file of that checkpoint holds; None: it is gone, another's, or cannot be read to its end."""
        ...

    def check(self) -> Health:
        """Look whether the home is there, readable and what it claims to be, and count what it holds."""
        ...


def vanished(last: SessionState) -> SessionState | None:
    """What to say when the folder of *last* is gone: what ran is lost; what had ended stays as it was.

    The time stays the source's own: an agent whose disk went back to an earlier copy may take for running what has
    long told its end, and then that end must stand.
    """
    if last.status != "running":
        return None
    return msgspec.structs.replace(last, status="lost")
