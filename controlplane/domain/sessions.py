"""Sessions: what runtimes said about one conversation of an agent with its work, and what follows from it."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

import msgspec
from msgspec import Struct
from sqlalchemy import func, text, true

from controlplane.db import schema as t
from controlplane.domain import newest, outcomes
from controlplane.domain.newest import Reading
from controlplane.domain.outcomes import Failure, Filters, Outcome, Status, WaitingFor
from controlplane.kit.ids import born_at, first_id


class Session(Outcome, frozen=True, kw_only=True):
    updated_at: datetime | None = None
    current_node: str | None = None
    logged_input_tokens: int = 0
    """What a session without a summary logged node by node."""
    logged_output_tokens: int = 0


class Whole(Session, frozen=True, kw_only=True):
    """A session with the part that lists leave out."""

    detail: dict[str, Any]
    """See :class:`Detail`."""


class Visit(Struct, frozen=True, kw_only=True):
    """One visit of a node; visits stand in the order in which they ended."""

    node: str
    type: str | None = None
    outcome: str = "success"
    attempt: int = 1
    steps: int = 0
    retries: int = 0
    latency_ms: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    tools: int = 0
    error: Failure | None = None
    trace: str = ""


class Detail(Struct, frozen=True, kw_only=True):
    started_raw: str = ""
    visits: dict[str, int] = {}
    nodes: list[Visit] = []
    nodes_omitted: int = 0
    """Older visits, which the agent did not send."""
    goal: str | None = None
    entry_point: str | None = None
    claimed_by: str | None = None
    claimed_at: datetime | None = None


class Totals(Struct, frozen=True, kw_only=True):
    """What other tables hold of one session, added up when asked."""

    session_id: UUID
    run_count: int
    checkpoint_count: int
    latest_checkpoint: UUID | None
    micro_usd: int | None
    """Millionths of a US dollar by the source's own cost lines; None where it wrote none."""
    models: list[str]


class Count(Struct, frozen=True, kw_only=True):
    tenant: str
    at: datetime
    """Start of the bucket."""
    status: Status
    sessions: int


class Open(Struct, frozen=True, kw_only=True):
    tenant: str
    status: Status
    waiting_for: WaitingFor | None
    sessions: int


async def listing(tx: Reading, filters: Filters, *, before: UUID | None = None, limit: int = 50) -> list[Session]:
    """Sessions, newest first, from the first one older than *before*."""
    search = await outcomes.search(tx, t.sessions, filters)
    in_its_months = search.and_(*newest.born_within(t.sessions.c.id, filters.since, None))
    return await newest.page(tx, Session, t.sessions, in_its_months, before=before, limit=limit)


async def get(tx: Reading, session_id: UUID) -> Whole:
    """
    Raises:
        NotFound: If there is none that *tx* can see.
    """
    return await newest.one(tx, Whole, t.sessions, session_id)


def detail(session: Whole) -> Detail:
    """The nodes and what else only the session's own page shows."""
    return msgspec.convert(session.detail, Detail)


TOTALS: Final = text(
    """
    SELECT s.id AS session_id, r.run_count, coalesce(c.checkpoint_count, 0) AS checkpoint_count, c.latest_checkpoint,
        e.micro_usd, coalesce(e.models, ARRAY[]::text[]) AS models
    FROM unnest(CAST(:sessions AS uuid[]), CAST(:owners AS uuid[]), CAST(:first AS uuid[]), CAST(:last AS uuid[]))
        AS s(id, tenant_id, first, last)
    CROSS JOIN LATERAL (
        SELECT count(*) AS run_count
        FROM runs WHERE tenant_id = s.tenant_id AND id >= s.first AND id < s.last AND session_id = s.id
    ) r
    LEFT JOIN (
        SELECT session_id, count(*) AS checkpoint_count,
            (array_agg(id ORDER BY created_at DESC, id DESC))[1] AS latest_checkpoint
        FROM checkpoints
        WHERE tenant_id = ANY (CAST(:tenants AS uuid[])) AND session_id = ANY (CAST(:sessions AS uuid[]))
            AND id >= :oldest
        GROUP BY session_id
    ) c ON c.session_id = s.id
    LEFT JOIN (
        SELECT session_id, CAST(least(sum(micro_usd), 9223372036854775807) AS bigint) AS micro_usd,
            array_agg(DISTINCT model) FILTER (WHERE model IS NOT NULL) AS models
        FROM cost_entries
        WHERE tenant_id = ANY (CAST(:tenants AS uuid[])) AND session_id = ANY (CAST(:sessions AS uuid[]))
            AND id >= :oldest
        GROUP BY session_id
    ) e ON e.session_id = s.id
    """
)
"""Each part names its sessions and months, so that it looks at this page's rows and at nothing else. A run's id carries
the time of its session's; checkpoints and cost lines are younger than their session."""


async def totals(tx: Reading, sessions: Sequence[Session]) -> dict[UUID, Totals]:
    """Totals of *sessions*, by session id, in one statement."""
    if not sessions:
        return {}
    born = [born_at(session.id) for session in sessions]
    oldest = min(*born, *(session.started_at for session in sessions))
    rows = await tx.query(
        Totals,
        TOTALS,
        sessions=[session.id for session in sessions],
        owners=[session.tenant_id for session in sessions],
        tenants=list({session.tenant_id for session in sessions}),
        first=[first_id(instant) for instant in born],
        last=[first_id(instant + timedelta(milliseconds=1)) for instant in born],
        oldest=newest.first_born(oldest),
    )
    return {row.session_id: row for row in rows}


async def counts(tx: Reading, filters: Filters, since: datetime, until: datetime, every: timedelta) -> list[Count]:
    """How many sessions started in each bucket of length *every* from *since* on, by status; empty buckets are left out.

    Args:
        filters: What else is asked of them; ``since`` and ``until`` in it do not count.
    """
    search = await outcomes.search(tx, t.sessions, msgspec.structs.replace(filters, since=since, until=until))
    bucket = func.date_bin(every, t.sessions.c.started_at, since).label("at")
    counted = (
        tx.select(t.sessions)
        .with_only_columns(bucket, t.sessions.c.status, func.count().label("sessions"))
        .where(t.sessions.c.tenant_id == t.tenants.c.tenant_id, *search.conditions)
        .where(*newest.born_within(t.sessions.c.id, since, None))
        .group_by(bucket, t.sessions.c.status)
        .lateral("counted")
    )
    by_tenant = tx.select(t.tenants).select_from(t.tenants.join(counted, true()))
    named = by_tenant.with_only_columns(t.tenants.c.slug.label("tenant"), *counted.c)
    return await tx.all(Count, named.order_by(counted.c.at, counted.c.status, t.tenants.c.slug))


async def unfinished(tx: Reading) -> list[Open]:
    """How many sessions run or wait right now, and for what, tenant by tenant."""
    what = (t.sessions.c.status, t.sessions.c.waiting_for)
    counted = (
        tx.select(t.sessions)
        .with_only_columns(*what, func.count().label("sessions"))
        .where(t.sessions.c.tenant_id == t.tenants.c.tenant_id, t.sessions.c.status.in_(("running", "waiting")))
        .group_by(*what)
        .lateral("counted")
    )
    by_tenant = tx.select(t.tenants).select_from(t.tenants.join(counted, true()))
    named = by_tenant.with_only_columns(t.tenants.c.slug.label("tenant"), *counted.c)
    return await tx.all(Open, named.order_by(t.tenants.c.slug, counted.c.status, counted.c.waiting_for))
