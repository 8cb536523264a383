"""Rows as runtimes' reports leave them, written through a transaction of the app's own role."""

import itertools
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Table

from controlplane.db import schema as t
from controlplane.db.database import Database
from controlplane.domain import audit
from controlplane.domain.audit import Actor
from controlplane.kit.ids import first_id, new_id
from tests.runtimes import Joined

SHELL = Actor(kind="shell", id="tests")

_serial = itertools.count(1)


class Rows:
    """Every argument but the runtime has a default; name only what the test is about."""

    def __init__(self, db: Database) -> None:
        self._db = db

    async def session(self, runtime: Joined, started_at: datetime | None = None, **given: Any) -> UUID:
        """Named after *started_at*, as a source in UTC would."""
        started_at = started_at or self._db.clock()
        row: dict[str, Any] = dict(
            **self._outcome(started_at),
            source_id=f"session_{started_at:%Y%m%d_%H%M%S}_{next(_serial):08x}",
            updated_at=started_at,
            current_node="report",
            logged_input_tokens=0,
            logged_output_tokens=0,
            detail={},
        )
        return await self._insert(t.sessions, runtime, started_at, row | given)

    async def change(self, runtime: Joined, session_id: UUID, **given: Any) -> None:
        """Have the session stand otherwise than before; columns only."""
        async with self._db.tenant(runtime.tenant_id) as tx:
            await tx.run(tx.update(t.sessions).where(t.sessions.c.id == session_id).values(**given))

    async def run(self, runtime: Joined, session_id: UUID, started_at: datetime | None = None, **given: Any) -> UUID:
        """Its id has the time of its session's."""
        started_at = started_at or self._db.clock()
        noise = first_id(started_at).int >> 80 << 20 | next(_serial)
        row: dict[str, Any] = dict(
            **self._outcome(started_at),
            id=UUID(int=session_id.int >> 80 << 80 | noise),
            session_id=session_id,
            source_id=started_at.isoformat(),
        )
        return await self._insert(t.runs, runtime, started_at, row | given)

    async def checkpoint(
        self, runtime: Joined, session_id: UUID, created_at: datetime | None = None, **given: Any
    ) -> UUID:
        created_at = created_at or self._db.clock()
        row: dict[str, Any] = {
            "session_id": session_id,
            "source_id": f"cp_node_start_report_{created_at:%Y%m%d_%H%M%S}",
            "type": "node_start",
            "node": "report",
            "next_node": None,
            "clean": True,
            "created_at": created_at,
        }
        return await self._insert(t.checkpoints, runtime, created_at, row | given)

    async def cost(self, runtime: Joined, session_id: UUID, micro_usd: int = 1, **given: Any) -> UUID:
        spent_at = self._db.clock()
        row: dict[str, Any] = {
            "session_id": session_id,
            "source_id": f"entry-{next(_serial)}",
            "spent_at": spent_at,
            "node": "report",
            "attempt": 1,
            "step": 0,
            "type": "llm",
            "model": "small-1",
            "tool": None,
            "input_tokens": 10,
            "output_tokens": 1,
            "micro_usd": micro_usd,
            "duration_ms": 5,
            "flags": [],
        }
        return await self._insert(t.cost_entries, runtime, spent_at, row | given)

    async def agent(self, runtime: Joined, name: str | None = None) -> UUID:
        identity = new_id(self._db.clock())
        async with self._db.tenant(runtime.tenant_id) as tx:
            of = {"runtime_id": runtime.id, "project_id": runtime.project_id}
            name = name or f"agent-{next(_serial)}"
            await tx.run(tx.insert(t.agents).values(id=identity, name=name, first_seen_at=tx.now, **of))
        return identity

    async def loss(self, runtime: Joined, records: int = 1, **given: Any) -> None:
        async with self._db.tenant(runtime.tenant_id) as tx:
            row = {"id": new_id(tx.now), "runtime_id": runtime.id, "kind": "gap", "epoch": 1, "first_seq": 1}
            row |= {"last_seq": records, "records": records, "reason": "disk-full", "detail": "", "noticed_at": tx.now}
            await tx.run(tx.insert(t.sync_losses).values(**{**row, **given}))

    async def refill(self, runtime: Joined) -> None:
        async with self._db.tenant(runtime.tenant_id) as tx:
            row = {"runtime_id": runtime.id, "store_id": UUID(int=1), "mode": "resume", "epoch": 1, "first_seq": 3}
            row |= {"last_seq": 4, "kept": 0, "missing": 0, "anew": 0, "noticed_at": tx.now}
            await tx.run(tx.insert(t.sync_refills).values(**row))

    async def tail(self, runtime: Joined, session_id: UUID, path: str) -> None:
        async with self._db.tenant(runtime.tenant_id) as tx:
            row = {"id": new_id(tx.now), "runtime_id": runtime.id, "session_id": session_id, "agent": "a"}
            row |= {"source_id": "s", "log": "raw", "path": path, "first_byte": 0, "follow": True, "most": 1}
            row |= {"opened_by": "shell", "opened_at": tx.now, "not_after": tx.now, "until": tx.now}
            await tx.run(tx.insert(t.log_tails).values(**row))

    async def report(self, runtime: Joined, last_seq: int = 0, **backlog: int) -> None:
        async with self._db.tenant(runtime.tenant_id) as tx:
            row = {"runtime_id": runtime.id, "received_at": tx.now, "epoch": 1, "last_seq": last_seq, "skew_ms": -3}
            await tx.run(tx.insert(t.runtime_reports).values(**row, report={"backlog": backlog}))

    async def project(self, runtime: Joined, slug: str) -> UUID:
        """A project of the same tenant."""
        identity = new_id(self._db.clock())
        async with self._db.tenant(runtime.tenant_id) as tx:
            row = {"id": identity, "slug": slug, "name": slug, "environment": "dev", "created_at": tx.now}
            await tx.run(tx.insert(t.projects).values(**row))
            audit.record(tx, SHELL, "project.created", ("project", slug))
        return identity

    async def _insert(self, table: Table, runtime: Joined, born: datetime, row: dict[str, Any]) -> UUID:
        origin = {
            "id": new_id(born),
            "runtime_id": runtime.id,
            "project_id": runtime.project_id,
            "agent": "invoice_review",
            "system": "engine",
            "epoch": 1,
            "seq": next(_serial),
            "received_at": self._db.clock(),
        }
        async with self._db.tenant(runtime.tenant_id) as tx:
            await tx.run(tx.insert(table).values(**_told_apart(table, {**origin, **row})))
        return row.get("id") or origin["id"]

    @staticmethod
    def _outcome(started_at: datetime) -> dict[str, Any]:
        return {
            "changed_at": started_at,
            "source_status": "completed",
            "status": "succeeded",
            "waiting_for": None,
            "quality": "clean",
            "attention": [],
            "ended_at": started_at + timedelta(seconds=12),
            "duration_ms": 12_718,
            "started_at": started_at,
            "path": ["intake", "report"],
            "steps": 2,
            "retries": 0,
            "input_tokens": 12_762,
            "output_tokens": 629,
        }


def _told_apart(table: Table, row: dict[str, Any]) -> dict[str, Any]:
    """What has no column of its own stands in ``told``."""
    told = {name: _as_json(value) for name, value in row.items() if name not in table.c}
    columns = {name: value for name, value in row.items() if name in table.c}
    return {**columns, "told": told} if told else columns


def _as_json(value: Any) -> Any:
    return value.isoformat() if isinstance(value, datetime) else value
