"""What of configuration stands on this disk, in one file: so that it is never half one and half another."""

from pathlib import Path
from typing import Final
from uuid import UUID

import msgspec
from msgspec import Struct

from runtime_agent.home import write_whole
from runtime_agent.wire.config import ContentPart, Desired, Effective, RedactionPart

FILE: Final = "configuration.json"


class Refused(Struct, frozen=True, kw_only=True):
    """One that this runtime could not take."""

    generation: int
    store_id: UUID
    error: str
    redaction: RedactionPart = RedactionPart()
    content: ContentPart = ContentPart()
    """What it was to keep in, which counts all the same where there is no good one."""


class Kept(Struct, frozen=True, kw_only=True):
    good: Desired | None = None
    """The last that has proved itself."""
    candidate: Desired | None = None
    """In force, and not proved yet."""
    starts: int = 0
    """How often the program has begun with the candidate and not ended as it should."""
    refused: Refused | None = None

    @property
    def in_force(self) -> Effective | None:
        found = self.candidate or self.good
        return found.effective if found else None

    def reached(self, store_id: UUID) -> int:
        """The newest generation of that database that was looked at; 0: none."""
        seen = [each.effective for each in (self.good, self.candidate) if each]
        own = [each.generation for each in [*seen, self.refused] if each and each.store_id == store_id]
        return max(own, default=0)


def load(home: Path) -> Kept:
    """What is there; nothing where there is no file, or none that can be read: then it is fetched anew."""
    try:
        return msgspec.json.decode((home / FILE).read_bytes(), type=Kept)
    except (OSError, msgspec.MsgspecError):
        return Kept()


def save(home: Path, kept: Kept) -> None:
    """Whole and durable, or not at all.

    Raises:
        OSError: There is no room for it.
    """
    write_whole(home / FILE, msgspec.json.encode(kept))
