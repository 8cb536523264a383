"""Tokens are refreshed ahead of their end, and what the database would not take is brought to it."""

from collections.abc import Sequence
from datetime import timedelta
from functools import partial
from typing import Final

from controlplane.chores.loop import Chore
from controlplane.db.database import Database
from controlplane.domain.vault import keeping, planning
from controlplane.domain.vault.refreshing import Refresher

EVERY: Final = timedelta(seconds=5)


async def refresh_ahead(db: Database, refresher: Refresher) -> int:
    """Begin what is due, in every process side by side: each takes what no other has taken. Looks across tenants, works
    inside one at a time, and waits for no provider."""
    async with db.operator() as look:
        unplanned, due = await planning.unplanned(look), await planning.due(look)
    for tenant_id in unplanned:
        await refresher.plan(tenant_id)
    return sum([await refresher.ahead(tenant_id) for tenant_id in due])


async def forget_orphans(db: Database) -> int:
    """Delete tokens that were adopted a while ago, and return how many."""
    async with db.operator() as look:
        owners = await keeping.with_old_orphans(look)
    gone = 0
    for tenant_id in owners:
        async with db.tenant(tenant_id) as tx:
            gone += await keeping.forget_orphans(tx)
    return gone


def of_refreshes(db: Database, refresher: Refresher) -> Sequence[Chore]:
    """What keeps grants alive without anybody asking."""
    return (
        Chore(name="refresh-ahead", every=EVERY, run=partial(refresh_ahead, db, refresher), everywhere=True),
        Chore(name="keep-spooled-tokens", every=EVERY, run=refresher.unspool, everywhere=True),
        Chore(name="forget-adopted-tokens", every=timedelta(hours=1), run=partial(forget_orphans, db)),
    )
