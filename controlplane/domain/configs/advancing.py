"""Going on with roll-outs: the next wave where the last one did well, the way back where it did not."""

from collections import Counter
from collections.abc import Sequence
from datetime import timedelta
from typing import Any, Final

from msgspec import Struct
from sqlalchemy import text

from controlplane.db.database import TenantTx
from controlplane.domain import audit, events
from controlplane.domain.audit import Actor
from controlplane.domain.configs import heads, rollouts
from controlplane.domain.configs.rollouts import Rollout
from controlplane.domain.events.catalogue import RolloutAdvanced
from controlplane.kit.ids import RuntimeId, text_id

ACTOR: Final = Actor(kind="chore", id="advance-rollouts")

MOST_WOKEN: Final = 200
"""Runtimes of a wave that are woken; the others hear of it with their next heartbeat."""

OVERDUE: Final = text("""
    UPDATE rollout_targets g SET at = :now,
        outcome = CASE WHEN r.revoked_at IS NULL AND g.outcome = 'fetched' THEN 'failed' ELSE 'missed' END,
        error = CASE WHEN r.revoked_at IS NOT NULL THEN 'the runtime has gone'
            WHEN g.outcome = 'fetched' THEN 'it has fetched the version, and said nothing since'
            ELSE 'it has not fetched the version in time' END
    FROM runtimes r
    WHERE g.tenant_id = :tenant_id AND g.config_id = :config_id AND g.version = :version AND g.wave <= :wave
        AND g.outcome IN ('released', 'fetched') AND r.tenant_id = g.tenant_id AND r.id = g.runtime_id
        AND (r.revoked_at IS NOT NULL OR g.at <= :before)
""")

RELEASE: Final = text("""
    UPDATE rollout_targets g SET outcome = 'released', at = :now
    WHERE g.tenant_id = :tenant_id AND g.config_id = :config_id AND g.version = :version AND g.wave = :wave
        AND g.outcome = 'planned'
    RETURNING g.runtime_id
""")


class _Released(Struct, frozen=True):
    runtime_id: RuntimeId


class Wave(Struct, frozen=True):
    """How the last wave that was let go has done."""

    applied: int = 0
    failed: int = 0
    waiting: int = 0

    def is_bad(self, most_percent: int) -> bool:
        """Whether more have failed than may: of all that are or may still be there."""
        return self.failed * 100 > most_percent * (self.applied + self.failed + self.waiting)


async def advance(tx: TenantTx) -> list[RuntimeId]:
    """Move every roll-out of the tenant as far as it can go now; returns who is to be woken.

    Two that do so at once: the second waits for each roll-out, and finds it moved.
    """
    woken: list[RuntimeId] = []
    for found in await rollouts.listing(tx, only_open=True, limit=1000):
        if found.state == "running":
            woken += await _one(tx, await rollouts.get(tx, found.config_id, found.version, lock=True))
    return woken


async def _one(tx: TenantTx, rollout: Rollout) -> Sequence[RuntimeId]:
    if rollout.state != "running":
        return ()
    before = tx.now - timedelta(seconds=rollout.terms.answer_s)
    which = {"config_id": rollout.config_id, "version": rollout.version, "wave": rollout.wave}
    await tx.load(OVERDUE, **which, now=tx.now, before=before)
    wave = await _standing(tx, rollout)
    if wave.is_bad(rollout.terms.max_failed_percent):
        await _fail(tx, rollout, wave)
    elif not wave.waiting:
        return await _answered(tx, rollout, wave)
    return ()


async def _answered(tx: TenantTx, rollout: Rollout, wave: Wave) -> Sequence[RuntimeId]:
    if rollout.wave and not wave.applied and rollout.waved_through < rollout.wave:
        reason = f"nobody of wave {rollout.wave} was there to take it"
        audit.record(tx, ACTOR, "rollout.paused", _target(rollout), version=rollout.version, wave=rollout.wave)
        await rollouts.turn(tx, rollout, state="paused", reason=reason)
        return ()
    if rollout.answered_at is None and rollout.wave:
        rollout = await _noted(tx, rollout)
    soaked = rollout.answered_at is None or tx.now >= rollout.answered_at + timedelta(seconds=rollout.terms.soak_s)
    if not soaked:
        return ()
    if rollout.wave < rollout.waves:
        return await _release(tx, rollout)
    audit.record(tx, ACTOR, "rollout.finished", _target(rollout), version=rollout.version)
    await rollouts.end(tx, rollout, "finished", "")
    return ()


async def _noted(tx: TenantTx, rollout: Rollout) -> Rollout:
    audit.record(tx, ACTOR, "rollout.wave-answered", _target(rollout), version=rollout.version, wave=rollout.wave)
    return await rollouts.turn(tx, rollout, answered_at=tx.now)


async def _release(tx: TenantTx, rollout: Rollout) -> Sequence[RuntimeId]:
    number = rollout.wave + 1
    await heads.move(tx)
    which = {"config_id": rollout.config_id, "version": rollout.version, "wave": number}
    let_go = await tx.query(_Released, RELEASE, tenant_id=tx.tenant_id, now=tx.now, **which)
    await rollouts.turn(tx, rollout, wave=number, answered_at=None)
    facts: dict[str, Any] = {"version": rollout.version, "wave": number, "runtimes": len(let_go)}
    audit.record(tx, ACTOR, "rollout.wave-released", _target(rollout), **facts)
    told = RolloutAdvanced(
        config=text_id("cfg", rollout.config_id),
        version=rollout.version,
        wave=number,
        waves=rollout.waves,
        runtimes=len(let_go),
    )
    events.tell(tx, "rollout.advanced", told)
    return [each.runtime_id for each in let_go[:MOST_WOKEN]]


async def _fail(tx: TenantTx, rollout: Rollout, wave: Wave) -> None:
    whole = wave.applied + wave.failed + wave.waiting
    reason = f"{wave.failed} of {whole} runtimes of wave {rollout.wave} have failed"
    audit.record(tx, ACTOR, "rollout.failed", _target(rollout), version=rollout.version, wave=rollout.wave)
    await rollouts.end(tx, rollout, "failed", reason)


async def _standing(tx: TenantTx, rollout: Rollout) -> Wave:
    counted = (await rollouts.counts(tx, [rollout]))[rollout.config_id, rollout.version]
    found = Counter({each.outcome: each.runtimes for each in counted if each.wave == rollout.wave})
    return Wave(found["applied"], found["failed"], found["released"] + found["fetched"])


def _target(rollout: Rollout) -> audit.Target:
    return "config", text_id("cfg", rollout.config_id)
