"""The append: one batch, one transaction, and nothing twice.

The order of the checks is part of the protocol: store, epoch, gap, complete overlap, chain, append.
"""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from msgspec import Struct
from sqlalchemy import text

from controlplane.db import schema as t
from controlplane.db.database import TenantTx
from controlplane.domain.sync import batches, refusals
from controlplane.domain.sync.batches import Bad, Position, Unknown
from controlplane.domain.sync.cursors import Cursor
from controlplane.domain.sync.identities import Identities
from controlplane.domain.sync.projections import month_of, project
from controlplane.kit.ids import RuntimeId, new_id
from runtime_agent.wire import chain
from runtime_agent.wire.records import Record
from runtime_agent.wire.sync import Durable

KEEP = text("""
    WITH moved AS (
        UPDATE sync_cursors SET last_seq = :last_seq, head = :head, moved_at = :received_at
        WHERE tenant_id = :tenant_id AND runtime_id = :runtime_id
    )
    INSERT INTO sync_batches (tenant_id, id, runtime_id, epoch, first_seq, skip, last_seq, prev_head, head,
        record_ids, first_record, last_record, body, protocol, received_at)
    VALUES (:tenant_id, :id, :runtime_id, :epoch, :first_seq, :skip, :last_seq, :prev_head, :head,
        :record_ids, :first_record, :last_record, :body, :protocol, :received_at)
""")
"""The batch, and the cursor past it: neither without the other."""


class PartitionsWanted(Exception):
    """Rows of months for which there is no partition yet. Make them, then append again; nothing was written."""

    def __init__(self, births: set[tuple[str, datetime]]) -> None:
        super().__init__(f"{len(births)} partitions")
        self.births = births


class Kept(Struct, frozen=True, kw_only=True):
    """What an append came to. Commit first, then :meth:`refusal` if there is one, else acknowledge."""

    acked: int
    head: bytes
    durable: Durable | None
    added: int
    """Records that were not held before."""
    bad: Bad | None = None

    def refusal(self) -> refusals.RecordRefused | None:
        if self.bad is None:
            return None
        return self.bad.refusal(self.acked + 1, self.bad.why, acked=self.acked, head=self.head)


async def append(
    tx: TenantTx, runtime_id: RuntimeId, cursor: Cursor, place: Position, body: bytes, known: set[tuple[str, datetime]]
) -> Kept:
    """Keep the part of a batch that is not held yet, and move the cursor past it.

    Sending a batch again, or one that overlaps the last, changes nothing twice. A record that is not acceptable ends
    the part that is kept.

    Args:
        cursor: From :func:`cursors.lock` in the same transaction.
        known: Partitions that are there for sure.

    Raises:
        StoreChanged, Fenced, Gap, Diverged: If the batch does not belong behind what is held.
        BatchUnreadable, BatchTooLarge: If it is not what its headers say.
        PartitionsWanted: If a month of it has no partition yet.
    """
    check_place(cursor, place)
    if place.last <= cursor.last_seq:
        return Kept(acked=cursor.last_seq, head=cursor.head, durable=cursor.durable, added=0)
    skip = cursor.last_seq + 1 - place.first
    batch = batches.read(body, place, tx.now, skip)
    if chain.extend(place.prev, batch.lines[:skip]) != cursor.head:
        raise refusals.Diverged
    accepted = skip + len(batch.records)
    if not batch.records:
        return Kept(acked=cursor.last_seq, head=cursor.head, durable=cursor.durable, added=0, bad=batch.bad)

    head = chain.extend(cursor.head, batch.lines[skip:accepted])
    stretch = _Stretch(records=batch.records, skip=skip, prev=cursor.head, head=head)
    rows = project(Identities(tx.tenant_id, runtime_id), cursor.last_seq + 1, stretch.records)
    if wanted := (rows.births() | {(t.sync_batches.name, month_of(tx.now))}) - known:
        raise PartitionsWanted(wanted)
    last_seq = place.first + accepted - 1
    await _keep(tx, runtime_id, place, stretch, body)
    await rows.write(tx, runtime_id, cursor.project_id, place.epoch)
    return Kept(acked=last_seq, head=head, durable=cursor.durable, added=accepted - skip, bad=batch.bad)


def check_place(cursor: Cursor, place: Position) -> None:
    """
    Raises:
        StoreChanged, Fenced, Gap: In this order.
    """
    if place.store_id != cursor.store_id:
        raise refusals.StoreChanged
    if place.epoch != cursor.epoch:
        raise refusals.Fenced(cursor.epoch)
    if place.first > cursor.last_seq + 1:
        raise refusals.Gap(cursor.last_seq + 1)


class _Stretch(Struct, frozen=True, kw_only=True):
    """The lines of a body that count, and the chain around them."""

    records: Sequence[Record | Unknown]
    skip: int
    prev: bytes
    head: bytes


async def _keep(tx: TenantTx, runtime_id: RuntimeId, place: Position, stretch: _Stretch, body: bytes) -> None:
    """The batch as it came: the bytes, which of its lines count, and which records they are. The cursor goes along."""
    identities = [record.record_id.bytes for record in stretch.records]
    await tx.load(
        KEEP,
        id=new_id(tx.now),
        runtime_id=runtime_id,
        epoch=place.epoch,
        first_seq=place.first,
        skip=stretch.skip,
        last_seq=place.first + stretch.skip + len(identities) - 1,
        prev_head=stretch.prev,
        head=stretch.head,
        record_ids=b"".join(identities),
        first_record=UUID(bytes=min(identities)),
        last_record=UUID(bytes=max(identities)),
        body=body,
        protocol=place.protocol,
        received_at=tx.now,
    )
