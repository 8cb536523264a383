"""Whoever reads the log stands in the log: once an hour each, so that looking does not fill it."""

from datetime import timedelta
from typing import Final

from controlplane.db.database import TenantTx
from controlplane.domain.audit.events import Actor
from controlplane.domain.audit.reading import Filters, listing
from controlplane.domain.audit.writing import record
from controlplane.kit.ids import text_id

READ: Final = "audit.read"

ONCE_IN: Final = timedelta(hours=1)


async def note_reader(tx: TenantTx, actor: Actor) -> None:
    """Have it recorded that *actor* reads, unless they are on record for the last hour already."""
    lately = Filters(action=READ, actor=actor.id, since=tx.now - ONCE_IN)
    if not await listing(tx, limit=1, filters=lately):
        record(tx, actor, READ, ("tenant", text_id("ten", tx.tenant_id)))
