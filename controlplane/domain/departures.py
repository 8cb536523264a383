"""Runtimes that are to go in order: told so, they send what is left and say goodbye, and what they did not send is named."""

from datetime import datetime

from controlplane.db import schema as t
from controlplane.db.database import TenantTx
from controlplane.domain import audit, runtimes
from controlplane.domain.audit import Actor
from controlplane.kit.ids import RuntimeId, new_id, text_id


async def ask(tx: TenantTx, actor: Actor, runtime_id: RuntimeId) -> None:
    """Have the runtime send what is left, say goodbye and forget its keys: it is told with every heartbeat.

    Raises:
        NotFound: If this tenant has no such runtime.
        RuntimeGone: If it has been revoked or has left.
    """
    runtime = await runtimes.present(tx, runtime_id)
    if runtime.leave_wanted_at is not None:
        return
    await tx.run(tx.update(t.runtimes).where(t.runtimes.c.id == runtime_id).values(leave_wanted_at=tx.now))
    audit.record(tx, actor, "runtime.leave-wanted", ("runtime", text_id("rt", runtime_id)))


async def name_the_unsent(
    tx: TenantTx, runtime_id: RuntimeId, *, epoch: int, first_seq: int, last_seq: int, since: datetime | None
) -> None:
    """Records that a runtime had when it went, and that nobody will send any more: a range, not silence.

    Args:
        since: When the last record before them came.
    """
    if last_seq < first_seq:
        return
    await tx.run(
        tx.insert(t.sync_losses).values(
            id=new_id(tx.now),
            runtime_id=runtime_id,
            kind="lost",
            epoch=epoch,
            first_seq=first_seq,
            last_seq=last_seq,
            records=last_seq - first_seq + 1,
            reason="left-unsent",
            detail="The runtime went before it had sent them.",
            noticed_at=tx.now,
            first_at=since,
            last_at=tx.now,
        )
    )
