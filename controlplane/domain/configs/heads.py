"""How often what a tenant's runtimes are to have may have changed: what was made before the last time is made anew."""

from controlplane.db import schema as t
from controlplane.db.database import TenantTx


async def move(tx: TenantTx) -> None:
    """Count on. Whoever else changes something of it waits until *tx* has ended."""
    insert = tx.insert(t.config_heads).values(revision=1)
    later = {"revision": t.config_heads.c.revision + 1}
    await tx.run(insert.on_conflict_do_update(index_elements=["tenant_id"], set_=later))
