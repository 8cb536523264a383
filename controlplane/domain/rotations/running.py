"""Going on with a rotation, from where it is, to where it rests or ends. Whoever was killed in between is not missed.

Steps: a new master key wraps; data keys are wrapped under it; data keys are replaced and what they sealed is sealed
anew; the old ones rest, for those who read just before; the old ones are destroyed. Each kind has some of them.
"""

from collections.abc import AsyncGenerator, Callable, Mapping
from datetime import timedelta
from types import MappingProxyType
from typing import Final, TypeAlias
from uuid import UUID

from msgspec import Struct
from sqlalchemy import TextClause, text

from controlplane.db.database import Database
from controlplane.domain import audit
from controlplane.domain.audit import Actor
from controlplane.domain.keys import masters
from controlplane.domain.rotations import columns, requests, resealing, rewrapping
from controlplane.domain.rotations.requests import Rotation, Step, shown
from controlplane.domain.rotations.rewrapping import Rewrapping
from controlplane.kit.ids import TenantId
from controlplane.kit.sealing import Sealing

ADOPTS: Final = frozenset({"master", "emergency"})
REPLACES: Final = frozenset({"data", "emergency"})

TO_REPLACE: Final = text("""
    SELECT tenant_id FROM data_keys
    WHERE kind = ANY (:kinds) AND ((state = 'primary' AND created_at < :before) OR state = 'decrypt')
    GROUP BY tenant_id ORDER BY tenant_id
""")

TO_DESTROY: Final = text("""
    SELECT tenant_id FROM data_keys WHERE kind = ANY (:kinds) AND state = 'decrypt' GROUP BY tenant_id ORDER BY tenant_id
""")


class Work(Struct, frozen=True, kw_only=True):
    """One rotation, and what it takes to go on with it."""

    db: Database
    sealing: Sealing
    actor: Actor
    rotation: Rotation
    rest: timedelta
    """How long replaced data keys are kept after nothing names them."""


Doing: TypeAlias = Callable[[Work], AsyncGenerator[None, None]]


class _Owner(Struct, frozen=True):
    tenant_id: TenantId


async def go_on(
    db: Database, sealing: Sealing, actor: Actor, rotation_id: UUID, rest: timedelta
) -> AsyncGenerator[Rotation, None]:
    """Do what is left of it; yields how far it is after each commit. It ends, or it rests: then come back.

    Raises:
        NotOpened, KeeperDown: If something does not open, or nobody can be asked; that is noted as well.
    """
    while True:
        async with db.platform() as tx:
            rotation = await requests.get(tx, rotation_id)
            resting = rotation.rests_until is not None and tx.now < rotation.rests_until
        if rotation.step == "done" or (rotation.step == "resting" and resting):
            return
        work = Work(db=db, sealing=sealing, actor=actor, rotation=rotation, rest=rest)
        async for _ in STEPS[rotation.step](work):
            async with db.platform() as tx:
                yield await requests.get(tx, rotation_id)


async def stopped(db: Database, rotation_id: UUID, why: Exception) -> None:
    """Note what stopped it, for people."""
    said = getattr(why, "title", "") or type(why).__name__
    async with db.platform() as tx:
        await requests.note(tx, rotation_id, problem=f"{said}: {why}" if str(why) else said)


async def _begin(work: Work) -> AsyncGenerator[None, None]:
    """Have the master key that is configured wrap, where that is what was asked for."""
    rotation = work.rotation
    if rotation.kind == "data":
        await _turn(work, "sealing")
        yield
        return
    async with work.db.platform() as tx:
        master = await masters.wrapping(tx, work.sealing)
        if rotation.kind in ADOPTS and (configured := await work.sealing.current()) != master:
            await masters.adopt(tx, work.sealing, configured)
            audit.record(tx, work.actor, "keys.master-adopted", _target(rotation), master=configured, before=master)
    await _turn(work, "wrapping")
    yield


async def _wrap(work: Work) -> AsyncGenerator[None, None]:
    rotation = work.rotation
    async with work.db.platform() as tx:
        master = await masters.wrapping(tx, work.sealing)
    left = await rewrapping.left(work.db, master)
    async with work.db.platform() as tx:
        await requests.note(tx, rotation.id, total=rotation.done + left)
    under = Rewrapping(db=work.db, sealing=work.sealing, actor=work.actor, rotation_id=rotation.id, master=master)
    try:
        async for _ in rewrapping.rewrap(under):
            yield
    except rewrapping.MasterChanged:  # another rotation was asked for meanwhile: begin with its key
        yield
        return
    async with work.db.platform() as tx:
        if retired := await masters.retire(work.db, tx):
            audit.record(tx, work.actor, "keys.master-retired", _target(rotation), masters=retired)
    await _turn(work, "sealing" if rotation.kind in REPLACES else "done")
    yield


async def _seal(work: Work) -> AsyncGenerator[None, None]:
    rotation = work.rotation
    for owner in await _owners(work, TO_REPLACE, before=rotation.asked_at):
        async for _ in resealing.reseal(work.db, work.actor, rotation.id, owner, rotation.asked_at):
            yield
    async with work.db.platform() as tx:
        await requests.note(tx, rotation.id, step="resting", rests_until=tx.now + work.rest)
    yield


async def _rested(work: Work) -> AsyncGenerator[None, None]:
    await _turn(work, "destroying")
    yield


async def _destroy(work: Work) -> AsyncGenerator[None, None]:
    """Something that was sealed with an old key and committed late leads back to sealing."""
    kept = False
    for owner in await _owners(work, TO_DESTROY):
        destroyed = await resealing.destroy(work.db, work.actor, work.rotation.id, owner)
        kept = kept or destroyed is None
        if destroyed:
            yield
    await _turn(work, "sealing" if kept else "done")
    yield


STEPS: Final[Mapping[Step, Doing]] = MappingProxyType(
    {"waiting": _begin, "wrapping": _wrap, "sealing": _seal, "resting": _rested, "destroying": _destroy}
)


async def _turn(work: Work, step: Step) -> None:
    """To the next step, said in the audit log where it is the last."""
    rotation = work.rotation
    async with work.db.platform() as tx:
        ended = {"ended_at": tx.now} if step == "done" else {}
        ours = await requests.note(tx, rotation.id, step=step, **ended)
        if ours and ended and rotation.tenant is None:
            audit.record(tx, work.actor, "keys.rotated", _target(rotation), kind=rotation.kind)
    if ours and ended and rotation.tenant is not None:
        async with work.db.tenant(rotation.tenant) as inside:
            audit.record(inside, work.actor, "keys.rotated", _target(rotation), kind=rotation.kind)


async def _owners(work: Work, statement: TextClause, **values: object) -> list[TenantId | None]:
    """Whose data keys are meant: one owner's, or everybody's who has any left to do."""
    if work.rotation.kind == "data":
        return [work.rotation.tenant]
    async with work.db.operator() as look:
        found = await look.query(_Owner, statement, kinds=columns.kinds(on_platform=False), **values)
    return [None, *(row.tenant_id for row in found)]


def _target(rotation: Rotation) -> audit.Target:
    return "rotation", shown(rotation.id)
