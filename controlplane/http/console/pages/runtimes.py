"""All runtimes, what is wrong first: which are behind, and by how much."""

from collections.abc import Sequence
from datetime import datetime
from functools import partial
from itertools import groupby
from typing import Annotated, Any, Final, TypeAlias
from uuid import UUID

from litestar import Response
from litestar.di import NamedDependency
from litestar.params import FromQuery, QueryParameter
from litestar.response import ServerSentEvent
from msgspec import Meta, Struct
from msgspec.structs import replace
from sqlalchemy import text

from controlplane.domain import fleet
from controlplane.domain.newest import Reading
from controlplane.domain.runtimes import State
from controlplane.http.console.render import Page
from controlplane.http.console.screen import Screen
from controlplane.http.console.words import RUNTIME_STATES, with_query
from controlplane.kit.presence import Presence

MOST: Final = 200


class Asked(Struct, frozen=True, kw_only=True):
    """What the address asks for."""

    state: State | None = None
    q: str | None = None
    """Part of a name in any case, or a tenant's slug."""


class RuntimeRow(Struct, frozen=True, kw_only=True):
    tenant: str
    project: str
    id: UUID
    name: str
    state: str
    state_reason: str
    state_since: datetime
    facts: dict[str, Any]
    acknowledged: int
    waiting_records: int | None
    """None: it has said nothing yet."""
    oldest_age_s: int | None
    lost_records: int
    heard_at: datetime | None
    skew_ms: int | None
    agents: int


class StateTotal(Struct, frozen=True, kw_only=True):
    state: str
    runtimes: int


class Group(Struct, frozen=True, kw_only=True):
    state: str
    rows: list[RuntimeRow]


class Fleet(Struct, frozen=True, kw_only=True):
    now: datetime
    groups: list[Group]
    totals: dict[str, int]
    """By state, whatever the filters."""
    shown: int

    @property
    def runtimes(self) -> int:
        """Those that are meant to be there."""
        return sum(number for state, number in self.totals.items() if state != "revoked")

    @property
    def ill(self) -> int:
        return self.runtimes - self.totals.get("connected", 0)


TOTALS: Final = text(
    """
    SELECT state, count(*) AS runtimes FROM runtimes
    WHERE (CAST(:seen AS uuid[]) IS NULL OR id = ANY (CAST(:seen AS uuid[])))
    GROUP BY state
    """
)

WRONG_FIRST: Final = text(
    """
    SELECT t.slug AS tenant, p.slug AS project, r.id, r.name, r.state, r.state_reason, r.state_since, r.facts,
        coalesce(c.last_seq, 0) AS acknowledged,
        CAST(w.report -> 'backlog' ->> 'records' AS bigint) AS waiting_records,
        CAST(w.report -> 'backlog' ->> 'oldest_age_s' AS bigint) AS oldest_age_s,
        (SELECT CAST(least(coalesce(sum(l.records), 0), 9223372036854775807) AS bigint) FROM sync_losses l
            WHERE l.tenant_id = r.tenant_id AND l.runtime_id = r.id) AS lost_records,
        w.received_at AS heard_at, w.skew_ms,
        (SELECT count(*) FROM agents a WHERE a.tenant_id = r.tenant_id AND a.runtime_id = r.id) AS agents
    FROM runtimes r
    JOIN tenants t ON t.tenant_id = r.tenant_id
    JOIN projects p ON p.tenant_id = r.tenant_id AND p.id = r.project_id
    LEFT JOIN sync_cursors c ON c.tenant_id = r.tenant_id AND c.runtime_id = r.id
    LEFT JOIN runtime_reports w ON w.tenant_id = r.tenant_id AND w.runtime_id = r.id
    WHERE (CAST(:seen AS uuid[]) IS NULL OR r.id = ANY (CAST(:seen AS uuid[])))
        AND (CAST(:state AS text) IS NULL OR r.state = :state)
        AND (CAST(:q AS text) IS NULL OR position(lower(:q) IN lower(r.name)) > 0 OR t.slug = :q)
    ORDER BY array_position(CAST(:order AS text[]), r.state), t.slug, r.name
    LIMIT :most
    """
)


async def gather(tx: Reading, asked: Asked, presence: Presence) -> Fleet:
    totals = await tx.query(StateTotal, TOTALS, seen=tx.sight.runtimes)
    rows = await tx.query(
        RuntimeRow,
        WRONG_FIRST,
        seen=tx.sight.runtimes,
        state=asked.state,
        q=(asked.q or "").strip() or None,
        order=list(RUNTIME_STATES),
        most=MOST,
    )
    words = await fleet.last_words(presence, [row.id for row in rows])
    rows = [_told(row, words.get(row.id)) for row in rows]
    return Fleet(now=tx.now, groups=_groups(rows), totals={row.state: row.runtimes for row in totals}, shown=len(rows))


def _told(row: RuntimeRow, word: fleet.Word | None) -> RuntimeRow:
    if word is None or (row.heard_at is not None and row.heard_at >= word.received_at):
        return row
    waits = word.said.backlog
    return replace(
        row,
        waiting_records=waits.records,
        oldest_age_s=waits.oldest_age_s,
        heard_at=word.received_at,
        skew_ms=word.skew_ms,
    )


def _groups(rows: Sequence[RuntimeRow]) -> list[Group]:
    return [Group(state=state, rows=list(group)) for state, group in groupby(rows, key=lambda row: row.state)]


Part: TypeAlias = Annotated[str, Meta(max_length=200)]
Wanted: TypeAlias = Annotated[State | None, QueryParameter(name="state")]
"""``state`` itself is a name that the framework keeps for its own."""


async def page(
    screen: NamedDependency[Screen], wanted: Wanted = None, q: FromQuery[Part | None] = None
) -> Response[str]:
    return await screen.show(_page(screen, Asked(state=wanted, q=q)))


async def live(
    screen: NamedDependency[Screen],
    wanted: Wanted = None,
    q: FromQuery[Part | None] = None,
    seen: FromQuery[str] = "",
) -> ServerSentEvent:
    return screen.follow(_page(screen, Asked(state=wanted, q=q)), seen=seen)


def _page(screen: Screen, asked: Asked) -> Page:
    return Page(
        template="runtimes/page.html",
        parts=("runtimes/list",),
        gather=partial(gather, asked=asked, presence=screen.presence),
        context={"asked": asked},
        stream=f"{screen.view.base}/runtimes/live{with_query(state=asked.state, q=asked.q)}",
    )
