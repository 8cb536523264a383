"""What checkpoint content leaves to be done: old content let go of, and what nothing is made of deleted."""

from typing import Final

from controlplane.db.database import Database
from controlplane.domain.audit import Actor
from controlplane.domain.content import pruning
from controlplane.domain.content.chunks import name_of
from controlplane.kit.blobs import Blobs
from controlplane.kit.ids import TenantId

ACTOR: Final = Actor(kind="chore", id="collect-content")


async def collect_content(db: Database, blobs: Blobs) -> int:
    """Prune, condemn, delete; returns how many checkpoints and chunks that were. What is cut short goes on next time."""
    async with db.operator() as look:
        holders = await pruning.holders(look)
    done = 0
    for holder in holders:
        done += await _collect(db, blobs, TenantId(holder.tenant_id))
    return done


async def _collect(db: Database, blobs: Blobs, tenant_id: TenantId) -> int:
    async with db.tenant(tenant_id) as tx:
        done = await pruning.prune(tx, ACTOR)
        await pruning.condemn(tx)
        doomed = [chunk.sha256 for chunk in await pruning.condemned(tx)]
    if doomed:
        await blobs.delete([name_of(tenant_id, sha256) for sha256 in doomed])
        async with db.tenant(tenant_id) as tx:
            done += await pruning.forget(tx, doomed)
    return done
