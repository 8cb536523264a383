"""Ending commands that no runtime has fetched in time."""

from typing import Final

from msgspec import Struct
from sqlalchemy import text

from controlplane.db.database import Database
from controlplane.domain import commands
from controlplane.kit.ids import TenantId

RAN_OUT: Final = text("SELECT DISTINCT tenant_id FROM commands WHERE state = 'queued' AND not_after <= :now")


class _Owner(Struct, frozen=True):
    tenant_id: TenantId


async def expire_commands(db: Database) -> int:
    """Returns how many ended. Looks across tenants, works inside one at a time."""
    async with db.operator() as tx:
        owners = await tx.query(_Owner, RAN_OUT, now=tx.now)
    ended = 0
    for owner in owners:
        async with db.tenant(owner.tenant_id) as own:
            ended += await commands.expire(own)
    return ended
