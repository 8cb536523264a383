"""Checkpoints: the places in a session from which its agent could go on."""

from datetime import datetime
from uuid import UUID

from msgspec import Struct

from controlplane.db import schema as t
from controlplane.domain import newest
from controlplane.domain.newest import Condition, Reading, Search


class Checkpoint(Struct, frozen=True, kw_only=True):
    id: UUID
    tenant_id: UUID
    tenant: str
    project: str
    runtime_id: UUID
    session_id: UUID
    agent: str
    system: str
    source_id: str
    type: str
    """The source's own word: ``node_start``, ``node_complete``, …"""
    node: str | None
    next_node: str | None
    clean: bool
    created_at: datetime


class Filters(Struct, frozen=True, kw_only=True):
    """What is looked for; None does not narrow."""

    session_id: UUID | None = None
    run_id: UUID | None = None
    node: str | None = None
    type: str | None = None
    since: datetime | None = None
    """Made at this instant or later."""
    until: datetime | None = None
    """Made before this instant."""


async def listing(tx: Reading, filters: Filters, *, before: UUID | None = None, limit: int = 50) -> list[Checkpoint]:
    """Checkpoints, newest first, from the first one older than *before*."""
    wanted: list[Condition] = []
    if filters.run_id is not None:
        of_run = await _of_run(tx, filters.run_id)
        if of_run is None:
            return []
        wanted.extend(of_run)
    if filters.session_id is not None:
        wanted.append(t.checkpoints.c.session_id == filters.session_id)
    if filters.node is not None:
        wanted.append(t.checkpoints.c.node == filters.node)
    if filters.type is not None:
        wanted.append(t.checkpoints.c.type == filters.type)
    wanted.extend(newest.within(t.checkpoints.c.created_at, filters.since, filters.until))
    wanted.extend(newest.born_within(t.checkpoints.c.id, filters.since, filters.until))
    of_one_session = filters.session_id is not None or filters.run_id is not None
    search = Search(conditions=wanted, few=of_one_session)
    return await newest.page(tx, Checkpoint, t.checkpoints, search, before=before, limit=limit)


async def get(tx: Reading, checkpoint_id: UUID) -> Checkpoint:
    """
    Raises:
        NotFound: If there is none that *tx* can see.
    """
    return await newest.one(tx, Checkpoint, t.checkpoints, checkpoint_id)


async def _of_run(tx: Reading, run_id: UUID) -> list[Condition] | None:
    """What checkpoints meet that were made in a run; None where there is no such run.

    From its start until the session's next run starts. A run's own end is no bound: its duration is the sum of what
    its nodes took, and its last checkpoint is often younger than that.
    """
    run = await tx.first(_Run, tx.select(t.runs).where(t.runs.c.id == run_id))
    if run is None:
        return None
    others = tx.select(t.runs).where(t.runs.c.session_id == run.session_id, *newest.born_with(t.runs.c.id, run_id))
    after = await tx.first(_Run, others.where(t.runs.c.started_at > run.started_at).order_by(t.runs.c.started_at))
    made = t.checkpoints.c.created_at
    return [
        t.checkpoints.c.session_id == run.session_id,
        *newest.within(made, run.started_at, after.started_at if after else None),
        *newest.born_within(t.checkpoints.c.id, run.started_at, after.started_at if after else None),
    ]


class _Run(Struct, frozen=True):
    session_id: UUID
    started_at: datetime
