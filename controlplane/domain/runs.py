"""Runs: each finished execution of an agent's graph. A session that was resumed has several."""

from uuid import UUID

import msgspec

from controlplane.db import schema as t
from controlplane.domain import newest, outcomes
from controlplane.domain.newest import Reading
from controlplane.domain.outcomes import Filters, Outcome


class Run(Outcome, frozen=True, kw_only=True):
    session_id: UUID
    trace: str = ""
    execution: str = ""


async def listing(
    tx: Reading, filters: Filters, *, session_id: UUID | None = None, before: UUID | None = None, limit: int = 50
) -> list[Run]:
    """Runs, those of the newest session first, from the first one older than *before*.

    A run's id has the time of its session: one that was started *since* may have an old id, when its session was
    resumed. Those are looked for when the page is not full without them.

    Args:
        session_id: Only this session's.
    """
    search = await outcomes.search(tx, t.runs, filters)
    if session_id is not None:
        search = search.and_(t.runs.c.session_id == session_id, *newest.born_with(t.runs.c.id, session_id))
    if filters.since is None:
        return await newest.page(tx, Run, t.runs, search, before=before, limit=limit)
    oldest = newest.first_born(filters.since)
    found = await newest.page(tx, Run, t.runs, search.and_(t.runs.c.id >= oldest), before=before, limit=limit)
    if len(found) < limit:
        # nothing is heard of before it starts; rows stand in the order in which they were heard of
        heard = t.runs.c.received_at >= filters.since - newest.MARGIN
        resumed = msgspec.structs.replace(search.and_(t.runs.c.id < oldest, heard), few=True)
        found += await newest.page(tx, Run, t.runs, resumed, before=before, limit=limit - len(found))
    return found


async def get(tx: Reading, run_id: UUID) -> Run:
    """
    Raises:
        NotFound: If there is none that *tx* can see.
    """
    return await newest.one(tx, Run, t.runs, run_id)
