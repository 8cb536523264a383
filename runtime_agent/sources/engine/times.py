"""Instants from the texts in EngineX's files: naive local ones in the source's zone, aware ones as they are."""

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any

from msgspec import Struct

EARLIEST = datetime(2000, 1, 1, tzinfo=UTC)
AHEAD = timedelta(days=1)
"""What lies outside these is no instant of a session; the control plane would refuse it."""

_ISO = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(?::\d\d(?:\.\d{1,9})?)?(?:Z|[+-]\d\d(?::?\d\d)?)?")
_COMPACT = re.compile(r"(?<!\d)(\d{8}_\d{6})(?!\d)")
RAW_MAX = 64


def raw(value: Any) -> str:
    """The source's own text of an instant, if it is one; else empty."""
    return value if isinstance(value, str) and len(value) <= RAW_MAX and _ISO.fullmatch(value) else ""


def compact(text: str) -> str:
    """The last ``YYYYmmdd_HHMMSS`` in an id or a folder's name; empty if there is none."""
    found = _COMPACT.findall(text)
    return found[-1] if found else ""


class Times(Struct, frozen=True):
    """Reads instants as one home writes them."""

    zone: tzinfo | None
    """Of naive times; None: the machine's."""
    latest: datetime
    """Anything later is refused."""

    def local(self, value: Any, *, not_before: datetime | None = None) -> datetime | None:
        """*value* as an instant; without an offset in the source's zone.

        A time that the clock showed twice is the first of the two, unless *not_before* lies after that. One that the
        clock skipped is read with the offset from before the gap.
        """
        text = raw(value)
        return self._instant(datetime.fromisoformat, text, not_before) if text else None

    def utc(self, value: Any) -> datetime | None:
        """*value* as an instant; without an offset in UTC."""
        text = raw(value)
        if not text:
            return None
        return Times(zone=UTC, latest=self.latest).local(text)

    def named(self, text: str, *, not_before: datetime | None = None) -> datetime | None:
        """The instant that a :func:`compact` text tells, to the second, in the source's zone."""
        return self._instant(_from_compact, text, not_before) if text else None

    def _instant(self, parse: Callable[[str], datetime], text: str, not_before: datetime | None) -> datetime | None:
        try:
            told = parse(text)
            instant = self._placed(told)
            if told.tzinfo is None and not_before is not None and instant < not_before:
                instant = max(instant, self._placed(told.replace(fold=1)))
        except (ValueError, OverflowError, OSError):
            return None
        return instant if EARLIEST <= instant <= self.latest else None

    def _placed(self, told: datetime) -> datetime:
        if told.tzinfo is None and self.zone is not None:
            told = told.replace(tzinfo=self.zone)
        return told.astimezone(UTC)


def _from_compact(text: str) -> datetime:
    return datetime.fromisoformat(text.replace("_", "T"))
