"""The instant it is, handed to whoever needs it so that tests can choose."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TypeAlias

Clock: TypeAlias = Callable[[], datetime]
"""Gives aware UTC instants."""

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def utc_now() -> datetime:
    return datetime.now(UTC)


def to_ms(instant: datetime) -> int:
    """Milliseconds since 1970."""
    return (instant - EPOCH) // timedelta(milliseconds=1)


def to_us(instant: datetime) -> int:
    """Microseconds since 1970: all that a ``datetime`` holds."""
    return (instant - EPOCH) // timedelta(microseconds=1)


def from_ms(ms: int) -> datetime:
    return EPOCH + timedelta(milliseconds=ms)


def from_us(us: int) -> datetime:
    return EPOCH + timedelta(microseconds=us)
