"""From records to rows: sessions, runs, checkpoints, cost lines, agents and losses.

Every row has a derived id, so writing it again changes nothing. A state replaces an older one by
``(changed_at, epoch, seq)``; a fact is written once. All of it can be made again from the batches.
"""

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from uuid import UUID

import msgspec
from msgspec.structs import asdict
from sqlalchemy import Table, TextClause, text
from sqlalchemy.dialects import postgresql

from controlplane.db import schema as t
from controlplane.db.database import TenantTx
from controlplane.domain.sync.batches import Unknown
from controlplane.domain.sync.identities import Identities
from controlplane.kit.ids import ProjectId, RuntimeId
from runtime_agent.wire.records import (
    CheckpointSeen,
    CostLine,
    Error,
    Gap,
    Quarantine,
    Record,
    RunState,
    SessionState,
)

Row = dict[str, object]

DAY_MS = 86_400_000
NOISE_BITS = 80
"""Behind the milliseconds in an id."""
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

SAME_FOR_ALL = ("tenant_id", "runtime_id", "project_id", "epoch", "received_at")
"""Columns that a whole batch shares: sent once as parameters, not once a row."""

SEE_AGENTS = text("""
    INSERT INTO agents (tenant_id, id, runtime_id, project_id, name, first_seen_at)
    SELECT CAST(:tenant_id AS uuid), seen.id, CAST(:runtime_id AS uuid), CAST(:project_id AS uuid), seen.name,
        CAST(:first_seen_at AS timestamptz)
    FROM unnest(CAST(:ids AS uuid[]), CAST(:names AS text[])) AS seen(id, name)
    ON CONFLICT (tenant_id, id) DO NOTHING
""")


class Rows:
    """The rows of one batch by table, and the months that they fall into."""

    def __init__(self, identities: Identities) -> None:
        self._ids = identities
        self._states: dict[Table, dict[int, tuple[datetime, Row]]] = {t.sessions: {}, t.runs: {}}
        self._facts: dict[Table, dict[int, Row]] = {t.checkpoints: {}, t.cost_entries: {}}
        self._losses: list[Row] = []
        self._agents: set[str] = set()
        self._born_days: dict[Table, set[int]] = {table: set() for table in (*self._states, *self._facts)}

    def add(self, seq: int, record: Record | Unknown) -> None:
        """Project *record*. Of two states of one thing in a batch the later one stays."""
        match record:
            case SessionState():
                self._session(seq, record)
            case RunState():
                self._run(seq, record)
            case CheckpointSeen():
                self._checkpoint(seq, record)
            case CostLine():
                self._cost(seq, record)
            case Gap():
                self._lost("gap", seq, record, record.count, record.reason, record.detail)
            case Quarantine():
                detail = record.detail or f"{record.of_kind or 'record'} of {record.bytes} bytes"
                self._lost("quarantined", seq, record, 1, record.code, detail)

    def _session(self, seq: int, record: SessionState) -> None:
        row = _outcome(seq, record)
        row["detail"] = {name: row.pop(name) for name in _DETAIL}
        row["id"] = identity = self._ids.session(record.agent, record.session)
        row["source_id"] = record.session
        self._agents.add(record.agent)
        self._put_state(t.sessions, identity, row, record.changed_at)

    def _run(self, seq: int, record: RunState) -> None:
        row = _outcome(seq, record)
        row["id"] = identity = self._ids.run(record.agent, record.session, record.run)
        row["session_id"] = self._ids.session(record.agent, record.session)
        row["source_id"] = row.pop("run")
        self._put_state(t.runs, identity, row, record.changed_at)

    def _checkpoint(self, seq: int, record: CheckpointSeen) -> None:
        identity = self._ids.checkpoint(record.agent, record.session, record.checkpoint, record.created_raw)
        row: Row = {
            "id": identity,
            "seq": seq,
            "agent": record.agent,
            "system": record.system,
            "session_id": self._ids.session(record.agent, record.session),
            "source_id": record.checkpoint,
            "type": record.type,
            "node": record.node,
            "next_node": record.next_node,
            "clean": record.clean,
            "created_at": record.created_at,
        }
        self._put_fact(t.checkpoints, identity, row)

    def _cost(self, seq: int, record: CostLine) -> None:
        identity = self._ids.cost(record.spent_at, record.entry)
        row: Row = {
            "id": identity,
            "seq": seq,
            "agent": record.agent,
            "system": "engine",
            "session_id": self._ids.session(record.agent, record.session),
            "source_id": record.entry,
            **{name: getattr(record, name) for name in _COST_FIELDS},
        }
        self._put_fact(t.cost_entries, identity, row)

    def _lost(self, kind: str, seq: int, record: Gap | Quarantine, records: int, reason: str, detail: str) -> None:
        self._losses.append(
            {
                "id": self._ids.loss(record.record_id),
                "kind": kind,
                "first_seq": seq,
                "last_seq": seq,
                "records": records,
                "reason": reason,
                "detail": detail,
            }
        )

    def _put_state(self, table: Table, identity: UUID, row: Row, changed_at: datetime) -> None:
        number = identity.int
        held = self._states[table].get(number)
        if held is None or held[0] <= changed_at:
            self._states[table][number] = (changed_at, row)
            self._born_days[table].add((number >> NOISE_BITS) // DAY_MS)

    def _put_fact(self, table: Table, identity: UUID, row: Row) -> None:
        number = identity.int
        self._facts[table].setdefault(number, row)
        self._born_days[table].add((number >> NOISE_BITS) // DAY_MS)

    def births(self) -> set[tuple[str, datetime]]:
        """Table and first instant of a month, for the partitions that must be there."""
        return {
            (table.name, month_of(EPOCH + timedelta(days=day)))
            for table, days in self._born_days.items()
            for day in days
        }

    async def write(self, tx: TenantTx, runtime_id: RuntimeId, project_id: ProjectId, epoch: int) -> None:
        """Put the rows into the tables, one statement a table."""
        shared = {"runtime_id": runtime_id, "project_id": project_id, "epoch": epoch, "received_at": tx.now}
        for table, rows in self._by_table():
            if rows:
                await tx.load(_WRITE[table], rows=msgspec.json.encode(rows).decode(), **shared)
        if self._agents:
            await self._see_agents(tx, runtime_id, project_id)
        if self._losses:
            for row in self._losses:
                row |= {"runtime_id": runtime_id, "epoch": epoch, "noticed_at": tx.now}
            await tx.run(tx.insert(t.sync_losses).on_conflict_do_nothing(), self._losses)

    def _by_table(self) -> Iterator[tuple[Table, list[Row]]]:
        for table, states in self._states.items():
            yield table, [row for _, row in states.values()]
        for table, facts in self._facts.items():
            yield table, list(facts.values())

    async def _see_agents(self, tx: TenantTx, runtime_id: RuntimeId, project_id: ProjectId) -> None:
        names = sorted(self._agents)
        await tx.load(
            SEE_AGENTS,
            runtime_id=runtime_id,
            project_id=project_id,
            first_seen_at=tx.now,
            ids=[self._ids.agent(name) for name in names],
            names=names,
        )


_COST_FIELDS = (
    *("spent_at", "node", "attempt", "step", "type", "model", "tool"),
    *("input_tokens", "output_tokens", "micro_usd", "duration_ms", "flags"),
)


_DETAIL = ("started_raw", "visits", "nodes", "nodes_omitted", "goal", "entry_point", "claimed_by", "claimed_at")


def _outcome(seq: int, record: SessionState | RunState) -> Row:
    """The fields that are columns of the same name, and the few that are not."""
    row = asdict(record)
    del row["record_id"], row["occurred_at"], row["session"]
    error: Error | None = row.pop("error")
    row["seq"] = seq
    if error is not None:
        row["error_name"], row["error_line"] = error.name, error.line
    return row


_POSTGRES = postgresql.dialect()  # type: ignore[no-untyped-call]


def _writer(table: Table, *, state: bool) -> TextClause:
    """``INSERT … SELECT FROM json_to_recordset``: set-based, near the speed of COPY, and allowed under row security."""
    own = [column for column in table.c if column.name not in SAME_FOR_ALL]
    names = ", ".join((*SAME_FOR_ALL, *(column.name for column in own)))
    shared = ", ".join(f"CAST(:{name} AS {t.sessions.c[name].type.compile(_POSTGRES)})" for name in SAME_FOR_ALL)
    picked = ", ".join(f"r.{column.name}" for column in own)
    typed = ", ".join(f"{column.name} {column.type.compile(_POSTGRES)}" for column in own)
    if state:
        kept = ", ".join(f"{column.name} = excluded.{column.name}" for column in table.c if not column.primary_key)
        order = ("changed_at", "epoch", "seq")
        held = ", ".join(f"{table.name}.{name}" for name in order)
        given = ", ".join(f"excluded.{name}" for name in order)
        conflict = f"UPDATE SET {kept} WHERE ({held}) < ({given})"
    else:
        conflict = "NOTHING"
    return text(
        f"INSERT INTO {table.name} ({names}) SELECT {shared}, {picked} "  # noqa: S608 names of our own columns
        f"FROM json_to_recordset(CAST(:rows AS json)) AS r({typed}) ON CONFLICT (tenant_id, id) DO {conflict}"
    )


_WRITE: dict[Table, TextClause] = {
    t.sessions: _writer(t.sessions, state=True),
    t.runs: _writer(t.runs, state=True),
    t.checkpoints: _writer(t.checkpoints, state=False),
    t.cost_entries: _writer(t.cost_entries, state=False),
}


def month_of(instant: datetime) -> datetime:
    """The first instant of the month (UTC) of *instant*."""
    return datetime(instant.year, instant.month, 1, tzinfo=UTC)


def project(identities: Identities, first_seq: int, records: Iterable[Record | Unknown]) -> Rows:
    """The rows of consecutive *records*, the first of which has *first_seq*."""
    rows = Rows(identities)
    for seq, record in enumerate(records, first_seq):
        rows.add(seq, record)
    return rows
