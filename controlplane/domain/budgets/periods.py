"""When periods begin and end, in the zone of their budget."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Final, Literal, TypeAlias
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from msgspec import Struct

from controlplane.kit.problems import Refusal

Length: TypeAlias = Literal["day", "week", "month", "total"]

NEVER: Final = datetime(2100, 1, 1, tzinfo=UTC)
"""When a period ends that does not."""

QUARTER: Final = timedelta(minutes=15)
"""What is used is told by quarters of an hour."""


class ZoneUnknown(Refusal):
    code, status, title = "zone-unknown", 400, "There is no such time zone"
    hint = "Give an IANA name: UTC, Europe/Berlin."


class Span(Struct, frozen=True):
    starts_at: datetime
    ends_at: datetime


def zone_of(name: str) -> ZoneInfo:
    """
    Raises:
        ZoneUnknown: If there is none of that name.
    """
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ZoneUnknown(f"no zone {name[:60]!r}") from None


def around(length: Length, zone: str, since: datetime, at: datetime) -> list[Span]:
    """The period before, the one that *at* is in, and the one to come. Of what never ends there is one alone.

    Args:
        since: When that one begins: with the quarter of an hour that this is in.
    """
    if length == "total":
        return [Span(_quarter(since), NEVER)]
    here = zone_of(zone)
    today = at.astimezone(here).replace(hour=0, minute=0, second=0, microsecond=0, tzinfo=None, fold=0)
    first = {"day": today, "week": today - timedelta(days=today.weekday()), "month": today.replace(day=1)}[length]
    starts = [_moved(first, length, by).replace(tzinfo=here).astimezone(UTC) for by in (-1, 0, 1, 2)]
    return [Span(*each) for each in pairwise(starts)]


def current(length: Length, zone: str, since: datetime, at: datetime) -> Span:
    """The period that *at* is in."""
    spans = around(length, zone, since, at)
    return spans[len(spans) // 2]


def _moved(first: datetime, length: Length, by: int) -> datetime:
    """The first day of the period that is so many later; without a zone, for days of 23 and 25 hours are days."""
    if length == "day":
        return first + timedelta(days=by)
    if length == "week":
        return first + timedelta(weeks=by)
    months = first.year * 12 + first.month - 1 + by
    return first.replace(year=months // 12, month=months % 12 + 1)


def _quarter(at: datetime) -> datetime:
    return at - (at - datetime(1970, 1, 1, tzinfo=UTC)) % QUARTER
