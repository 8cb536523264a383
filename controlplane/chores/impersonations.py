"""What of impersonations is ended by the clock, by who has gone, and by nobody's word."""

from typing import Final

from controlplane.db.database import Database
from controlplane.domain.audit import Actor
from controlplane.domain.impersonation import acting

ACTOR: Final = Actor(kind="chore", id="end-impersonations")


async def end_impersonations(db: Database) -> int:
    """Write down the end of each that is over, and say how many. None of them could be used any more."""
    ended = 0
    async with db.operator() as look:
        open_in = await acting.tenants_with_open(look)
    for tenant_id in open_in:
        async with db.tenant(tenant_id) as tx:
            ended += await acting.settle(tx, ACTOR)
    return ended
