"""What a record becomes in its table: one Struct for a row, written as JSON.

What is searched, sorted or added up is a column. The rest of what was told rides along in one: PostgreSQL reads about a
microsecond for each.
"""

from collections.abc import Callable, Sequence
from datetime import datetime
from operator import attrgetter
from typing import Any, TypeAlias
from uuid import UUID

from msgspec import Struct

from controlplane.domain.sync.identities import Identities
from runtime_agent.wire.records import CheckpointSeen, CostLine, Error, NodeVisit, RunState, SessionState


class _Told(Struct, omit_defaults=True, gc=False):
    source_status: str
    quality: str
    attention: Sequence[str] = []
    ended_at: datetime | None = None
    duration_ms: int | None = None
    path: Sequence[str] = []
    steps: int = 0
    retries: int = 0
    error: Error | None = None
    system: str = "engine"


class ToldOfSession(_Told, omit_defaults=True, gc=False):
    updated_at: datetime | None = None
    current_node: str | None = None
    logged_input_tokens: int = 0
    logged_output_tokens: int = 0


class ToldOfRun(_Told, omit_defaults=True, gc=False):
    trace: str = ""
    execution: str = ""


class Detail(Struct, omit_defaults=True, gc=False):
    """What only a session's own page shows."""

    started_raw: str = ""
    visits: dict[str, int] = {}
    nodes: Sequence[NodeVisit] = []
    nodes_omitted: int = 0
    goal: str | None = None
    entry_point: str | None = None
    claimed_by: str | None = None
    claimed_at: datetime | None = None


class SessionRow(Struct, omit_defaults=True, gc=False):
    id: UUID
    seq: int
    source_id: str
    told: ToldOfSession
    detail: Detail
    agent: str
    changed_at: datetime
    status: str
    started_at: datetime
    input_tokens: int
    output_tokens: int
    waiting_for: str | None = None


class RunRow(Struct, omit_defaults=True, gc=False):
    id: UUID
    seq: int
    source_id: str
    told: ToldOfRun
    session_id: UUID
    agent: str
    changed_at: datetime
    status: str
    started_at: datetime
    input_tokens: int
    output_tokens: int
    waiting_for: str | None = None


class CheckpointRow(Struct, gc=False):
    id: UUID
    seq: int
    source_id: str
    session_id: UUID
    agent: str
    system: str
    type: str
    node: str | None
    next_node: str | None
    clean: bool
    created_at: datetime


class CostRow(Struct, gc=False):
    id: UUID
    seq: int
    source_id: str
    session_id: UUID
    system: str
    agent: str
    spent_at: datetime
    node: str | None
    attempt: int
    step: int
    type: str
    model: str | None
    tool: str | None
    input_tokens: int
    output_tokens: int
    micro_usd: int
    duration_ms: int
    flags: Sequence[str]


State: TypeAlias = SessionRow | RunRow
Fact: TypeAlias = CheckpointRow | CostRow


def _of_the_same_name(row: type[Struct], after: str | None = None) -> Callable[[object], Any]:
    """Takes from a record the fields of *row*, those behind the field *after*, in their order."""
    names = row.__struct_fields__
    return attrgetter(*names[names.index(after) + 1 if after else 0 :])


_told_of_session = _of_the_same_name(ToldOfSession)
_told_of_run = _of_the_same_name(ToldOfRun)
_detail = _of_the_same_name(Detail)
_session = _of_the_same_name(SessionRow, after="detail")
_run = _of_the_same_name(RunRow, after="session_id")
_checkpoint = _of_the_same_name(CheckpointRow, after="session_id")
_cost = _of_the_same_name(CostRow, after="system")


def session(ids: Identities, seq: int, record: SessionState) -> SessionRow:
    identity = ids.session(record.agent, record.session)
    told, detail = ToldOfSession(*_told_of_session(record)), Detail(*_detail(record))
    return SessionRow(identity, seq, record.session, told, detail, *_session(record))


def run(ids: Identities, seq: int, record: RunState) -> RunRow:
    identity = ids.run(record.agent, record.session, record.run)
    told, session_id = ToldOfRun(*_told_of_run(record)), ids.session(record.agent, record.session)
    return RunRow(identity, seq, record.run, told, session_id, *_run(record))


def checkpoint(ids: Identities, seq: int, record: CheckpointSeen) -> CheckpointRow:
    identity = ids.checkpoint(record.agent, record.session, record.checkpoint, record.created_raw)
    session_id = ids.session(record.agent, record.session)
    return CheckpointRow(identity, seq, record.checkpoint, session_id, *_checkpoint(record))


def cost(ids: Identities, seq: int, record: CostLine) -> CostRow:
    identity = ids.cost(record.spent_at, record.entry)
    session_id = ids.session(record.agent, record.session)
    return CostRow(identity, seq, record.entry, session_id, "engine", *_cost(record))
