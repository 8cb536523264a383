"""A runtime's key is replaced by another that the runtime has made itself; the one before counts for a while longer."""

from datetime import timedelta
from typing import Final

from controlplane.db import schema as t
from controlplane.db.database import TenantTx
from controlplane.domain import audit, runtimes
from controlplane.domain.audit import Actor
from controlplane.kit.ids import RuntimeId, text_id

OVERLAP: Final = timedelta(minutes=10)
"""For commands of the same runtime that are at work with the key before. It replaces no other: only the current does."""


async def ask(tx: TenantTx, actor: Actor, runtime_id: RuntimeId) -> None:
    """Have the runtime replace its key: it is told with every heartbeat until it has.

    Raises:
        NotFound: If this tenant has no such runtime.
        RuntimeGone: If it has been revoked or has left.
    """
    runtime = await runtimes.present(tx, runtime_id)
    if runtime.key_wanted_at is not None:
        return
    await tx.run(tx.update(t.runtimes).where(t.runtimes.c.id == runtime_id).values(key_wanted_at=tx.now))
    audit.record(tx, actor, "runtime.key-wanted", ("runtime", text_id("rt", runtime_id)))


async def replace(tx: TenantTx, actor: Actor, runtime_id: RuntimeId, public_key: bytes) -> None:
    """Know the runtime by *public_key* from now on, both of whose holders have been proved to be the same.

    Tokens that were given to the key before end at their next call.
    """
    its = t.runtimes.c
    await tx.run(
        tx.update(t.runtimes)
        .where(its.id == runtime_id, its.public_key != public_key)
        .values(
            previous_key=its.public_key,
            previous_key_until=tx.now + OVERLAP,
            public_key=public_key,
            key_since=tx.now,
            key_wanted_at=None,
            generation=its.generation + 1,
        )
    )
    audit.record(tx, actor, "runtime.key-rotated", ("runtime", text_id("rt", runtime_id)))
