"""What became of budgets: as runtimes say it in their logs, and of the whole as it is added up here. Each is told once."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

from msgspec import Struct, json
from sqlalchemy import text

from controlplane.db import schema as t
from controlplane.db.database import TenantTx
from controlplane.domain import events
from controlplane.domain.budgets.definitions import Budget
from controlplane.domain.budgets.periods import Span
from controlplane.domain.events.catalogue import BudgetTurned
from controlplane.kit.clock import rfc3339
from controlplane.kit.ids import RuntimeId, new_id, parse_id, text_id
from runtime_agent.wire.records import BudgetState

KEEP: Final = text("""
    INSERT INTO budget_notices (tenant_id, id, budget_id, starts_at, runtime_id, state, percent, used, amount, code,
        line, at)
    SELECT d.tenant_id, r.id, d.id, r.starts_at, r.runtime_id, r.state, r.percent, r.used, r.amount, r.code, r.line, r.at
    FROM json_to_recordset(CAST(:rows AS json)) AS r(id uuid, budget_id uuid, starts_at timestamptz, runtime_id uuid,
        state text, percent int, used bigint, amount bigint, code text, line text, at timestamptz)
    JOIN budgets d ON d.tenant_id = :tenant_id AND d.id = r.budget_id
    ON CONFLICT DO NOTHING
    RETURNING id, budget_id, starts_at, runtime_id, state, percent, used, amount, code, line, at
""")
"""Of a threshold that both sides notice, the first one to say so is heard. What is of no budget any more is left out."""


class Notice(Struct, frozen=True, kw_only=True):
    id: UUID
    budget_id: UUID
    starts_at: datetime
    runtime_id: UUID | None
    """None: it is said of the whole budget."""
    state: str
    percent: int
    used: int
    amount: int
    code: str
    line: str
    at: datetime


async def report(tx: TenantTx, runtime_id: RuntimeId, said: Iterable[BudgetState], *, told: bool) -> None:
    """Take over what a runtime says of its slices; saying it again changes nothing.

    Args:
        told: Whether nobody has been told yet.
    """
    rows = []
    for each in said:
        budget_id = parse_id("bud", each.budget)
        if budget_id is not None:
            rows.append(
                Notice(
                    id=each.record_id,
                    budget_id=budget_id,
                    starts_at=each.starts_at,
                    runtime_id=runtime_id,
                    state=each.state,
                    percent=min(each.percent, 100),
                    used=each.used,
                    amount=each.amount,
                    code=each.code,
                    line=each.line,
                    at=each.occurred_at,
                )
            )
    await _keep(tx, rows, told=told)


async def warn(tx: TenantTx, budget: Budget, span: Span, used: int) -> None:
    """Say which threshold of the whole budget is reached, if that was not said yet."""
    reached = max((each for each in budget.warn_at if 100 * used >= budget.amount * each), default=0)
    if not reached:
        return
    notice = Notice(
        id=new_id(tx.now),
        budget_id=budget.id,
        starts_at=span.starts_at,
        runtime_id=None,
        state="warned",
        percent=reached,
        used=used,
        amount=budget.amount,
        code="",
        line="",
        at=tx.now,
    )
    await _keep(tx, [notice], told=True)


async def listing(tx: TenantTx, budget_id: UUID, limit: int) -> Sequence[Notice]:
    """Newest first."""
    its = t.budget_notices.c
    mine = tx.select(t.budget_notices).where(its.budget_id == budget_id)
    return await tx.all(Notice, mine.order_by(its.id.desc()).limit(limit))


async def _keep(tx: TenantTx, rows: list[Notice], *, told: bool) -> None:
    given = json.encode(rows).decode()
    for kept in await tx.query(Notice, KEEP, tenant_id=tx.tenant_id, rows=given):
        if told:
            events.tell(tx, f"budget.{kept.state}", _told(kept))


def _told(its: Notice) -> BudgetTurned:
    return BudgetTurned(
        budget=text_id("bud", its.budget_id),
        period_starts_at=rfc3339(its.starts_at),
        runtime=text_id("rt", its.runtime_id) if its.runtime_id else None,
        percent=its.percent,
        used=its.used,
        amount=its.amount,
        code=its.code,
    )
