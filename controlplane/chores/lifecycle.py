"""What is to be done for tenants by the clock: archives written, purges gone on with, counters set right."""

import time
from contextlib import aclosing
from pathlib import Path
from typing import Final

from prometheus_client import Gauge

from controlplane.db.database import Database
from controlplane.domain import exports, purges, quotas, tombstones
from controlplane.domain.audit import Actor
from controlplane.domain.content.chunks import FOLDER
from controlplane.domain.keys import Keyring
from controlplane.kit.blobs import Blobs
from controlplane.kit.ids import TenantId

ACTOR: Final = Actor(kind="chore", id="purge-tenants")

PURGE_FOR_S: Final = 120.0
"""After that a purge lets others have their turn; it goes on where it was."""

DRIFT: Final = Gauge("controlplane_quota_drift", "Counters of quotas that were wrong at the last recount", ["kind"])


async def write_exports(db: Database) -> int:
    """Write every archive that was asked for, one after the other; one that was cut short is begun again."""
    async with db.operator() as look:
        waiting = await exports.waiting(look)
    for due in waiting:
        await exports.write(db, due)
    return len(waiting)


async def expire_exports(db: Database) -> int:
    """Delete archives whose time is over."""
    async with db.operator() as look:
        over = await exports.over(look)
    for due in over:
        async with db.tenant(due.tenant_id) as tx:
            await exports.expire(tx, due.id)
    return len(over)


async def purge_tenants(db: Database, keyring: Keyring, folder: Path | None, blobs: Blobs) -> int:
    """Go on with every purge whose time has come, as far as two minutes reach.

    Args:
        folder: Where certificates outlive a restore of the database; None where there is no home.
    """
    until, done = time.monotonic() + PURGE_FOR_S, 0
    async with db.operator() as look:
        due = await purges.due(look)
    for tenant_id in due:
        done += await _purge(db, keyring, tenant_id, until, blobs)
    if done and folder is not None:
        tombstones.keep(folder, await tombstones.known(db))
    return done


async def keep_tombstones(db: Database, folder: Path) -> int:
    """Write down in this process's home what another has purged."""
    return tombstones.keep(folder, await tombstones.known(db))


async def recount(db: Database) -> int:
    """Set right what quotas are counted by, and say how many counters were wrong."""
    async with db.operator() as look:
        drifted = await quotas.drifted(look)
    for kind in quotas.COUNTED:
        DRIFT.labels(kind).set(sum(drift.kind == kind for drift in drifted))
    for drift in drifted:
        async with db.tenant(drift.tenant_id) as tx:
            await quotas.correct(tx, drift)
    return len(drifted)


async def _purge(db: Database, keyring: Keyring, tenant_id: TenantId, until: float, blobs: Blobs) -> int:
    """The object store before the tables: those say, until they are empty, that there is something to do."""
    done = 0
    async with aclosing(purges.purge(db, keyring, ACTOR, tenant_id)) as steps:
        async for step in steps:
            if step == purges.BEGAN:
                await blobs.delete_under(f"{FOLDER}/{tenant_id}")
            done += 1
            if time.monotonic() > until:
                break
    return done
