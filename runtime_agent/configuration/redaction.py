"""What configuration takes out of everything that leaves, after what is taken out anyway."""

import re
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from msgspec import structs

from runtime_agent.sources import Source, Unit
from runtime_agent.sources.source import Health, Reading, Said, Seen
from runtime_agent.wire.config import RedactionPart
from runtime_agent.wire.records import CheckpointSeen, Error, NodeVisit

STAND_IN: Final = "[redacted]"

LINES: Final = frozenset({"goal", "current_node", "node", "next_node", "model", "tool"})
"""Fields with a text of the source's own. What names an agent, a session or a run stays: their ids are made of it."""

LISTS: Final = frozenset({"attention", "path", "flags"})

WITHHELD: Final[dict[str, dict[str, Any]]] = {
    "attention": {"attention": []},
    "goals": {"goal": None},
    "models": {"model": None},
    "nodes": {"current_node": None, "node": None, "next_node": None, "path": [], "visits": {}, "nodes": []},
    "tools": {"tool": None},
}
"""What each leaves in its fields' place."""


class Redaction:
    """In force from the next text on; what has left has left."""

    def __init__(self) -> None:
        self._part = RedactionPart()
        self._pattern: re.Pattern[str] | None = None

    def use(self, part: RedactionPart) -> None:
        """
        Raises:
            re.error: It cannot be looked for.
        """
        kinds = [re.escape(each) for each in part.words] + [_shape(each) for each in part.shapes]
        self._pattern = re.compile("|".join(kinds), re.IGNORECASE) if kinds else None
        self._part = part

    @property
    def withheld(self) -> frozenset[str]:
        """What leaves as nothing at all."""
        return frozenset(self._part.withhold)

    def text(self, text: str) -> str:
        return self._pattern.sub(STAND_IN, text) if self._pattern else text

    def of(self, record: Said) -> Said:
        """The record as it may leave."""
        if self._part == RedactionPart():
            return record
        fields = record.__struct_fields__
        blank = {name: value for kind in self._part.withhold for name, value in WITHHELD.get(kind, {}).items()}
        changed: dict[str, Any] = {name: self._plain(name, getattr(record, name)) for name in fields}
        changed |= {name: value for name, value in blank.items() if name in fields}
        return structs.replace(record, **{name: changed[name] for name in fields})

    def _plain(self, name: str, value: Any) -> Any:
        if name in LINES and isinstance(value, str):
            return self.text(value)
        if name in LISTS:
            return [self.text(each) for each in value]
        if name == "visits":
            return self._visits(value)
        if name == "nodes":
            return [self._node(each) for each in value]
        return self._error(value) if isinstance(value, Error) else value

    def _visits(self, visits: dict[str, int]) -> dict[str, int]:
        found: dict[str, int] = {}
        for node, times in visits.items():
            found[self.text(node)] = found.get(self.text(node), 0) + times
        return found

    def _node(self, visit: NodeVisit) -> NodeVisit:
        error = self._error(visit.error) if visit.error else None
        return structs.replace(visit, node=self.text(visit.node), error=error)

    def _error(self, error: Error) -> Error:
        line = "" if "error-lines" in self._part.withhold else self.text(error.line)
        return Error(name=self.text(error.name), line=line)


class Redacted:
    """A source, of which nothing is read that configuration keeps in."""

    def __init__(self, source: Source, redaction: Redaction) -> None:
        self._source, self._redaction = source, redaction

    @property
    def kind(self) -> str:
        return self._source.kind

    @property
    def path(self) -> Path:
        return self._source.path

    def watch_paths(self) -> list[Path]:
        return self._source.watch_paths()

    def unit_of(self, changed: str) -> str | None:
        return self._source.unit_of(changed)

    def discover(self) -> Iterator[Unit]:
        return self._source.discover()

    def fingerprint(self, key: str) -> bytes | None:
        return self._source.fingerprint(key)

    def read(self, key: str, *, now: datetime, seen: Seen | None, looked_at: datetime | None = None) -> Reading:
        reading = self._source.read(key, now=now, seen=seen, looked_at=looked_at)
        records = [structs.replace(draft, record=self._redaction.of(draft.record)) for draft in reading.records]
        return structs.replace(reading, records=records)

    def content(self, checkpoint: CheckpointSeen) -> bytes | None:
        return self._source.content(checkpoint)

    def check(self) -> Health:
        return self._source.check()


def _shape(shape: str) -> str:
    """``KD-######`` as a pattern: every character stands for exactly one, so that looking takes no time to speak of."""
    return "".join({"#": r"\d", "@": r"[^\W\d_]"}.get(each) or re.escape(each) for each in shape)
