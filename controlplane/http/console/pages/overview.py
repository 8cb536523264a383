"""The first page: is anything wrong, and where; or in a tenant: what needs me."""

from collections import defaultdict
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from litestar import Response
from litestar.di import NamedDependency
from litestar.params import FromQuery
from litestar.response import ServerSentEvent
from msgspec import Struct
from sqlalchemy import text

from controlplane.domain import sessions
from controlplane.domain.newest import MARGIN, Reading
from controlplane.domain.outcomes import Filters, WaitingFor
from controlplane.domain.sessions import Count, Open, Session
from controlplane.domain.sync import refills
from controlplane.domain.sync.refills import Aftermath
from controlplane.http.console import histogram
from controlplane.http.console.histogram import Histogram
from controlplane.http.console.render import Page
from controlplane.http.console.screen import Screen
from controlplane.http.console.view import View
from controlplane.kit.ids import first_id

DAY: Final = timedelta(hours=24)
HOUR: Final = timedelta(hours=1)
ROWS: Final = 6
"""Lines of a panel; each panel links to the whole list."""

PLACES: Final = 12


class StateCount(Struct, frozen=True, kw_only=True):
    tenant: str
    name: str
    status: str
    state: str | None
    """None: the tenant has no runtime."""
    runtimes: int


class Troubled(Struct, frozen=True, kw_only=True):
    tenant: str
    id: UUID
    name: str
    state: str
    state_reason: str
    state_since: datetime
    waiting_records: int
    lost_records: int


class Waiting(Struct, frozen=True, kw_only=True):
    tenant: str
    id: UUID
    agent: str
    source_id: str
    current_node: str | None
    waiting_for: WaitingFor | None
    changed_at: datetime


class Work(Struct, frozen=True, kw_only=True):
    """One agent's last day."""

    tenant: str
    agent: str
    sessions: int
    failed: int
    tokens: int


class Spend(Struct, frozen=True, kw_only=True):
    tenant: str
    agent: str
    micro_usd: int


class Place(Struct, frozen=True, kw_only=True):
    """One tenant, for operators: where it is that something is wrong."""

    tenant: str
    name: str
    status: str
    runtimes: int
    troubled: int
    running: int
    waiting: int
    failed: int
    sessions: int
    """Started in the last day."""


class Overview(Struct, frozen=True, kw_only=True):
    now: datetime
    chart: Histogram
    running: int
    waiting: dict[str, int]
    """By what is waited for."""
    states: dict[str, int]
    """Runtimes by state."""
    troubled: list[Troubled]
    longest_waiting: list[Waiting]
    failures: list[Session]
    work: list[Work]
    spend: dict[tuple[str, str], int]
    """Millionths of a dollar by tenant and agent, the last day; empty where no runtime reports costs."""
    spent: int | None
    """None: nobody reports costs."""
    places: list[Place]
    restored: Aftermath | None

    @property
    def runtimes(self) -> int:
        """Those that are meant to be there."""
        return sum(number for state, number in self.states.items() if state != "revoked")

    @property
    def ill(self) -> int:
        return self.runtimes - self.states.get("connected", 0)


STATES: Final = text(
    """
    SELECT t.slug AS tenant, t.name, t.status, r.state, CAST(coalesce(r.runtimes, 0) AS bigint) AS runtimes
    FROM tenants t
    LEFT JOIN (
        SELECT tenant_id, state, count(*) AS runtimes FROM runtimes
        WHERE (CAST(:seen AS uuid[]) IS NULL OR id = ANY (CAST(:seen AS uuid[])))
        GROUP BY tenant_id, state
    ) r
        ON r.tenant_id = t.tenant_id
    ORDER BY t.slug
    """
)

TROUBLED: Final = text(
    """
    SELECT t.slug AS tenant, r.id, r.name, r.state, r.state_reason, r.state_since,
        CAST(coalesce(CAST(w.report -> 'backlog' ->> 'records' AS bigint), 0) AS bigint) AS waiting_records,
        (SELECT CAST(least(coalesce(sum(l.records), 0), 9223372036854775807) AS bigint) FROM sync_losses l
            WHERE l.tenant_id = r.tenant_id AND l.runtime_id = r.id) AS lost_records
    FROM runtimes r
    JOIN tenants t ON t.tenant_id = r.tenant_id
    LEFT JOIN runtime_reports w ON w.tenant_id = r.tenant_id AND w.runtime_id = r.id
    WHERE r.state IN ('locked', 'silent', 'lagging', 'draining')
        AND (CAST(:seen AS uuid[]) IS NULL OR r.id = ANY (CAST(:seen AS uuid[])))
    ORDER BY array_position(ARRAY['locked', 'silent', 'lagging', 'draining'], r.state), r.state_since
    LIMIT :most
    """
)
"""What is wrong, the worst and oldest first."""

LONGEST_WAITING: Final = text(
    """
    SELECT t.slug AS tenant, s.id, s.agent, s.source_id, s.current_node, s.waiting_for, s.changed_at
    FROM tenants t
    CROSS JOIN LATERAL (
        SELECT id, agent, source_id, told ->> 'current_node' AS current_node, waiting_for, changed_at
        FROM sessions
        WHERE tenant_id = t.tenant_id AND status = 'waiting'
            AND (CAST(:seen AS uuid[]) IS NULL OR runtime_id = ANY (CAST(:seen AS uuid[])))
        ORDER BY id
        LIMIT 200
    ) s
    ORDER BY s.waiting_for, s.changed_at
    LIMIT :most
    """
)
"""People before resumes: ``human_approval`` sorts before ``resume``."""

WORK: Final = text(
    """
    SELECT t.slug AS tenant, s.agent, s.sessions, s.failed, s.tokens
    FROM tenants t
    CROSS JOIN LATERAL (
        SELECT agent, count(*) AS sessions, count(*) FILTER (WHERE status IN ('failed', 'lost')) AS failed,
            CAST(least(sum(input_tokens + output_tokens), 9223372036854775807) AS bigint) AS tokens
        FROM sessions
        WHERE tenant_id = t.tenant_id AND id >= :oldest AND started_at >= :since
            AND (CAST(:seen AS uuid[]) IS NULL OR runtime_id = ANY (CAST(:seen AS uuid[])))
        GROUP BY agent
    ) s
    ORDER BY s.failed DESC, s.sessions DESC, t.slug, s.agent
    LIMIT :most
    """
)

SPEND: Final = text(
    """
    SELECT t.slug AS tenant, c.agent, c.micro_usd
    FROM tenants t
    CROSS JOIN LATERAL (
        SELECT agent, CAST(least(sum(micro_usd), 9223372036854775807) AS bigint) AS micro_usd
        FROM cost_entries
        WHERE tenant_id = t.tenant_id AND id >= :oldest AND spent_at >= :since
            AND (CAST(:seen AS uuid[]) IS NULL OR runtime_id = ANY (CAST(:seen AS uuid[])))
        GROUP BY agent
    ) c
    ORDER BY c.micro_usd DESC
    LIMIT 1000
    """
)


async def gather(tx: Reading) -> Overview:
    """Everything on the page; one statement a panel."""
    until = tx.now.replace(minute=0, second=0, microsecond=0) + HOUR
    since = until - DAY
    counts = await sessions.counts(tx, Filters(), since, until, HOUR)
    unfinished = await sessions.unfinished(tx)
    seen = tx.sight.runtimes
    states = await tx.query(StateCount, STATES, seen=seen)
    spend = await tx.query(Spend, SPEND, since=since, oldest=first_id(since), seen=seen)
    return Overview(
        now=tx.now,
        chart=histogram.draw(counts, since, until, HOUR),
        running=sum(row.sessions for row in unfinished if row.status == "running"),
        waiting=_by_reason(unfinished),
        states=_by_state(states),
        troubled=await tx.query(Troubled, TROUBLED, most=ROWS, seen=seen),
        longest_waiting=await tx.query(Waiting, LONGEST_WAITING, most=ROWS, seen=seen),
        failures=await sessions.listing(tx, Filters(status="failed"), limit=ROWS),
        work=await tx.query(Work, WORK, since=since, oldest=first_id(since - MARGIN), most=PLACES, seen=seen),
        spend={(row.tenant, row.agent): row.micro_usd for row in spend},
        spent=sum(row.micro_usd for row in spend) if spend else None,
        places=_places(states, unfinished, counts),
        restored=await refills.of_all(tx),
    )


def _by_reason(unfinished: list[Open]) -> dict[str, int]:
    waiting: dict[str, int] = defaultdict(int)
    for row in unfinished:
        if row.status == "waiting":
            waiting[row.waiting_for or "resume"] += row.sessions
    return dict(waiting)


def _by_state(states: list[StateCount]) -> dict[str, int]:
    by_state: dict[str, int] = defaultdict(int)
    for row in states:
        if row.state is not None:
            by_state[row.state] += row.runtimes
    return dict(by_state)


def _places(states: list[StateCount], unfinished: list[Open], counts: list[Count]) -> list[Place]:
    """The tenants, those where most is wrong first."""
    numbers: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    names = {row.tenant: (row.name, row.status) for row in states}
    for state in states:
        if state.state not in (None, "revoked"):
            numbers[state.tenant]["runtimes"] += state.runtimes
            numbers[state.tenant]["troubled"] += state.runtimes if state.state != "connected" else 0
    for row in unfinished:
        numbers[row.tenant][row.status] += row.sessions
    for counted in counts:
        numbers[counted.tenant]["sessions"] += counted.sessions
        numbers[counted.tenant]["failed"] += counted.sessions if counted.status in ("failed", "lost") else 0
    columns = ("runtimes", "troubled", "running", "waiting", "failed", "sessions")
    places = [
        Place(tenant=slug, name=name, status=status, **{column: numbers[slug][column] for column in columns})
        for slug, (name, status) in names.items()
    ]
    return sorted(places, key=lambda place: (-place.troubled, -place.failed, -place.sessions, place.tenant))[:PLACES]


async def page(screen: NamedDependency[Screen]) -> Response[str]:
    return await screen.show(_page(screen.view))


async def live(screen: NamedDependency[Screen], seen: FromQuery[str] = "") -> ServerSentEvent:
    return screen.follow(_page(screen.view), seen=seen)


def _page(view: View) -> Page:
    parts = ("verdict", "restored", "empty", "work", "fleet", "where", "waiting", "failures")
    return Page(
        template="overview/page.html",
        parts=tuple(f"overview/{part}" for part in parts),
        gather=gather,
        stream=f"{view.base}/live",
    )
