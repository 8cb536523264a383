"""How far commands have got: as the runtime's log says, and where it says nothing, by the clock."""

from collections.abc import Iterable
from datetime import datetime
from typing import Final
from uuid import UUID

import msgspec
from msgspec import Struct
from sqlalchemy import text

from controlplane.db.database import TenantTx
from controlplane.domain.commands import receipts
from controlplane.domain.commands.receipts import Turned
from controlplane.kit.ids import RuntimeId, parse_id
from runtime_agent.wire.commands import Bundle
from runtime_agent.wire.records import CommandState

REPORT: Final = text("""
    UPDATE commands c SET state = r.state, code = r.code, detail = r.detail,
        delivered_at = coalesce(c.delivered_at, r.at), started_at = coalesce(c.started_at, r.started_at),
        ended_at = r.ended_at, bundle = r.bundle, superseded_by = NULL
    FROM json_to_recordset(CAST(:rows AS json)) AS r(id uuid, state text, code text, detail text, at timestamptz,
        started_at timestamptz, ended_at timestamptz, bundle jsonb)
    WHERE c.tenant_id = :tenant_id AND c.runtime_id = :runtime_id AND c.id = r.id AND c.state <> r.state
        AND (c.ended_at IS NULL OR c.state IN ('expired', 'superseded') AND r.state IN ('succeeded', 'failed'))
    RETURNING c.id, c.runtime_id, c.kind, c.session_id, c.state, c.code
""")
"""What the runtime says counts more than what was concluded here: after a restore a command can have ended here that
was carried out before."""

EXPIRE: Final = text("""
    UPDATE commands c SET state = 'expired', code = 'not-fetched', detail = :detail, ended_at = :now
    WHERE c.tenant_id = :tenant_id AND c.state = 'queued' AND c.not_after <= :now
    RETURNING c.id, c.runtime_id, c.kind, c.session_id, c.state, c.code
""")

NOT_FETCHED: Final = "the runtime did not fetch it in time"


class _Row(Struct, frozen=True):
    id: UUID
    state: str
    code: str
    detail: str
    at: datetime
    started_at: datetime | None
    ended_at: datetime | None
    bundle: Bundle | None


async def report(tx: TenantTx, runtime_id: RuntimeId, said: Iterable[CommandState]) -> None:
    """Take over what the runtime says of its commands, oldest first. Saying it again changes nothing."""
    rows: dict[UUID, _Row] = {}
    for each in said:
        command_id = parse_id("cmd", each.command)
        if command_id is not None:
            rows[command_id] = _row(command_id, each, rows.get(command_id))
    given = msgspec.json.encode(list(rows.values())).decode()
    for turned in await tx.query(Turned, REPORT, tenant_id=tx.tenant_id, runtime_id=runtime_id, rows=given):
        receipts.tell(tx, turned)


def _row(command_id: UUID, said: CommandState, before: _Row | None) -> _Row:
    began = before.started_at if before else None
    running = said.state == "running"
    return _Row(
        id=command_id,
        state=said.state,
        code=said.code,
        detail=said.line,
        at=said.occurred_at,
        started_at=began or (said.occurred_at if running else None),
        ended_at=None if running else said.occurred_at,
        bundle=said.bundle,
    )


async def expire(tx: TenantTx) -> int:
    """End what no runtime of the tenant has fetched in time, and return how many those were.

    What a runtime has fetched is its own to end: only it knows whether it began.
    """
    ended = await tx.query(Turned, EXPIRE, tenant_id=tx.tenant_id, now=tx.now, detail=NOT_FETCHED)
    for turned in ended:
        receipts.tell(tx, turned)
    return len(ended)
