"""Sessions by status over time, as bars: the geometry of a chart that the server draws."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

from msgspec import Struct

from controlplane.domain.sessions import Count
from controlplane.http.console.words import STATUSES

WIDTH: Final = 100.0
"""Per cent: across, the chart follows the page; up, it is in pixels."""

HEIGHT: Final = 96
GAP: Final = 0.18
"""Part of a bucket's width that stays empty."""

SMALLEST: Final = 1.5
"""Height of a bar that stands for very little, so that one failure among thousands can be seen."""

TICKS: Final = 6


class Bar(Struct, frozen=True, kw_only=True):
    status: str
    x: float
    y: float
    width: float
    height: float


class Bucket(Struct, frozen=True, kw_only=True):
    since: datetime
    until: datetime
    x: float
    width: float
    counts: dict[str, int]
    """By status, those that occur."""
    bars: list[Bar]

    @property
    def total(self) -> int:
        return sum(self.counts.values())


class Tick(Struct, frozen=True, kw_only=True):
    x: float
    at: datetime


class Histogram(Struct, frozen=True, kw_only=True):
    since: datetime
    until: datetime
    every: timedelta
    peak: int
    """Sessions in the fullest bucket."""
    buckets: list[Bucket]
    ticks: list[Tick]
    totals: dict[str, int]

    @property
    def total(self) -> int:
        return sum(self.totals.values())


def draw(counts: Sequence[Count], since: datetime, until: datetime, every: timedelta) -> Histogram:
    """Stack *counts* into buckets of length *every* from *since* on; the last one may reach past *until*."""
    by_start: dict[datetime, dict[str, int]] = {}
    for counted in counts:
        held = by_start.setdefault(counted.at, {})
        held[counted.status] = held.get(counted.status, 0) + counted.sessions
    starts = [since + n * every for n in range(max(1, -(-(until - since) // every)))]
    peak = max((sum(held.values()) for held in by_start.values()), default=0)
    width = WIDTH / len(starts)
    buckets = [_bucket(n, start, every, width, by_start.get(start, {}), peak) for n, start in enumerate(starts)]
    totals = {status: sum(bucket.counts.get(status, 0) for bucket in buckets) for status in STATUSES}
    step = max(1, len(starts) // TICKS)
    ticks = [Tick(x=round(n * width, 3), at=start) for n, start in enumerate(starts) if n % step == 0]
    return Histogram(
        since=since, until=until, every=every, peak=peak, buckets=buckets, ticks=ticks[: TICKS + 1], totals=totals
    )


def _bucket(n: int, start: datetime, every: timedelta, width: float, counts: dict[str, int], peak: int) -> Bucket:
    bars = []
    top = float(HEIGHT)
    for status in reversed(STATUSES):
        if held := counts.get(status):
            height = max(SMALLEST, held / peak * (HEIGHT - 8))
            top -= height
            bars.append(_bar(status, n * width, top, width, height))
    return Bucket(
        since=start,
        until=start + every,
        x=round(n * width, 3),
        width=round(width, 3),
        counts={status: counts[status] for status in STATUSES if counts.get(status)},
        bars=bars,
    )


def _bar(status: str, x: float, y: float, width: float, height: float) -> Bar:
    inset = width * GAP / 2
    return Bar(
        status=status, x=round(x + inset, 3), y=round(y, 3), width=round(width - 2 * inset, 3), height=round(height, 3)
    )
