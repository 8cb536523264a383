"""Leasing slices: what a runtime says it holds and has used is noted first, then it is given what there is for it.

All of it under the locks of its budgets, so that two replicas never hand out the same. A slice only grows: nobody has to
be believed that they took note of less.
"""

from base64 import urlsafe_b64decode
from datetime import UTC, datetime
from typing import Final
from uuid import UUID

from cryptography.exceptions import InvalidSignature
from msgspec import Struct
from sqlalchemy import text

from controlplane.db import schema as t
from controlplane.db.database import TenantTx
from controlplane.domain import keys
from controlplane.domain.budgets import notices, sizing
from controlplane.domain.budgets.definitions import Budget
from controlplane.domain.budgets.periods import Span
from controlplane.domain.keys import Keyring
from controlplane.domain.vault.prints import base64url
from controlplane.kit.ids import RuntimeId, milliseconds, text_id
from runtime_agent.wire.budgets import Ask, Leased, Slice, Slices

TALK: Final = text("""
    INSERT INTO budget_talks AS b (tenant_id, runtime_id, store_id, number, at)
    SELECT CAST(:tenant_id AS uuid), CAST(:runtime_id AS uuid), s.store_id, 1, CAST(:now AS timestamptz) FROM store s
    ON CONFLICT (tenant_id, runtime_id) DO UPDATE SET store_id = excluded.store_id, number = b.number + 1, at = :now
    RETURNING b.store_id, b.number, coalesce((SELECT h.revision FROM budget_heads h WHERE h.tenant_id = b.tenant_id), 0),
        (SELECT n.slug FROM tenants n WHERE n.tenant_id = b.tenant_id),
        (SELECT CASE WHEN s.restored_to IS NOT NULL THEN s.made_at END FROM store s)
""")

HOLDING: Final = text("""
    SELECT d.id FROM budgets d JOIN runtimes r ON r.tenant_id = d.tenant_id AND (d.level = 'tenant'
        OR d.project_id = r.project_id OR d.runtime_id = r.id)
    WHERE d.tenant_id = :tenant_id AND r.id = :runtime_id ORDER BY d.id FOR UPDATE OF d
""")
"""In one order, so that nobody waits for somebody who waits for them."""

HELD: Final = text("""
    INSERT INTO budget_slices AS s (tenant_id, budget_id, starts_at, runtime_id, ends_at, amount, used, counted,
        leased_at, said_at)
    VALUES (:tenant_id, :budget_id, :starts_at, :runtime_id, :ends_at, :amount, :used, true, :now, :now)
    ON CONFLICT (tenant_id, budget_id, starts_at, runtime_id) DO UPDATE SET
        amount = excluded.amount, used = greatest(s.used, excluded.used), leased_at = :now
    WHERE s.amount < excluded.amount
""")
"""The most that was ever leased: what comes twice, late or after a restore changes nothing else."""

SAID: Final = text("""
    UPDATE budget_slices s SET used = greatest(s.used, :used), counted = :counted, said_at = :now
    WHERE s.tenant_id = :tenant_id AND s.runtime_id = :runtime_id AND s.budget_id = :budget_id
        AND s.starts_at = :starts_at
""")
"""The most that was ever used, likewise."""

STANDING: Final = text("""
    SELECT coalesce(sum(greatest(s.amount, s.used)) FILTER (WHERE s.starts_at = :starts_at), 0)::bigint,
        coalesce(sum(s.used) FILTER (WHERE s.starts_at = :starts_at), 0)::bigint,
        coalesce(max(s.amount) FILTER (WHERE s.starts_at = :starts_at AND s.runtime_id = :runtime_id), 0),
        coalesce(max(s.used) FILTER (WHERE s.starts_at = :starts_at AND s.runtime_id = :runtime_id), 0),
        coalesce(sum(s.used), 0)::bigint,
        coalesce(sum(s.used) FILTER (WHERE s.runtime_id = :runtime_id), 0)::bigint
    FROM budget_slices s
    WHERE s.tenant_id = :tenant_id AND s.budget_id = :budget_id
        AND s.starts_at IN (:starts_at, :before, :now_starts_at)
""")

FLEET: Final = text("""
    SELECT count(*), count(*) FILTER (WHERE r.joined_at < CAST(:restored_at AS timestamptz) AND b.runtime_id IS NULL)
    FROM runtimes r LEFT JOIN budget_talks b ON b.tenant_id = r.tenant_id AND b.runtime_id = r.id
        AND b.store_id = (SELECT s.store_id FROM store s)
    WHERE r.tenant_id = :tenant_id AND r.revoked_at IS NULL AND r.left_at IS NULL
        AND (CAST(:project_id AS uuid) IS NULL OR r.project_id = :project_id)
        AND (CAST(:of_runtime AS uuid) IS NULL OR r.id = :of_runtime)
        AND (CAST(:seen AS uuid[]) IS NULL OR r.id = ANY (CAST(:seen AS uuid[])))
""")
"""How many a budget holds for, and how many of those were leased something before a restore and have not said what."""


class _Talk(Struct, frozen=True):
    store_id: UUID
    number: int
    revision: int
    tenant: str
    restored_at: datetime | None


class _Id(Struct, frozen=True):
    id: UUID


class _Standing(Struct, frozen=True):
    taken: int
    used: int
    amount: int
    used_here: int
    used_lately: int
    used_lately_here: int


class _Fleet(Struct, frozen=True):
    runtimes: int
    silent: int
    """Since a restore."""


async def lease(tx: TenantTx, keyring: Keyring, runtime_id: RuntimeId, ask: Ask) -> Leased:
    """Take note of what *ask* says, and hand out what there is.

    After a restore nothing more is leased of what may have been leased before it, until every runtime has said what it
    holds: only they know.
    """
    budgets = await _locked(tx, runtime_id)
    [talk] = await tx.query(_Talk, TALK, tenant_id=tx.tenant_id, runtime_id=runtime_id, now=tx.now)
    await _note(tx, keyring, runtime_id, ask, {text_id("bud", each.id): each for each in budgets}, talk.tenant)
    slices = []
    for budget in budgets:
        slices += await _slices(tx, runtime_id, budget, talk)
    its = Slices(
        tenant=talk.tenant,
        runtime=text_id("rt", runtime_id),
        store_id=talk.store_id,
        number=talk.number,
        revision=talk.revision,
        slices=slices,
    )
    key = keys.lease_keys(keyring)[keyring.current]
    return Leased(slices=its, key=keyring.current, signature=base64url(key.sign(its.signed())))


async def awaited(tx: TenantTx, budget: Budget, span: Span, restored_at: datetime | None) -> int:
    """How many runtimes have to say what they hold before more is leased of *span*."""
    if restored_at is None or _before(budget, span).starts_at >= restored_at:
        return 0
    return (await _fleet(tx, budget, restored_at)).silent


def _before(budget: Budget, span: Span) -> Span:
    """In which something may have been leased for *span* already."""
    return budget.around(span.starts_at)[0]


async def _fleet(tx: TenantTx, budget: Budget, restored_at: datetime | None) -> _Fleet:
    """The runtimes of *budget*, and those of them that a restore has us wait for."""
    of = {"project_id": budget.project_id, "of_runtime": budget.runtime_id, "restored_at": restored_at}
    return (await tx.query(_Fleet, FLEET, tenant_id=tx.tenant_id, seen=tx.sight.runtimes, **of))[0]


async def _locked(tx: TenantTx, runtime_id: RuntimeId) -> list[Budget]:
    found = await tx.query(_Id, HOLDING, tenant_id=tx.tenant_id, runtime_id=runtime_id)
    mine = tx.select(t.budgets).where(t.budgets.c.id.in_([each.id for each in found]))
    return await tx.all(Budget, mine.order_by(t.budgets.c.id))


async def _note(
    tx: TenantTx, keyring: Keyring, runtime_id: RuntimeId, ask: Ask, budgets: dict[str, Budget], tenant: str
) -> None:
    """What is held was signed here, by this database or by one that it was before: that much was leased."""
    its = {"runtime_id": runtime_id, "now": tx.now}
    for held in _genuine(keyring, ask.held, text_id("rt", runtime_id), tenant):
        if held.budget in budgets:
            row: dict[str, object] = {"starts_at": _instant(held.starts_ms), "ends_at": _instant(held.ends_ms)}
            row |= {"amount": held.amount, "used": held.used, "budget_id": budgets[held.budget].id}
            await tx.load(HELD, **its, **row)
    for said in ask.uses:
        if said.budget in budgets:
            of = {"budget_id": budgets[said.budget].id, "starts_at": _instant(said.starts_ms)}
            await tx.load(SAID, **its, **of, used=said.used, counted=said.counted)


def _genuine(keyring: Keyring, held: Leased | None, runtime: str, tenant: str) -> list[Slice]:
    key = keys.lease_keys(keyring).get(held.key) if held else None
    if held is None or key is None or (held.slices.runtime, held.slices.tenant) != (runtime, tenant):
        return []
    try:
        signature = urlsafe_b64decode(held.signature + "=" * (-len(held.signature) % 4))
        key.public_key().verify(signature, held.slices.signed())
    except (InvalidSignature, ValueError):
        return []
    return held.slices.slices


async def _slices(tx: TenantTx, runtime_id: RuntimeId, budget: Budget, talk: _Talk) -> list[Slice]:
    """Of each period; what is over is handed out as it was."""
    found, now = [], budget.current(tx.now)
    for span in budget.around(tx.now):
        its = await _standing(tx, runtime_id, budget, span, now)
        amount = its.amount
        if span.ends_at > tx.now and not await awaited(tx, budget, span, talk.restored_at):
            amount += await _grown(tx, runtime_id, budget, span, its)
        if span == now:
            await notices.warn(tx, budget, span, its.used)
        found.append(_slice(budget, span, amount, its))
    return found


async def _standing(tx: TenantTx, runtime_id: RuntimeId, budget: Budget, span: Span, now: Span) -> _Standing:
    its = {"budget_id": budget.id, "runtime_id": runtime_id, "starts_at": span.starts_at}
    more = {"before": _before(budget, now).starts_at, "now_starts_at": now.starts_at}
    return (await tx.query(_Standing, STANDING, tenant_id=tx.tenant_id, **its, **more))[0]


async def _grown(tx: TenantTx, runtime_id: RuntimeId, budget: Budget, span: Span, its: _Standing) -> int:
    """By how much the runtime's slice has just become larger."""
    need = sizing.Need(
        limit=budget.amount,
        left=budget.amount - its.taken,
        amount=its.amount,
        used=its.used_here,
        runtimes=(await _fleet(tx, budget, None)).runtimes,
        share=its.used_lately_here / its.used_lately if its.used_lately else 0.0,
        alone=budget.level == "runtime",
    )
    more = sizing.growth(need)
    if more:
        row = {"budget_id": budget.id, "starts_at": span.starts_at, "ends_at": span.ends_at}
        await tx.load(HELD, runtime_id=runtime_id, now=tx.now, amount=its.amount + more, used=its.used_here, **row)
    return more


def _slice(budget: Budget, span: Span, amount: int, its: _Standing) -> Slice:
    return Slice(
        budget=text_id("bud", budget.id),
        name=budget.name,
        unit=budget.unit,
        action=budget.action,
        starts_ms=milliseconds(span.starts_at),
        ends_ms=milliseconds(span.ends_at),
        amount=amount,
        limit=budget.amount,
        warn_at=list(budget.warn_at),
        used=its.used_here,
        others=its.used - its.used_here,
    )


def _instant(ms: int) -> datetime:
    return datetime.fromtimestamp(ms / 1000, UTC)
