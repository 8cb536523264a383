"""Budgets themselves: for which runtimes, how much of what, in which period, and what happens at the end of it."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final, Literal, TypeAlias
from uuid import UUID

from msgspec import Struct
from msgspec.structs import asdict

from controlplane.db import schema as t
from controlplane.db.database import TenantTx
from controlplane.domain import audit, projects, runtimes
from controlplane.domain.audit import Actor
from controlplane.domain.budgets import periods
from controlplane.domain.budgets.periods import Length, Span
from controlplane.kit.ids import BudgetId, ProjectId, RuntimeId, new_id, text_id
from controlplane.kit.problems import NotFound, Refusal
from runtime_agent.wire import budgets as wire

Level: TypeAlias = Literal["tenant", "project", "runtime"]
Unit: TypeAlias = wire.Unit
Action: TypeAlias = wire.Action
Percent: TypeAlias = wire.Percent

MOST: Final = 100

WARN_AT: Final = (50, 80, 95)


class NewBudget(Struct, frozen=True, kw_only=True):
    name: str
    level: Level = "tenant"
    project_id: ProjectId | None = None
    runtime_id: RuntimeId | None = None
    unit: Unit = "tokens"
    amount: int
    period: Length = "month"
    zone: str = "UTC"
    warn_at: Sequence[int] = WARN_AT
    action: Action = "warn"


class Budget(NewBudget, frozen=True, kw_only=True):
    id: BudgetId
    created_by: str
    created_at: datetime
    changed_at: datetime

    def around(self, at: datetime) -> list[Span]:
        return periods.around(self.period, self.zone, self.created_at, at)

    def current(self, at: datetime) -> Span:
        return periods.current(self.period, self.zone, self.created_at, at)


class TooManyBudgets(Refusal):
    code, status, title = "budget-limit", 409, "This tenant has as many budgets as there may be"
    hint = f"Delete one first; there may be {MOST}."


async def create(tx: TenantTx, actor: Actor, new: NewBudget) -> Budget:
    """
    Raises:
        NotFound: If the tenant has no such project or runtime.
        RuntimeGone: If it is for a runtime that does not come back.
        ZoneUnknown: If there is no such zone.
        TooManyBudgets: If there may be no more.
    """
    periods.zone_of(new.zone)
    if new.project_id is not None:
        await projects.get(tx, new.project_id)
    if new.runtime_id is not None:
        await runtimes.present(tx, new.runtime_id)
    await _move(tx)
    if len(await listing(tx, after=None, limit=MOST)) >= MOST:
        raise TooManyBudgets
    row = {**asdict(new), "warn_at": sorted(set(new.warn_at))}
    made = {"id": new_id(tx.now), "created_by": actor.id, "created_at": tx.now, "changed_at": tx.now}
    [kept] = await tx.take(Budget, tx.insert(t.budgets).values(**row, **made))
    facts: dict[str, Any] = {"level": kept.level, "unit": kept.unit, "limit": kept.amount, "period": kept.period}
    audit.record(tx, actor, "budget.created", target(kept.id), **facts, on_exhaustion=kept.action)
    return kept


async def change(tx: TenantTx, actor: Actor, budget_id: UUID, changes: Mapping[str, Any]) -> Budget:
    """Change what can be: name, amount, warn_at and action. What was leased already stays leased until its period ends.

    Raises:
        NotFound: If the tenant has no such budget.
    """
    await _move(tx)
    before = await get(tx, budget_id)
    given = dict(changes)
    if "warn_at" in given:
        given["warn_at"] = sorted(set(given["warn_at"]))
    mine = tx.update(t.budgets).where(t.budgets.c.id == before.id)
    [kept] = await tx.take(Budget, mine.values(**given, changed_at=tx.now))
    changed = sorted(name for name in given if getattr(before, name) != getattr(kept, name))
    facts: dict[str, Any] = {"changed": changed, "limit": kept.amount, "limit_before": before.amount}
    audit.record(tx, actor, "budget.changed", target(kept.id), **facts, on_exhaustion=kept.action)
    return kept


async def delete(tx: TenantTx, actor: Actor, budget_id: UUID) -> None:
    """Runtimes keep to it until they are heard from.

    Raises:
        NotFound: If the tenant has no such budget.
    """
    await _move(tx)
    budget = await get(tx, budget_id)
    await tx.run(tx.delete(t.budgets).where(t.budgets.c.id == budget.id))
    audit.record(tx, actor, "budget.deleted", target(budget.id), level=budget.level, unit=budget.unit)


async def get(tx: TenantTx, budget_id: UUID) -> Budget:
    """
    Raises:
        NotFound: If the tenant has no such budget.
    """
    found = await tx.first(Budget, tx.select(t.budgets).where(t.budgets.c.id == budget_id))
    if found is None:
        raise NotFound
    return found


async def listing(tx: TenantTx, *, after: UUID | None, limit: int) -> list[Budget]:
    """Newest first, from just before *after* on."""
    wanted = tx.select(t.budgets)
    if after is not None:
        wanted = wanted.where(t.budgets.c.id < after)
    return await tx.all(Budget, wanted.order_by(t.budgets.c.id.desc()).limit(limit))


def target(budget_id: UUID) -> audit.Target:
    return "budget", text_id("bud", budget_id)


async def _move(tx: TenantTx) -> None:
    """Count on: what runtimes hold is of another revision from here on."""
    insert = tx.insert(t.budget_heads).values(revision=1)
    later = {"revision": t.budget_heads.c.revision + 1}
    await tx.run(insert.on_conflict_do_update(index_elements=["tenant_id"], set_=later))
