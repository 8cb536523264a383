"""Projections made again from what runtimes sent: after a bug in them was mended, or whenever they are in doubt."""

from datetime import datetime
from typing import Final

from msgspec import Struct
from sqlalchemy import text

from controlplane.db.database import Database, TenantTx
from controlplane.db.partitions import Partitions
from controlplane.domain.sync import batches, cursors
from controlplane.domain.sync.identities import Identities
from controlplane.domain.sync.log import PartitionsWanted
from controlplane.domain.sync.projections import project
from controlplane.kit.ids import ProjectId, RuntimeId, TenantId

AT_ONCE: Final = 50
"""Batches read at a time."""

MADE: Final = ("sessions", "runs", "checkpoints", "cost_entries")

FIRST: Final = text("""
    SELECT epoch, first_seq + skip AS seq FROM sync_batches
    WHERE tenant_id = :tenant_id AND runtime_id = :runtime_id ORDER BY epoch, last_seq LIMIT 1
""")

CLEAR: Final = (
    *(
        text(
            f"DELETE FROM {name} WHERE tenant_id = :tenant_id AND runtime_id = :runtime_id"  # noqa: S608
            f" AND (epoch, seq) >= (:epoch, :seq)"
        )
        for name in MADE
    ),
    text("""
        DELETE FROM sync_losses WHERE tenant_id = :tenant_id AND runtime_id = :runtime_id
            AND kind <> 'lost' AND (epoch, first_seq) >= (:epoch, :seq)
    """),
)
"""What the batches that are still there will say again; what came of older ones stays."""

NEXT: Final = text("""
    SELECT epoch, first_seq, skip, last_seq, body, received_at FROM sync_batches
    WHERE tenant_id = :tenant_id AND runtime_id = :runtime_id AND (epoch, last_seq) > (:epoch, :last_seq)
    ORDER BY epoch, last_seq LIMIT :most
""")


class Runtime(Struct, frozen=True):
    """Whose log is said again."""

    tenant_id: TenantId
    id: RuntimeId


class _First(Struct, frozen=True):
    epoch: int
    seq: int


class _Batch(Struct, frozen=True):
    epoch: int
    first_seq: int
    skip: int
    last_seq: int
    body: bytes
    received_at: datetime


async def rebuild(db: Database, runtime: Runtime, partitions: Partitions) -> int:
    """Make what is projected of one runtime again, and return how many records it had.

    While it is at it, appends of this runtime wait; nobody sees a half of it.
    """
    try:
        return await _of(db, runtime, partitions)
    except PartitionsWanted as wanted:
        await partitions.see_to(wanted.births)
        return await _of(db, runtime, partitions)


async def _of(db: Database, runtime: Runtime, partitions: Partitions) -> int:
    async with db.tenant(runtime.tenant_id) as tx:
        cursor = await cursors.lock(tx, runtime.id)
        these = {"tenant_id": runtime.tenant_id, "runtime_id": runtime.id}
        first = await tx.query(_First, FIRST, **these)
        if cursor is None or not first:
            return 0
        for statement in CLEAR:
            await tx.load(statement, runtime_id=runtime.id, epoch=first[0].epoch, seq=first[0].seq)
        records, epoch, last_seq = 0, first[0].epoch, 0
        wanted: set[tuple[str, datetime]] = set()
        while page := await tx.query(_Batch, NEXT, **these, epoch=epoch, last_seq=last_seq, most=AT_ONCE):
            for batch in page:
                records += await _say_again(tx, runtime.id, cursor.project_id, batch, wanted)
            epoch, last_seq = page[-1].epoch, page[-1].last_seq
        if missing := wanted - partitions.there:
            raise PartitionsWanted(missing)
        return records


async def _say_again(
    tx: TenantTx, runtime_id: RuntimeId, project_id: ProjectId, batch: _Batch, wanted: set[tuple[str, datetime]]
) -> int:
    """Project the lines of *batch* that count, as of when it came; months that it takes go into *wanted*."""
    first_seq = batch.first_seq + batch.skip
    lines = batches.unpacked(batch.body)[:-1].split(b"\n")[batch.skip :][: batch.last_seq - first_seq + 1]
    rows = project(Identities(tx.tenant_id, runtime_id), first_seq, map(batches.decode, lines))
    wanted |= rows.births()
    await rows.write(tx, runtime_id, project_id, batch.epoch, came_at=batch.received_at)
    return len(lines)
