"""The EngineX home as a source: finding sessions, noticing changes, reading one."""

from collections.abc import Iterator
from datetime import datetime, tzinfo
from pathlib import Path

from runtime_agent.sources.source import Health, Reading, Seen, Unit


class EngineHome:
    """An EngineX or hive home: ``<root>/agents/<agent>/sessions/<session>/``."""

    kind = "engine"

    def __init__(self, path: Path, zone: tzinfo | None) -> None:
        """*zone* is that of the naive local times in the files; None: the machine's."""
        self.path = path
        self._zone = zone

    def watch_paths(self) -> list[Path]:
        raise NotImplementedError

    def unit_of(self, changed: str) -> str | None:
        raise NotImplementedError

    def discover(self) -> Iterator[Unit]:
        raise NotImplementedError

    def fingerprint(self, key: str) -> bytes | None:
        raise NotImplementedError

    def read(self, key: str, *, now: datetime, seen: Seen | None, looked_at: datetime | None = None) -> Reading:
        raise NotImplementedError

    def check(self) -> Health:
        raise NotImplementedError
