"""All sessions, newest first: filters that live in the address, a histogram over them, newer and older."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Annotated, Any, Final, Literal, TypeAlias
from uuid import UUID

import msgspec
from litestar import Request, Response
from litestar.di import NamedDependency
from litestar.params import FromQuery
from litestar.response import ServerSentEvent
from msgspec import Meta, Struct

from controlplane.db import schema as t
from controlplane.domain import newest, outcomes, sessions
from controlplane.domain.newest import Reading
from controlplane.domain.outcomes import Filters, Status
from controlplane.domain.sessions import Session
from controlplane.http.console import histogram
from controlplane.http.console.histogram import Histogram
from controlplane.http.console.render import Page
from controlplane.http.console.screen import Screen
from controlplane.http.console.view import View
from controlplane.http.console.words import iso, public_id, with_query
from controlplane.http.problems import Invalid
from controlplane.kit.ids import parse_id

ROWS: Final = 50
MOST_AGENTS: Final = 200

PERIODS: Final = {"24h": timedelta(hours=24), "7d": timedelta(days=7), "30d": timedelta(days=30)}
USUAL: Final = "7d"
Period: TypeAlias = Literal["24h", "7d", "30d", "all"]
Text: TypeAlias = Annotated[str, Meta(max_length=300)]
Instant: TypeAlias = Annotated[datetime, Meta(tz=True)]
EVERYTHING: Final = "all"

STEPS: Final = tuple(
    timedelta(seconds=seconds)
    for seconds in (1, 5, 15, 60, 300, 900, 1_800, 3_600, 7_200, 21_600, 43_200, 86_400, 7 * 86_400)
)
MOST_BUCKETS: Final = 48


class Asked(Struct, frozen=True, kw_only=True):
    """What the address asks for, as it stands there."""

    status: Status | None = None
    agent: Text | None = None
    runtime: Text | None = None
    q: Text | None = None
    period: Period = USUAL
    """A key of :data:`PERIODS`, or ``all``; nothing where *since* or *until* are given."""
    since: Instant | None = None
    until: Instant | None = None
    before: Text | None = None
    """Rows older than this session."""

    def address(self, base: str, **changed: object) -> str:
        """The same page with something changed; it starts at the newest row again unless that is said too."""
        held: dict[str, object] = {
            "status": self.status,
            "agent": self.agent,
            "runtime": self.runtime,
            "q": self.q,
            "period": self.period if self.period != USUAL else None,
            "since": self.since,
            "until": self.until,
        }
        if "period" in changed:
            held["since"] = held["until"] = None
            changed["period"] = changed["period"] if changed["period"] != USUAL else None
        if "since" in changed:
            held["period"] = None
        held |= changed
        values = {name: iso(value) if isinstance(value, datetime) else value for name, value in held.items()}
        return f"{base}{with_query(**values)}"

    def narrowed_further(self, base: str) -> str:
        """The same page up to where ``since`` and ``until`` of another time are added."""
        address = self.address(base, since=None, until=None)
        return address + ("&" if "?" in address else "?")

    @property
    def narrowed(self) -> bool:
        """Whether anything but the period is filtered."""
        return any((self.status, self.agent, self.runtime, self.q))

    @property
    def chosen(self) -> bool:
        """Whether the period is one's own, such as a bar that was clicked."""
        return self.since is not None or self.until is not None


class Named(Struct, frozen=True):
    id: UUID
    name: str


class SessionsPage(Struct, frozen=True, kw_only=True):
    now: datetime
    asked: Asked
    rows: list[Session]
    runtimes: dict[UUID, str]
    """Names of those on the page."""
    agents: list[str]
    chart: Histogram | None
    """None: over everything ever seen there is none."""
    older: str | None
    newer: str | None
    """Values for ``before``; an empty text is the first page."""


class _Name(Struct, frozen=True):
    name: str


class _Id(Struct, frozen=True):
    id: UUID


async def gather(tx: Reading, asked: Asked) -> SessionsPage:
    """One page of the list, and the chart over all that matches."""
    since, until = _range(asked, tx.now)
    filters = Filters(
        status=asked.status,
        agent=asked.agent,
        runtime_id=_runtime(asked.runtime),
        since=since,
        until=until if asked.until else None,
        q=(asked.q or "").strip() or None,
    )
    before = parse_id("ses", asked.before) if asked.before else None
    rows = await sessions.listing(tx, filters, before=before, limit=ROWS + 1)
    page = rows[:ROWS]
    return SessionsPage(
        now=tx.now,
        asked=asked,
        rows=page,
        runtimes=await _runtime_names(tx, page, filters.runtime_id),
        agents=await _agent_names(tx),
        chart=await _chart(tx, filters, since, until),
        older=public_id(page[-1].id, "ses") if len(rows) > ROWS else None,
        newer=await _newer(tx, filters, before) if before else None,
    )


def _range(asked: Asked, now: datetime) -> tuple[datetime | None, datetime]:
    """The instants that are looked at; with whole buckets at both ends, so that the chart is true."""
    if asked.chosen:
        return asked.since, asked.until or now
    if asked.period == EVERYTHING:
        return None, now
    length = PERIODS[asked.period]
    every = _step(length)
    until = _ceiling(now, every)
    return until - length, until


def _runtime(text: str | None) -> UUID | None:
    """The runtime asked for; one that cannot be finds nothing."""
    return None if not text else parse_id("rt", text) or UUID(int=0)


async def _chart(tx: Reading, filters: Filters, since: datetime | None, until: datetime) -> Histogram | None:
    if since is None or until <= since or filters.q:
        return None
    every = _step(until - since)
    start = since if since.timestamp() % every.total_seconds() == 0 else _ceiling(since, every) - every
    return histogram.draw(await sessions.counts(tx, filters, start, until, every), start, until, every)


def _step(length: timedelta) -> timedelta:
    return next((step for step in STEPS if length / step <= MOST_BUCKETS), STEPS[-1])


def _ceiling(instant: datetime, every: timedelta) -> datetime:
    over = timedelta(seconds=instant.timestamp() % every.total_seconds())
    return instant - over + every if over else instant


async def _runtime_names(tx: Reading, rows: Sequence[Session], asked: UUID | None) -> dict[UUID, str]:
    wanted = {row.runtime_id for row in rows} | ({asked} if asked else set())
    found = await tx.all(Named, tx.select(t.runtimes).where(t.runtimes.c.id.in_(sorted(wanted))))
    return {row.id: row.name for row in found}


async def _agent_names(tx: Reading) -> list[str]:
    names = tx.select(t.agents).with_only_columns(t.agents.c.name).distinct().order_by(t.agents.c.name)
    return [row.name for row in await tx.all(_Name, names.limit(MOST_AGENTS))]


async def _newer(tx: Reading, filters: Filters, before: UUID) -> str:
    """Where the page before this one begins: as many rows up, counted from *before* itself."""
    search = await outcomes.search(tx, t.sessions, filters)
    wanted = search.and_(*newest.born_within(t.sessions.c.id, filters.since, None), t.sessions.c.id >= before)
    above = tx.select(t.sessions).where(*wanted.conditions).order_by(t.sessions.c.id)
    ids = await tx.all(_Id, above.limit(ROWS + 1))
    return public_id(ids[ROWS].id, "ses") if len(ids) > ROWS else ""


def provide_asked(request: Request[Any, Any, Any]) -> Asked:
    """The filters of the address.

    Raises:
        Invalid: If one of them cannot be.
    """
    given = {name: value for name, value in request.query_params.items() if value}
    try:
        return msgspec.convert(given, Asked, strict=False)
    except msgspec.ValidationError as error:
        raise Invalid([{"in": "query", "name": "", "detail": str(error)}]) from error


async def page(screen: NamedDependency[Screen], asked: NamedDependency[Asked]) -> Response[str]:
    return await screen.show(_page(screen.view, asked))


async def live(
    screen: NamedDependency[Screen], asked: NamedDependency[Asked], seen: FromQuery[str] = ""
) -> ServerSentEvent:
    return screen.follow(_page(screen.view, asked), seen=seen)


def _page(view: View, asked: Asked) -> Page:
    place = f"{view.base}/sessions"
    return Page(
        template="sessions/page.html",
        parts=("sessions/filters", "sessions/list"),
        gather=partial(gather, asked=asked),
        context={"asked": asked},
        stream=None if asked.before else asked.address(f"{place}/live"),
    )
