"""Audit events a second in one tenant, each in a transaction of its own: at least 1,500, without a fork.

What else the transactions of real changes do is left out: here everybody waits for the chain. Two replicas, each a process with its own connections, write into the same chain; afterwards it is verified.
"""

import asyncio
import multiprocessing
import time

from benchmarks import history
from controlplane.db import roles, upgrade
from controlplane.db.database import Database
from controlplane.domain import audit, keys, tenants
from controlplane.domain.audit import stored
from controlplane.domain.keys import Keyring
from controlplane.embedded import Services
from controlplane.kit.ids import TenantId

REPLICAS = 2
CONNECTIONS = 8
SECONDS = 5.0
WARM_UP_S = 2.0
LIMIT = 1_500.0

ACTOR = audit.Actor(kind="account", id="acc_00000000000000000000000001", personal=audit.Personal(address="192.0.2.7"))


def run() -> dict[str, object]:
    with Services() as services:
        rate = asyncio.run(_measure(services.postgres()))
    return {"name": "audit_append", "ratio": LIMIT / rate, "ours": rate, "limit": LIMIT, "unit": "changes a second"}


async def _measure(admin_url: str) -> float:
    urls = await roles.prepare(admin_url, "bench")
    await upgrade.upgrade(urls.owner)
    keyring = keys.new()
    db = Database(urls.app, sealing=keys.sealing(keyring))
    async with db.new_tenant() as tx:
        tenant = await tenants.create(tx, history.SHELL, "acme", "Acme")
    context = multiprocessing.get_context("spawn")
    with context.Pool(REPLICAS) as pool:
        work = [(urls.app, keyring, tenant.tenant_id)] * REPLICAS
        counts = await asyncio.to_thread(pool.starmap, _replica, work)
    verdict = await stored.verify(db, keyring, tenant.tenant_id)
    await db.close()
    assert verdict.unbroken, verdict.damages
    assert verdict.events == sum(warm + timed for warm, timed in counts) + 2
    return sum(timed for _, timed in counts) / SECONDS


def _replica(url: str, keyring: Keyring, tenant_id: TenantId) -> tuple[int, int]:
    return asyncio.run(_write(url, keyring, tenant_id))


async def _write(url: str, keyring: Keyring, tenant_id: TenantId) -> tuple[int, int]:
    """How many changes it made while warming up, and how many while somebody measured."""
    db = Database(url, sealing=keys.sealing(keyring), pool_size=CONNECTIONS)
    done = 0

    async def change(until: float) -> None:
        nonlocal done
        while time.monotonic() < until:
            async with db.tenant(tenant_id) as tx:
                audit.record(tx, ACTOR, "thing.changed", ("thing", "thing_x"), number=done)
            done += 1

    await asyncio.gather(*(change(time.monotonic() + WARM_UP_S) for _ in range(CONNECTIONS)))
    warm, done = done, 0
    await asyncio.gather(*(change(time.monotonic() + SECONDS) for _ in range(CONNECTIONS)))
    await db.close()
    return warm, done
