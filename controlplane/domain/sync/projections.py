"""From records to rows: sessions, runs, checkpoints, cost lines, agents and losses.

Every row has a derived id, so writing it again changes nothing. A state replaces an older one by
``(changed_at, epoch, seq)``; a fact is written once. All of it can be made again from the batches.
"""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any, cast
from uuid import UUID

import msgspec
from sqlalchemy import Table, TextClause, text
from sqlalchemy.dialects import postgresql

from controlplane.db import schema as t
from controlplane.db.database import TenantTx
from controlplane.domain import commands
from controlplane.domain.budgets import notices
from controlplane.domain.sync import contents, rows, turns
from controlplane.domain.sync.batches import Unknown
from controlplane.domain.sync.contents import Told
from controlplane.domain.sync.identities import Identities
from controlplane.domain.sync.rows import CheckpointRow, Fact, SessionRow, State
from controlplane.domain.sync.turns import Turned
from controlplane.kit.clock import EARLIEST
from controlplane.kit.ids import ProjectId, RuntimeId
from runtime_agent.wire.records import (
    BudgetState,
    CheckpointSeen,
    CommandState,
    CostLine,
    Gap,
    Quarantine,
    Record,
    RunState,
    SessionState,
)

Row = dict[str, object]

DAY_OF_ID = 86_400_000 << 80
"""How far apart the ids of two days are: 80 bits of noise stand behind the milliseconds."""
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
LATEST = datetime(2100, 1, 1, tzinfo=UTC)

SAME_FOR_ALL = ("tenant_id", "runtime_id", "project_id", "epoch", "received_at")
"""Columns that a whole batch shares: sent once as parameters, not once a row."""


class Rows:
    """The rows of one batch by table, and the months that they fall into."""

    def __init__(self, identities: Identities) -> None:
        self._ids = identities
        self._states: dict[Table, dict[int, State]] = {t.sessions: {}, t.runs: {}}
        self._facts: dict[Table, dict[int, Fact]] = {t.checkpoints: {}, t.cost_entries: {}}
        self._contents: dict[UUID, Told] = {}
        self._losses: list[Row] = []
        self._agents: set[str] = set()
        self._turned: list[CommandState | BudgetState] = []

    def add(self, seq: int, record: Record | Unknown) -> None:
        """Project *record*. Of two states of one thing in a batch the later one stays."""
        match record:
            case SessionState():
                self._agents.add(record.agent)
                self._put_state(t.sessions, rows.session(self._ids, seq, record))
            case RunState():
                self._put_state(t.runs, rows.run(self._ids, seq, record))
            case CheckpointSeen():
                self._put_checkpoint(rows.checkpoint(self._ids, seq, record), record)
            case CostLine():
                self._put_fact(t.cost_entries, rows.cost(self._ids, seq, record))
            case CommandState() | BudgetState():
                self._turned.append(record)
            case Gap():
                self._lost("gap", seq, record, record.count, record.reason, record.detail)
                self._losses[-1] |= {"first_at": _written(record.first_at), "last_at": _written(record.last_at)}
            case Quarantine():
                detail = record.detail or f"{record.of_kind or 'record'} of {record.bytes} bytes"
                self._lost("quarantined", seq, record, 1, record.code, detail)

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
                "first_at": None,
                "last_at": None,
            }
        )

    def _put_state(self, table: Table, row: State) -> None:
        states, number = self._states[table], row.id.int
        held = states.get(number)
        if held is None or held.changed_at <= row.changed_at:
            states[number] = row

    def _put_fact(self, table: Table, row: Fact) -> None:
        self._facts[table].setdefault(row.id.int, row)

    def _put_checkpoint(self, row: CheckpointRow, record: CheckpointSeen) -> None:
        self._put_fact(t.checkpoints, row)
        if record.content is not None:
            self._contents[row.id] = Told(row, record.content)

    def births(self) -> set[tuple[str, datetime]]:
        """Table and first instant of a month, for the partitions that must be there."""
        by_table: dict[Table, Iterable[int]] = {**self._states, **self._facts}
        return {
            (table.name, month_of(EPOCH + timedelta(days=day)))
            for table, numbers in by_table.items()
            for day in {number // DAY_OF_ID for number in numbers}
        }

    async def write(
        self,
        tx: TenantTx,
        runtime_id: RuntimeId,
        project_id: ProjectId,
        epoch: int,
        *,
        came_at: datetime | None = None,
    ) -> None:
        """Put the rows into the tables, in one statement: a statement costs as much as the indexes of fifty rows.

        Sessions that turn by it are told, which costs a statement where there are any.

        Args:
            came_at: When the batch came, if that was before: then nobody is told again. None: now.
        """
        received_at = came_at or tx.now
        rows_of: dict[Table, list[Any]] = {
            t.agents: [{"id": self._ids.agent(name), "name": name} for name in sorted(self._agents)],
            **{table: list(states.values()) for table, states in self._states.items()},
            **{table: list(facts.values()) for table, facts in self._facts.items()},
        }
        given = {table: msgspec.json.encode(found).decode() for table, found in rows_of.items() if found}
        if given:
            values: dict[str, object] = {table.name: rows for table, rows in given.items()}
            values |= {"runtime_id": runtime_id, "project_id": project_id, "epoch": epoch, "received_at": received_at}
            if came_at is None:
                await self._write(tx, runtime_id, tuple(given), values)
            else:
                await tx.load(_write(tuple(given)), **values)
        if told := [each for each in self._turned if isinstance(each, CommandState)]:
            await commands.report(tx, runtime_id, told)
        if noticed := [each for each in self._turned if isinstance(each, BudgetState)]:
            await notices.report(tx, runtime_id, noticed, told=came_at is None)
        if self._contents:
            await contents.write(tx, runtime_id, project_id, received_at, self._contents.values())
        if self._losses:
            for row in self._losses:
                row |= {"runtime_id": runtime_id, "epoch": epoch, "noticed_at": received_at}
            await tx.run(tx.insert(t.sync_losses).on_conflict_do_nothing(), self._losses)

    async def _write(
        self, tx: TenantTx, runtime_id: RuntimeId, tables: tuple[Table, ...], values: dict[str, object]
    ) -> None:
        since = tx.now - turns.NEWS_FOR
        sessions = cast(Iterable[SessionRow], self._states[t.sessions].values())
        if any(turns.may_turn(row, since) for row in sessions):
            telling = _write_and_tell(tables)
            turned = await tx.query(Turned, telling, **values, tenant_id=tx.tenant_id, news_since=since)
            turns.tell(tx, runtime_id, turned)
        else:
            await tx.load(_write(tables), **values)


_POSTGRES = postgresql.dialect()  # type: ignore[no-untyped-call]


SEE_AGENTS = """
    INSERT INTO agents (tenant_id, id, runtime_id, project_id, name, first_seen_at)
    SELECT CAST(:tenant_id AS uuid), r.id, CAST(:runtime_id AS uuid), CAST(:project_id AS uuid), r.name,
        CAST(:received_at AS timestamptz)
    FROM json_to_recordset(CAST(:agents AS json)) AS r(id uuid, name text)
    ON CONFLICT (tenant_id, id) DO NOTHING
"""


@cache
def _write(tables: tuple[Table, ...]) -> TextClause:
    """One statement that inserts into all of *tables*."""
    *others, last = (SEE_AGENTS if table is t.agents else _insert(table) for table in tables)
    beside = ", ".join(_numbered(others))
    return text(f"WITH {beside} {last}" if beside else last)


@cache
def _write_and_tell(tables: tuple[Table, ...]) -> TextClause:
    """As :func:`_write`; its rows are the sessions that turn by it."""
    others = (table for table in tables if table is not t.sessions)
    beside = (SEE_AGENTS if table is t.agents else _insert(table) for table in others)
    written = f"written AS ({_insert(t.sessions)} RETURNING *)"
    return text(f"WITH {', '.join((written, *_numbered(beside)))} {turns.TURNED}")


def _numbered(inserts: Iterable[str]) -> Iterable[str]:
    return (f"n{number} AS ({insert})" for number, insert in enumerate(inserts))


def _insert(table: Table) -> str:
    """``INSERT … SELECT FROM json_to_recordset``: set-based, near the speed of COPY, and allowed under row security."""
    own = [column for column in table.c if column.name not in SAME_FOR_ALL]
    names = ", ".join((*SAME_FOR_ALL, *(column.name for column in own)))
    shared = ", ".join(_shared(name) for name in SAME_FOR_ALL)
    picked = ", ".join(f"r.{column.name}" for column in own)
    typed = ", ".join(f"{column.name} {column.type.compile(_POSTGRES)}" for column in own)
    return (
        f"INSERT INTO {table.name} ({names}) SELECT {shared}, {picked} "  # noqa: S608 names of our own columns
        f"FROM json_to_recordset(CAST(:{table.name} AS json)) AS r({typed}) "
        f"ON CONFLICT (tenant_id, id) DO {_newer(table) if 'changed_at' in table.c else 'NOTHING'}"
    )


def _newer(table: Table) -> str:
    """A state makes way for a newer one; what is no state is written once."""
    kept = ", ".join(f"{column.name} = excluded.{column.name}" for column in table.c if not column.primary_key)
    order = ("changed_at", "epoch", "seq")
    held = ", ".join(f"{table.name}.{name}" for name in order)
    given = ", ".join(f"excluded.{name}" for name in order)
    return f"UPDATE SET {kept} WHERE ({held}) < ({given})"


def _shared(name: str) -> str:
    return f"CAST(:{name} AS {t.sessions.c[name].type.compile(_POSTGRES)})"


def _written(instant: datetime | None) -> datetime | None:
    """An instant that can be shown; clocks of runtimes may say anything."""
    return instant if instant is not None and EARLIEST <= instant <= LATEST else None


def month_of(instant: datetime) -> datetime:
    """The first instant of the month (UTC) of *instant*."""
    return datetime(instant.year, instant.month, 1, tzinfo=UTC)


def project(identities: Identities, first_seq: int, records: Iterable[Record | Unknown]) -> Rows:
    """The rows of consecutive *records*, the first of which has *first_seq*."""
    found = Rows(identities)
    for seq, record in enumerate(records, first_seq):
        found.add(seq, record)
    return found
