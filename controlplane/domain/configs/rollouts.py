"""Looking at roll-outs, holding one up, letting it go on, and taking it back."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final, Literal, TypeAlias
from uuid import UUID

import msgspec
from msgspec import Struct
from sqlalchemy import text

from controlplane.db import schema as t
from controlplane.db.database import TenantTx
from controlplane.domain import audit, events
from controlplane.domain.audit import Actor
from controlplane.domain.configs import heads
from controlplane.domain.configs.planning import OPEN, Plan
from controlplane.domain.events.catalogue import RolloutEnded
from controlplane.kit.ids import ConfigId, RuntimeId, text_id
from controlplane.kit.problems import NotFound, Refusal

State: TypeAlias = Literal["running", "paused", "finished", "failed", "cancelled"]
Outcome: TypeAlias = Literal["planned", "released", "fetched", "applied", "failed", "missed"]
"""Of one runtime: not its turn yet; may have it; has it; took it; could not take it; was not there."""


class Rollout(Struct, frozen=True, kw_only=True):
    config_id: ConfigId
    version: int
    from_version: int
    """What its runtimes go back to; 0: to no document."""
    state: State
    reason: str
    plan: dict[str, Any]
    wave: int
    """The last that was let go; 0: none yet."""
    waves: int
    waved_through: int
    answered_at: datetime | None
    """When all of the wave had answered."""
    created_by: str
    created_at: datetime
    ended_at: datetime | None

    @property
    def terms(self) -> Plan:
        """What was agreed when it began."""
        return msgspec.convert(self.plan, Plan)


class Target(Struct, frozen=True, kw_only=True):
    runtime_id: RuntimeId
    wave: int
    outcome: Outcome
    error: str
    at: datetime


class Count(Struct, frozen=True, kw_only=True):
    config_id: ConfigId
    version: int
    wave: int
    outcome: Outcome
    runtimes: int


class RolloutEndedAlready(Refusal):
    code, status, title = "rollout-ended", 409, "The roll-out has come to its end"
    hint = "Save the document again to roll it out anew."


COUNTS: Final = text("""
    SELECT g.config_id, g.version, g.wave, g.outcome, count(*) AS runtimes FROM rollout_targets g
    WHERE g.tenant_id = :tenant_id AND (g.config_id, g.version) IN (
        SELECT r.config_id, r.version FROM json_to_recordset(CAST(:which AS json)) AS r(config_id uuid, version int))
        AND (CAST(:seen AS uuid[]) IS NULL OR g.runtime_id = ANY (CAST(:seen AS uuid[])))
    GROUP BY g.config_id, g.version, g.wave, g.outcome
""")


async def get(tx: TenantTx, config_id: UUID, version: int, *, lock: bool = False) -> Rollout:
    """
    Args:
        lock: Whether nobody else is to move it until *tx* ends.

    Raises:
        NotFound: If the tenant has no such version.
    """
    its = t.rollouts.c
    mine = tx.select(t.rollouts).where(its.config_id == config_id, its.version == version)
    found = await tx.first(Rollout, mine.with_for_update() if lock else mine)
    if found is None:
        raise NotFound
    return found


async def listing(
    tx: TenantTx, *, config_id: UUID | None = None, only_open: bool = False, limit: int = 50
) -> list[Rollout]:
    """The one that began last first."""
    its = t.rollouts.c
    wanted = tx.select(t.rollouts)
    if config_id is not None:
        wanted = wanted.where(its.config_id == config_id)
    if only_open:
        wanted = wanted.where(its.state.in_(OPEN))
    newest = wanted.order_by(its.created_at.desc(), its.config_id, its.version.desc())
    return await tx.all(Rollout, newest.limit(limit))


async def counts(tx: TenantTx, found: list[Rollout]) -> Mapping[tuple[UUID, int], list[Count]]:
    """Of each of *found*, how many runtimes of each wave have got how far."""
    which = msgspec.json.encode([{"config_id": each.config_id, "version": each.version} for each in found])
    rows = await tx.query(Count, COUNTS, tenant_id=tx.tenant_id, which=which.decode(), seen=tx.sight.runtimes)
    result: dict[tuple[UUID, int], list[Count]] = {(each.config_id, each.version): [] for each in found}
    for row in rows:
        result[row.config_id, row.version].append(row)
    return result


async def targets(
    tx: TenantTx, rollout: Rollout, outcomes: Sequence[Outcome] = (), *, after: UUID | None = None, limit: int = 200
) -> list[Target]:
    """Its runtimes, from just behind *after* on; those with one of *outcomes*, where any are given."""
    its = t.rollout_targets.c
    mine = tx.select(t.rollout_targets).where(its.config_id == rollout.config_id, its.version == rollout.version)
    if outcomes:
        mine = mine.where(its.outcome.in_(outcomes))
    if after is not None:
        mine = mine.where(its.runtime_id > after)
    return await tx.all(Target, mine.order_by(its.runtime_id).limit(limit))


async def pause(tx: TenantTx, actor: Actor, config_id: UUID, version: int) -> Rollout:
    """Let no further wave go. Doing it again changes nothing.

    Raises:
        NotFound: If the tenant has no such version.
        RolloutEndedAlready: If there is nothing left to pause.
    """
    found = await _open(tx, config_id, version)
    if found.state == "paused":
        return found
    _record(tx, actor, "rollout.paused", found)
    return await turn(tx, found, state="paused", reason=f"paused by {actor.id}")


async def resume(tx: TenantTx, actor: Actor, config_id: UUID, version: int) -> Rollout:
    """Let it go on, also past a wave of which nobody has taken the version.

    Raises:
        NotFound: If the tenant has no such version.
        RolloutEndedAlready: If there is nothing left to let go.
    """
    found = await _open(tx, config_id, version)
    _record(tx, actor, "rollout.resumed", found)
    return await turn(tx, found, state="running", reason="", waved_through=found.wave)


async def cancel(tx: TenantTx, actor: Actor, config_id: UUID, version: int) -> Rollout:
    """End it; whoever has the version goes back to what was there before.

    Raises:
        NotFound: If the tenant has no such version.
        RolloutEndedAlready: If it has come to its end.
    """
    found = await _open(tx, config_id, version)
    _record(tx, actor, "rollout.cancelled", found)
    return await end(tx, found, "cancelled", f"cancelled by {actor.id}")


async def end(tx: TenantTx, rollout: Rollout, state: Literal["finished", "failed", "cancelled"], why: str) -> Rollout:
    """It has come to its end: of *state* ``finished`` everybody has the version from now on, else nobody."""
    await heads.move(tx)
    if state == "finished":
        mine = tx.update(t.configs).where(t.configs.c.id == rollout.config_id)
        await tx.run(mine.values(stable=rollout.version))
    ended = await turn(tx, rollout, state=state, reason=why, ended_at=tx.now)
    if state != "cancelled":  # that is told as what somebody did
        config = text_id("cfg", rollout.config_id)
        told = RolloutEnded(config=config, version=rollout.version, state=state, reason=why)
        events.tell(tx, f"rollout.{state}", told)
    return ended


async def turn(tx: TenantTx, rollout: Rollout, **values: object) -> Rollout:
    its = t.rollouts.c
    mine = tx.update(t.rollouts).where(its.config_id == rollout.config_id, its.version == rollout.version)
    [turned] = await tx.take(Rollout, mine.values(**values))
    return turned


async def _open(tx: TenantTx, config_id: UUID, version: int) -> Rollout:
    found = await get(tx, config_id, version, lock=True)
    if found.state not in OPEN:
        raise RolloutEndedAlready
    return found


def _record(tx: TenantTx, actor: Actor, action: str, its: Rollout) -> None:
    audit.record(tx, actor, action, ("config", text_id("cfg", its.config_id)), version=its.version, wave=its.wave)
