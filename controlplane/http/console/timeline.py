"""One session as bars over time: a row for each visit of a node, checkpoints as ticks, waiting as gaps.

A visit says how long it took but not when: its start is the checkpoint that the source wrote when the node began, or
else the end of what came before. What is inferred is marked as such.
"""

from bisect import bisect_left
from collections import Counter, defaultdict, deque
from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Final, Literal, TypeAlias

from msgspec import Struct

from controlplane.domain.checkpoints import Checkpoint
from controlplane.domain.runs import Run
from controlplane.domain.sessions import Detail, Visit, Whole

LONG_WAIT: Final = 0.15
"""A gap between runs longer than this part of all the work is drawn cut short."""

SHORTEST: Final = 0.25
"""Per cent of the width that a bar has at least."""

OPEN: Final = 1.0
"""The same for a bar whose end is not known."""

EDGE: Final = 6.0
"""Per cent of the width in which a label leans inwards."""

CROWDED: Final = 8.0
"""Nearer than this to the first label there is no room for another."""


Anchor: TypeAlias = Literal["start", "middle", "end"]


class Placed(Struct, frozen=True, kw_only=True):
    """A visit and when it was."""

    visit: Visit
    start: datetime
    end: datetime
    inferred: bool
    """No checkpoint says when it began."""
    open: bool = False
    """Begun, and its end was never reported."""


class Wait(Struct, frozen=True, kw_only=True):
    """Nothing ran: the session was paused, or waits still."""

    start: datetime
    end: datetime
    still: bool = False


class Bar(Struct, frozen=True, kw_only=True):
    x: float
    width: float
    placed: Placed


class Row(Struct, frozen=True, kw_only=True):
    """One visit of a node with its attempts, the first one on top."""

    node: str
    bars: list[Bar]
    retries: int


class Gap(Struct, frozen=True, kw_only=True):
    x: float
    width: float
    wait: Wait
    cut: bool
    """Drawn shorter than it was."""


class Mark(Struct, frozen=True, kw_only=True):
    x: float
    checkpoint: Checkpoint


class Label(Struct, frozen=True, kw_only=True):
    x: float
    anchor: Anchor
    after_ms: float
    """Since the session's start."""
    minor: bool = False
    """Left out where there is little room."""


class Timeline(Struct, frozen=True, kw_only=True):
    """All that the drawing needs; across in per cent of its width."""

    rows: list[Row]
    gaps: list[Gap]
    marks: list[Mark]
    labels: list[Label]
    placed: list[Placed]

    @property
    def inferred(self) -> bool:
        """Whether any bar's place is our inference."""
        return any(placed.inferred for placed in self.placed)


def draw(
    session: Whole, detail: Detail, checkpoints: Sequence[Checkpoint], runs: Sequence[Run], now: datetime
) -> Timeline:
    """Lay out one session.

    Args:
        checkpoints: In any order; those of other nodes than the visited ones are ticks only.
    """
    oldest_first = sorted(checkpoints, key=lambda checkpoint: checkpoint.created_at)
    placed = place(session, detail, oldest_first, runs, now)
    waits = _waits(session, runs, placed, now)
    axis = _Axis(session.started_at, placed, waits)
    return Timeline(
        rows=_rows(axis, placed),
        gaps=[axis.gap(wait) for wait in waits],
        marks=[Mark(x=axis.at(checkpoint.created_at), checkpoint=checkpoint) for checkpoint in oldest_first],
        labels=axis.labels(),
        placed=placed,
    )


def place(
    session: Whole, detail: Detail, checkpoints: Sequence[Checkpoint], runs: Sequence[Run], now: datetime
) -> list[Placed]:
    """The visits with their times, and last the one that has begun and not ended, if there is one."""
    starts = _starts(session, detail, checkpoints)
    began = {run.trace: run.started_at for run in runs if run.trace}
    clock = session.started_at
    placed = []
    for visit in detail.nodes:
        clock = max(clock, began.pop(visit.trace, clock))
        begun = starts[visit.node].popleft() if starts[visit.node] else None
        start = begun or clock
        clock = start + timedelta(milliseconds=visit.latency_ms)
        placed.append(Placed(visit=visit, start=start, end=clock, inferred=begun is None))
    if session.status != "succeeded":
        placed.extend(_open(session, starts, clock, now))
    return placed


def _starts(session: Whole, detail: Detail, checkpoints: Sequence[Checkpoint]) -> dict[str, deque[datetime]]:
    """When each node began, oldest first; without the visits that were left out of the record."""
    starts: dict[str, deque[datetime]] = defaultdict(deque)
    for checkpoint in checkpoints:
        if checkpoint.type == "node_start" and checkpoint.node:
            starts[checkpoint.node].append(checkpoint.created_at)
    if detail.nodes_omitted:
        visits = Counter(visit.node for visit in detail.nodes)
        for node, times in starts.items():
            going_on = node == session.current_node and session.status != "succeeded"
            for _ in range(len(times) - visits[node] - going_on):
                times.popleft()
    return starts


def _open(session: Whole, starts: dict[str, deque[datetime]], clock: datetime, now: datetime) -> list[Placed]:
    """The visit that has begun and not ended: one that runs goes on until now, a lost one to its last sign of life."""
    begun = max(((times[-1], node) for node, times in starts.items() if times), default=None)
    if begun is None or begun[0] < clock - timedelta(seconds=1):
        return []
    start, node = begun
    end = now if session.status == "running" else max(session.updated_at or start, session.changed_at)
    return [
        Placed(
            visit=Visit(node=node, outcome=session.status), start=start, end=max(start, end), inferred=False, open=True
        )
    ]


def _waits(session: Whole, runs: Sequence[Run], placed: Sequence[Placed], now: datetime) -> list[Wait]:
    """Between the last visit of one run and the start of the next, and after the last one if it waits still."""
    ends = sorted(one.end for one in placed)
    waits = []
    for run in sorted(runs, key=lambda run: run.started_at)[1:]:
        before = bisect_left(ends, run.started_at)
        if before and ends[before - 1] < run.started_at - timedelta(seconds=1):
            waits.append(Wait(start=ends[before - 1], end=run.started_at))
    if session.status == "waiting":
        since = max((session.changed_at, *ends))
        waits.append(Wait(start=since, end=max(now, since), still=True))
    return waits


def _rows(axis: "_Axis", placed: Sequence[Placed]) -> list[Row]:
    rows: list[Row] = []
    for one in placed:
        bar = axis.bar(one)
        if one.visit.attempt > 1 and rows and rows[-1].node == one.visit.node:
            last = rows.pop()
            rows.append(Row(node=last.node, bars=[*last.bars, bar], retries=last.retries + 1 + one.visit.retries))
        else:
            rows.append(Row(node=one.visit.node, bars=[bar], retries=one.visit.retries))
    return rows


class _Axis:
    """From instants to per cent of the width. Long waits are cut short, so that the work stays legible."""

    def __init__(self, start: datetime, placed: Sequence[Placed], waits: Sequence[Wait]) -> None:
        instants = [start, *(one.start for one in placed), *(one.end for one in placed)]
        first, last = min(instants), max([*instants, *(wait.end for wait in waits)])
        waited = sum((wait.end - wait.start for wait in waits), timedelta())
        work = max(last - first - waited, timedelta(milliseconds=1))
        self._start = start
        self._cuts = {wait.start: wait for wait in waits if wait.end - wait.start > LONG_WAIT * work}
        self._cut_to = LONG_WAIT * work
        self._points = self._knots(first, last)

    def _knots(self, first: datetime, last: datetime) -> list[tuple[datetime, float]]:
        """Instants and how far they lie along the axis, in seconds drawn."""
        points = [(first, 0.0)]
        for wait in sorted(self._cuts.values(), key=lambda wait: wait.start):
            until = points[-1][1] + (wait.start - points[-1][0]).total_seconds()
            points.append((wait.start, until))
            points.append((wait.end, until + self._cut_to.total_seconds()))
        points.append((last, points[-1][1] + (last - points[-1][0]).total_seconds()))
        return points

    def at(self, instant: datetime) -> float:
        """0 to 100, also for what lies outside."""
        points = self._points
        whole = points[-1][1] or 1.0
        for (left, drawn), (right, drawn_right) in pairwise(points):
            if instant <= right:
                length = (right - left).total_seconds()
                part = (instant - left).total_seconds() / length if length else 0.0
                return round(min(max((drawn + part * (drawn_right - drawn)) / whole * 100, 0.0), 100.0), 3)
        return 100.0

    def bar(self, placed: Placed) -> Bar:
        least = OPEN if placed.open else SHORTEST
        x = min(self.at(placed.start), 100 - least)
        return Bar(x=x, width=round(max(self.at(placed.end) - x, least), 3), placed=placed)

    def gap(self, wait: Wait) -> Gap:
        x = self.at(wait.start)
        return Gap(x=x, width=round(self.at(wait.end) - x, 3), wait=wait, cut=wait.start in self._cuts)

    def labels(self) -> list[Label]:
        """Quarters of the time that was worked through; where waits were cut, their ends instead."""
        first, last = self._points[0][0], self._points[-1][0]
        if not self._cuts:
            return [self._label(first + n * (last - first) / 4) for n in range(5)]
        labels = [self._label(first)]
        for wait in sorted(self._cuts.values(), key=lambda wait: wait.start):
            labels += [self._label(wait.start, "end", minor=True), self._label(wait.end, "start")]
        return [label for label in labels if label is labels[0] or label.x > CROWDED]

    def _label(self, instant: datetime, anchor: Anchor = "middle", *, minor: bool = False) -> Label:
        x = self.at(instant)
        if not EDGE < x < 100 - EDGE:
            anchor = "start" if x <= EDGE else "end"
        after_ms = (instant - self._start).total_seconds() * 1_000
        return Label(x=x, anchor=anchor, after_ms=after_ms, minor=minor)
