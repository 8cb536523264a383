"""What is done for keys by the clock: rotations are gone on with, and what must not be remembered is forgotten."""

from datetime import timedelta
from typing import Final
from uuid import UUID

import structlog
from msgspec import Struct
from prometheus_client import Gauge
from sqlalchemy import text

from controlplane.db.database import Database
from controlplane.domain import keys, rotations
from controlplane.domain.audit import Actor
from controlplane.kit.wakeups import Wakeups

log = structlog.get_logger("controlplane.keys")

ACTOR: Final = Actor(kind="chore", id="rotate-keys")

LOOK_EVERY_S: Final = 20.0
"""Without a nudge. No key is remembered for longer than this after it was destroyed, or its tenant suspended."""

LIVING: Final = text("""
    SELECT id FROM data_keys WHERE id = ANY (:ids) AND state <> 'destroyed'
    UNION ALL SELECT id FROM platform_data_keys WHERE id = ANY (:ids) AND state <> 'destroyed'
""")

SUSPENDED: Final = text("""
    SELECT tenant_id AS id FROM tenants WHERE tenant_id = ANY (CAST(:ids AS uuid[])) AND status = 'suspended'
""")

WATCHED: Final = "fleet"
"""What open pages across tenants wait for."""

LATE: Final = Gauge("controlplane_key_rotations_late", "Rotations of keys that should have been over by now")


class _Id(Struct, frozen=True):
    id: UUID


async def rotate(db: Database, rest: timedelta, wakeups: Wakeups) -> int:
    """Go on with every rotation that is not over; one that is stopped does not stop the others.

    Args:
        rest: How long replaced data keys are kept after nothing names them.
    """
    assert db.sealing is not None, "servers have keys"
    async with db.platform() as tx:
        waiting = await rotations.open_ones(tx)
        LATE.set(sum(each.is_late(tx.now) for each in waiting))
    done = 0
    for each in waiting:
        try:
            async for _ in rotations.go_on(db, db.sealing, ACTOR, each.id, rest):
                done += 1
                await wakeups.nudge(WATCHED)
        except Exception as error:
            log.exception("rotation.stopped", rotation=rotations.shown(each.id), error=type(error).__name__)
            await rotations.stopped(db, each.id, error)
    if done:
        await wakeups.nudge(keys.EVICTION)
    return done


async def forget(db: Database, wakeups: Wakeups) -> int:
    """Forget what must not be remembered; returns at the next nudge, or after a while, to be done again.

    Who listens first and looks then misses nothing.
    """
    async with wakeups.listen(keys.EVICTION) as listener:
        forgotten = await forget_stale(db)
        await listener.wait(LOOK_EVERY_S)
    return forgotten


async def forget_stale(db: Database) -> int:
    """Forget what this process remembers of keys that were destroyed, and of those that a suspension holds.

    Returns how many that was.
    """
    sealing = db.sealing
    if sealing is None:
        return 0
    sealing.drop_old(db.clock())
    if not (remembered := sealing.remembered()):
        return 0
    owners = {owner for owner, _, kind in remembered if kind in keys.HELD}
    async with db.operator() as look:
        ids = sorted({key_id for _, key_id, _ in remembered})
        living = {row.id for row in await look.query(_Id, LIVING, ids=ids)}
        suspended = {str(row.id) for row in await look.query(_Id, SUSPENDED, ids=sorted(owners - {"platform"}))}
    stale = [
        (owner, key_id)
        for owner, key_id, kind in remembered
        if key_id not in living or (kind in keys.HELD and owner in suspended)
    ]
    for owner, key_id in stale:
        sealing.forget(owner, key_id)
    return len(stale)
