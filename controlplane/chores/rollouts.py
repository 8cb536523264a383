"""Going on with roll-outs of configuration, and waking the runtimes whose turn it is."""

from typing import Final

from msgspec import Struct
from sqlalchemy import text

from controlplane.db.database import Database
from controlplane.domain import commands
from controlplane.domain.configs import advancing
from controlplane.kit.ids import TenantId, text_id
from controlplane.kit.wakeups import Wakeups

RUNNING: Final = text("SELECT DISTINCT tenant_id FROM rollouts WHERE state = 'running'")


class _Owner(Struct, frozen=True):
    tenant_id: TenantId


async def advance_rollouts(db: Database, wakeups: Wakeups) -> int:
    """Returns how many runtimes were woken. Looks across tenants, works inside one at a time."""
    async with db.operator() as tx:
        owners = await tx.query(_Owner, RUNNING)
    woken = 0
    for owner in owners:
        async with db.tenant(owner.tenant_id) as own:
            runtimes = await advancing.advance(own)
        for each in runtimes:
            await wakeups.nudge(commands.topic(text_id("rt", each)))
        woken += len(runtimes)
    return woken
