"""Agents: what a runtime runs, known by the sessions that it reports."""

from datetime import datetime
from uuid import UUID

from msgspec import Struct

from controlplane.db import schema as t
from controlplane.domain import newest
from controlplane.domain.newest import Condition, Reading, Search


class Agent(Struct, frozen=True, kw_only=True):
    id: UUID
    tenant_id: UUID
    tenant: str
    project: str
    runtime_id: UUID
    name: str
    first_seen_at: datetime
    """When the control plane first heard of it."""


async def listing(
    tx: Reading,
    *,
    runtime_id: UUID | None = None,
    project: str | None = None,
    before: UUID | None = None,
    limit: int = 50,
) -> list[Agent]:
    """Agents, those of the newest runtime first, from the first one older than *before*.

    Args:
        project: Slug or id.
    """
    wanted: list[Condition] = []
    if runtime_id is not None:
        wanted.append(t.agents.c.runtime_id == runtime_id)
    if project is not None:
        wanted.append(t.agents.c.project_id.in_(await newest.project_ids(tx, project)))
    return await newest.page(tx, Agent, t.agents, Search(conditions=wanted), before=before, limit=limit)


async def get(tx: Reading, agent_id: UUID) -> Agent:
    """
    Raises:
        NotFound: If there is none that *tx* can see.
    """
    return await newest.one(tx, Agent, t.agents, agent_id)
