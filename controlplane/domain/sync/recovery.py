"""An agent that has lost its place: resume, or a new epoch and the records that are missing."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

from msgspec import Struct

from controlplane.db import schema as t
from controlplane.db.database import TenantTx
from controlplane.domain.sync import cursors, refusals
from controlplane.domain.sync.cursors import Cursor
from controlplane.kit.ids import RuntimeId, new_id
from runtime_agent.wire import chain
from runtime_agent.wire.sync import Hello, Welcome

PAGE = 200
"""Batches looked through at a time for a diff."""

ID_BYTES = 16

LAST_EPOCH: Final = 2**53
"""As the wire has it: the largest integer that every JSON reader keeps."""


class Reported(Struct, frozen=True, kw_only=True):
    """What an agent last said it had."""

    epoch: int
    last_seq: int
    at: datetime | None = None
    """When it said so."""


async def hello(tx: TenantTx, runtime_id: RuntimeId, cursor: Cursor, said: Hello, reported: Reported | None) -> Welcome:
    """Let the agent go on where it stands, or fence its epoch and grant the next.

    It resumes if its epoch is the current one, its log is not shorter than what is held, the chains agree, and it still
    has the record to go on from. Where the chains can only be compared at a place that the agent knows, it compares
    them and comes back with ``diverged``.

    Args:
        cursor: From :func:`cursors.lock` in the same transaction.
        reported: What the agent said in its last heartbeat: what is held by nobody any more is then known to be lost.

    Raises:
        EpochSpent: If there is no next epoch.
    """
    if _may_resume(cursor, said):
        return Welcome(
            store_id=cursor.store_id,
            mode="resume",
            epoch=cursor.epoch,
            from_seq=cursor.last_seq + 1,
            head=cursor.head.hex(),
            durable=cursor.durable,
        )
    await _name_the_loss(tx, runtime_id, cursor, said, reported)
    epoch = max(cursor.epoch, said.epoch) + 1
    if epoch > LAST_EPOCH:
        raise refusals.EpochSpent
    head = chain.origin(runtime_id, epoch)
    await cursors.move(tx, runtime_id, epoch=epoch, last_seq=0, head=head)
    return Welcome(
        store_id=cursor.store_id, mode="new_epoch", epoch=epoch, from_seq=1, head=head.hex(), durable=cursor.durable
    )


async def missing(tx: TenantTx, runtime_id: RuntimeId, asked: Sequence[UUID]) -> list[UUID]:
    """Those of *asked* that no batch of this runtime holds, in the order asked."""
    absent = dict.fromkeys(asked)
    if not absent:
        return []
    lowest, highest = min(absent), max(absent)
    batches = tx.select(t.sync_batches).where(
        t.sync_batches.c.runtime_id == runtime_id,
        t.sync_batches.c.last_record >= lowest,
        t.sync_batches.c.first_record <= highest,
    )
    after = UUID(int=0)
    while absent:
        page = await tx.all(_Held, batches.where(t.sync_batches.c.id > after).order_by(t.sync_batches.c.id).limit(PAGE))
        for held in page:
            for identity in _unpacked(held.record_ids):
                absent.pop(identity, None)
        if len(page) < PAGE:
            break
        after = page[-1].id
    return list(absent)


class _Held(Struct, frozen=True):
    id: UUID
    record_ids: bytes


def _may_resume(cursor: Cursor, said: Hello) -> bool:
    agrees_at_the_end = said.last_seq != cursor.last_seq or said.head == cursor.head.hex()
    return (
        cursor.epoch > 0
        and said.epoch == cursor.epoch
        and said.last_seq >= cursor.last_seq
        and said.first_retained <= cursor.last_seq + 1
        and agrees_at_the_end
        and not said.diverged
    )


async def _name_the_loss(
    tx: TenantTx, runtime_id: RuntimeId, cursor: Cursor, said: Hello, reported: Reported | None
) -> None:
    """What the agent once had, never sent, and has no more: a range with a reason instead of silence."""
    if reported is None or reported.epoch != cursor.epoch:
        return
    same_epoch = said.epoch == cursor.epoch
    kept_until = max(cursor.last_seq, said.last_seq) if same_epoch else cursor.last_seq
    if reported.last_seq <= kept_until:
        return
    reason = "rolled-back" if same_epoch else "outbox-replaced"
    await tx.run(
        tx.insert(t.sync_losses).values(
            id=new_id(tx.now),
            runtime_id=runtime_id,
            kind="lost",
            epoch=cursor.epoch,
            first_seq=kept_until + 1,
            last_seq=reported.last_seq,
            records=reported.last_seq - kept_until,
            reason=reason,
            detail=_EXPLAINED[reason],
            noticed_at=tx.now,
            first_at=cursor.moved_at,
            last_at=reported.at,
        )
    )


_EXPLAINED = {
    "rolled-back": "The agent's disk went back to an earlier copy; what its source still holds is read again.",
    "outbox-replaced": "The agent started a new outbox; what its source still holds is read again.",
}


def _unpacked(record_ids: bytes) -> Iterator[UUID]:
    for start in range(0, len(record_ids), ID_BYTES):
        yield UUID(bytes=record_ids[start : start + ID_BYTES])
