"""How budgets stand: added up from the slices of the period that is now."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

from msgspec import Struct
from sqlalchemy import text

from controlplane.db import schema as t
from controlplane.db.database import TenantTx
from controlplane.domain.budgets import leasing
from controlplane.domain.budgets.definitions import Budget
from controlplane.domain.budgets.periods import Span
from controlplane.kit.ids import RuntimeId

SUMS: Final = text("""
    SELECT s.budget_id, s.starts_at, sum(s.used)::bigint, sum(s.amount)::bigint,
        sum(greatest(s.amount, s.used))::bigint, count(*), count(*) FILTER (WHERE NOT s.counted)
    FROM budget_slices s WHERE s.tenant_id = :tenant_id AND s.starts_at <= :now AND s.ends_at > :now
        AND (CAST(:seen AS uuid[]) IS NULL OR s.runtime_id = ANY (CAST(:seen AS uuid[])))
    GROUP BY s.budget_id, s.starts_at
""")

RESTORED: Final = text("SELECT CASE WHEN s.restored_to IS NOT NULL THEN s.made_at END FROM store s")


class Standing(Struct, frozen=True, kw_only=True):
    """A budget in the period that is now."""

    budget: Budget
    span: Span
    used: int
    """As far as runtimes have said."""
    leased: int
    """What runtimes may use in all; used or not."""
    left: int
    """Leased to nobody, used by nobody."""
    runtimes: int
    """That have a slice."""
    uncounted: int
    """Of those, whose use cannot be counted: they write down no prices."""
    awaited: int = 0
    """Runtimes that have not said since a restore what they hold; as long as there are any, nothing more is leased."""

    @property
    def percent(self) -> int:
        """Of the limit that is used, rounded down."""
        return 100 * self.used // self.budget.amount if self.budget.amount else 100


class Share(Struct, frozen=True, kw_only=True):
    """What one runtime has of it."""

    runtime_id: RuntimeId
    amount: int
    used: int
    counted: bool
    leased_at: datetime
    said_at: datetime

    @property
    def left(self) -> int:
        """Below 0: so much more was used than leased."""
        return self.amount - self.used


class _Sums(Struct, frozen=True):
    budget_id: UUID
    starts_at: datetime
    used: int
    leased: int
    taken: int
    runtimes: int
    uncounted: int


class _Restored(Struct, frozen=True):
    at: datetime | None


async def of(tx: TenantTx, budgets: Sequence[Budget]) -> list[Standing]:
    """Of each of *budgets*, in their order."""
    sums = {
        (each.budget_id, each.starts_at): each
        for each in await tx.query(_Sums, SUMS, tenant_id=tx.tenant_id, now=tx.now, seen=tx.sight.runtimes)
    }
    [restored] = await tx.query(_Restored, RESTORED)
    found = []
    for budget in budgets:
        span = budget.current(tx.now)
        its = sums.get((budget.id, span.starts_at)) or _Sums(budget.id, span.starts_at, 0, 0, 0, 0, 0)
        found.append(
            Standing(
                budget=budget,
                span=span,
                used=its.used,
                leased=its.leased,
                left=max(0, budget.amount - its.taken),
                runtimes=its.runtimes,
                uncounted=its.uncounted,
                awaited=await leasing.awaited(tx, budget, span, restored.at),
            )
        )
    return found


async def shares(tx: TenantTx, budget: Budget, *, after: UUID | None = None, limit: int) -> list[Share]:
    """Of each runtime in the period that is now, the newest runtime first, from just before *after* on."""
    its = t.budget_slices.c
    span = budget.current(tx.now)
    wanted = tx.select(t.budget_slices).where(its.budget_id == budget.id, its.starts_at == span.starts_at)
    if after is not None:
        wanted = wanted.where(its.runtime_id < after)
    return await tx.all(Share, wanted.order_by(its.runtime_id.desc()).limit(limit))
