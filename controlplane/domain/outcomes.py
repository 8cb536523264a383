"""What sessions and runs have in common: how they ended, and how one looks for them."""

import re
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Literal, TypeAlias
from uuid import UUID

from msgspec import Struct
from sqlalchemy import ColumnElement, Table, false

from controlplane.db import schema as t
from controlplane.domain import newest
from controlplane.domain.newest import Condition, Reading, Search
from controlplane.kit.ids import born_at, first_id

Status: TypeAlias = Literal["running", "waiting", "succeeded", "failed", "cancelled", "lost"]
WaitingFor: TypeAlias = Literal["human_approval", "resume"]

FEW = 1000
"""So many sessions are named one by one."""

MATCHING_AGENTS = 100
"""As many agents can be meant by the start of a name; of more, the rest is left out."""


class Failure(Struct, frozen=True, kw_only=True):
    name: str
    line: str = ""


class Outcome(Struct, frozen=True, kw_only=True):
    """What a session and a run have in common; the columns, and what rides along in ``told``."""

    id: UUID
    tenant_id: UUID
    tenant: str
    project: str
    runtime_id: UUID
    agent: str
    system: str = "engine"
    source_id: str
    source_status: str
    """The source's own word."""
    status: Status
    waiting_for: WaitingFor | None
    quality: str
    attention: list[str] = []
    started_at: datetime
    ended_at: datetime | None = None
    duration_ms: int | None = None
    changed_at: datetime
    path: list[str] = []
    steps: int = 0
    retries: int = 0
    input_tokens: int
    output_tokens: int
    error: Failure | None = None


class Filters(Struct, frozen=True, kw_only=True):
    """What is looked for; None does not narrow."""

    status: Status | None = None
    agent: str | None = None
    """Its whole name."""
    runtime_id: UUID | None = None
    project: str | None = None
    """Slug or id."""
    since: datetime | None = None
    """Started at this instant or later."""
    until: datetime | None = None
    """Started before this instant."""
    q: str | None = None
    """The start of an agent's name or, where no agent is called so, of the source's session id; case-sensitive."""


async def search(tx: Reading, table: Table, filters: Filters) -> Search:
    """What rows of *table*, ``sessions`` or ``runs``, meet when they match *filters*."""
    found = [*newest.within(table.c.started_at, filters.since, filters.until)]
    # no lower bound here: an old session that was resumed has a new run with an old id
    found.extend(newest.born_within(table.c.id, None, filters.until))
    if filters.status is not None:
        found.append(table.c.status == filters.status)
    if filters.agent is not None:
        found.append(table.c.agent == filters.agent)
    if filters.runtime_id is not None:
        found.append(table.c.runtime_id == filters.runtime_id)
    if filters.project is not None:
        found.append(table.c.project_id.in_(await newest.project_ids(tx, filters.project)))
    if filters.q is None:
        return Search(conditions=found)
    return (await _named(tx, table, filters.q)).and_(*found)


async def _named(tx: Reading, table: Table, q: str) -> Search:
    """Where names of agents start with *q*, it means those; else the sessions whose source's id does."""
    agents = tx.select(t.agents).where(newest.starts_with(t.agents.c.name, q)).limit(MATCHING_AGENTS)
    names = {row.name for row in await tx.all(_Name, agents)}
    if names:
        return Search(conditions=[table.c.agent.in_(sorted(names))])
    return await _of_sessions_named(tx, table, q)


async def _of_sessions_named(tx: Reading, table: Table, q: str) -> Search:
    """Sessions whose source's id starts with *q*, or their runs: one by one where they are few."""
    named = (newest.starts_with(t.sessions.c.source_id, q), *_born_as_named(t.sessions.c.id, q))
    found = await tx.all(_Id, tx.select(t.sessions).where(*named).limit(FEW + 1))
    ids = sorted(row.id for row in found)
    if not ids:
        return Search(conditions=(false(),))
    if len(ids) <= FEW:
        session_id = table.c.id if table is t.sessions else table.c.session_id
        first, last = first_id(born_at(ids[0])), first_id(born_at(ids[-1]) + _A_MOMENT)
        return Search(conditions=(session_id.in_(ids), table.c.id >= first, table.c.id < last), few=True)
    if table is t.sessions:
        return Search(conditions=named)
    own = tx.select(t.sessions).where(
        t.sessions.c.tenant_id == table.c.tenant_id, t.sessions.c.id == table.c.session_id
    )
    name = own.with_only_columns(t.sessions.c.source_id).scalar_subquery()
    return Search(conditions=(newest.starts_with(name, q), *_born_as_named(table.c.id, q)))


def _born_as_named(identity: ColumnElement[UUID], q: str) -> Iterable[Condition]:
    """What ids meet when *q* begins like a name with a time in it: a session and its runs carry it in their ids."""
    found = _STAMPED.match(q)
    if found is None:
        return
    digits = "".join(part for part in found.groups() if part is not None)
    try:
        first = datetime.strptime(digits + _FIRST[len(digits) :], "%Y%m%d%H%M%S").replace(tzinfo=UTC)
    except ValueError:  # the 31st of June: a name all the same
        return
    yield identity >= first_id(first)
    yield identity < first_id(first + _SPANS[len(digits)])


_STAMPED = re.compile(r"session_(20\d\d)(?:(\d\d)(?:(\d\d)(?:_(\d\d)(?:(\d\d)(\d\d)?)?)?)?)?")

_FIRST = "20000101000000"

_SPANS = {
    4: timedelta(days=366),
    6: timedelta(days=31),
    8: timedelta(days=1),
    10: timedelta(hours=1),
    12: timedelta(minutes=1),
    14: timedelta(seconds=1),
}
"""How long what so many digits name lasts at most: a year, a month, …, a second."""


_A_MOMENT = timedelta(milliseconds=1)


class _Id(Struct, frozen=True):
    id: UUID


class _Name(Struct, frozen=True):
    name: str
