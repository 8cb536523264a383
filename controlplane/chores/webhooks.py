"""Events become deliveries, deliveries are sent, and what is old is forgotten."""

import asyncio
from typing import Final

import structlog
from msgspec import Struct
from sqlalchemy import TextClause, text

from controlplane.db.database import Database
from controlplane.domain import events
from controlplane.domain.webhooks import deliveries, sending
from controlplane.domain.webhooks.sending import Parcel
from controlplane.kit.guard import Guard
from controlplane.kit.ids import TenantId, text_id

log = structlog.get_logger("controlplane.webhooks")

AT_ONCE: Final = 64
"""Calls that one process has open."""

OF_ONE: Final = 16
"""Calls that it has open for one tenant, so that one with slow receivers keeps nobody else waiting."""

BEHIND: Final = text("""
    SELECT DISTINCT w.tenant_id FROM webhooks w
    JOIN tenants n ON n.tenant_id = w.tenant_id AND n.status = 'active'
    JOIN event_heads h ON h.tenant_id = w.tenant_id
    LEFT JOIN webhook_progress p ON p.tenant_id = w.tenant_id
    WHERE w.state = 'enabled' AND h.seq > coalesce(p.through, 0)
""")

DUE: Final = text("""
    SELECT DISTINCT d.tenant_id FROM webhook_deliveries d
    JOIN tenants n ON n.tenant_id = d.tenant_id AND n.status = 'active'
    WHERE d.state = 'pending' AND d.next_at <= :now
""")
"""Of a tenant that is suspended nothing is sent; it waits."""

OLD: Final = text("""
    SELECT DISTINCT tenant_id FROM event_heads h
    WHERE EXISTS (SELECT FROM events e WHERE e.tenant_id = h.tenant_id AND e.occurred_at < :before)
       OR EXISTS (SELECT FROM webhook_deliveries d
                  WHERE d.tenant_id = h.tenant_id AND d.ended_at < :before)
""")


class _Tenant(Struct, frozen=True):
    tenant_id: TenantId


class Courier:
    """Sends what is due, in the background of one process; any number of processes may do it side by side."""

    def __init__(self, db: Database, guard: Guard) -> None:
        self._db, self._guard = db, guard
        self._under_way: dict[asyncio.Task[None], TenantId] = {}

    async def run(self) -> int:
        """Begin to send as much as may be under way at once, and return how much that was. Waits for no receiver."""
        begun = 0
        for tenant_id in await _tenants(self._db, BEHIND):
            await _fan_out(self._db, tenant_id)
        for tenant_id in await _tenants(self._db, DUE, now=self._db.clock()):
            room = min(AT_ONCE - len(self._under_way), OF_ONE - list(self._under_way.values()).count(tenant_id))
            if room <= 0:
                continue
            async with self._db.tenant(tenant_id) as tx:
                claimed = await sending.claim(tx, room)
            for parcel in claimed:
                task = asyncio.create_task(self._deliver(tenant_id, parcel))
                self._under_way[task] = tenant_id
                task.add_done_callback(self._under_way.pop)
            begun += len(claimed)
        return begun

    async def arrived(self) -> None:
        """Until nothing is under way."""
        while self._under_way:
            await asyncio.wait(list(self._under_way))

    async def close(self) -> None:
        """Give up what is under way; somebody sends it again."""
        tasks = list(self._under_way)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _deliver(self, tenant_id: TenantId, parcel: Parcel) -> None:
        try:
            disabled = await sending.deliver(self._db, self._guard, tenant_id, parcel)
        except Exception as error:
            log.exception("webhook.undelivered", tenant=text_id("ten", tenant_id), error=type(error).__name__)
        else:
            if disabled:
                log.warning(
                    "webhook.disabled", tenant=text_id("ten", tenant_id), webhook=text_id("whk", parcel.webhook_id)
                )


async def prune(db: Database) -> int:
    """Take away old events and forget old deliveries, and return how many."""
    gone = 0
    for tenant_id in await _tenants(db, OLD, before=db.clock() - events.KEPT):
        async with db.tenant(tenant_id) as tx:
            gone += await events.prune(tx) + await deliveries.prune(tx)
    return gone


async def _fan_out(db: Database, tenant_id: TenantId) -> None:
    more = 1
    while more:
        async with db.tenant(tenant_id) as tx:
            more = await deliveries.fan_out(tx)


async def _tenants(db: Database, which: TextClause, **values: object) -> list[TenantId]:
    async with db.operator() as tx:
        return [row.tenant_id for row in await tx.query(_Tenant, which, **values)]
