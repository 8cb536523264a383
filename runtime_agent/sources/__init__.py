"""Where records come from, and the list of kinds."""

from collections.abc import Mapping
from datetime import UTC, tzinfo
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from runtime_agent.sources.engine import EngineHome
from runtime_agent.sources.source import (
    NO_ID,
    NO_TIME,
    STALE_AFTER,
    Draft,
    Health,
    Reading,
    Said,
    Seen,
    Source,
    Spent,
    Unit,
    vanished,
)

__all__ = [
    "KINDS",
    "NO_ID",
    "NO_TIME",
    "STALE_AFTER",
    "Draft",
    "Health",
    "Reading",
    "Said",
    "Seen",
    "Source",
    "Spent",
    "Unit",
    "UnknownSource",
    "UnknownZone",
    "open_source",
    "parse",
    "vanished",
    "zone_of",
]

KINDS = ("engine",)
"""What ``--source KIND:PATH`` accepts."""


class UnknownSource(ValueError):
    """``KIND:PATH`` is malformed or names a kind that this version does not know."""


class UnknownZone(ValueError):
    """``RUNTIME_AGENT_SOURCE_TIMEZONE`` names no time zone of this machine."""


def parse(spec: str, environ: Mapping[str, str]) -> tuple[str, Path]:
    """Kind and absolute path of ``KIND:PATH``; ``engine`` alone takes ``ENGINE_HOME`` or ``~/.engine``.

    The folder need not exist yet.

    Raises:
        UnknownSource: Naming what is accepted.
    """
    kind, _, text = spec.partition(":")
    if kind not in KINDS:
        raise UnknownSource(f"source kind {kind[:50]!r} is not known; known kinds: {', '.join(KINDS)}")
    if not text:
        text = environ.get("ENGINE_HOME") or "~/.engine"
    if text == "~" or text.startswith("~/"):
        text = environ.get("HOME", "~") + text[1:]
    if "\0" in text:
        raise UnknownSource("the path of a source must not hold a NUL character")
    return kind, Path(text).expanduser().absolute()


def zone_of(name: str) -> tzinfo | None:
    """The zone of that name; None for an empty name: the machine's own.

    Raises:
        UnknownZone: The machine's zone database does not hold it.
    """
    if not name:
        return None
    if name.upper() in {"UTC", "ETC/UTC", "Z"}:
        return UTC
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise UnknownZone(f"{name[:100]!r} is not in this machine's time zone database") from error


def open_source(kind: str, path: Path, zone: tzinfo | None) -> Source:
    """The source of that kind, ready to be asked; nothing is read yet.

    Raises:
        UnknownSource: The kind is not known.
    """
    if kind != "engine":
        raise UnknownSource(f"source kind {kind[:50]!r} is not known; known kinds: {', '.join(KINDS)}")
    return EngineHome(path, zone)
