"""Changes a second in one tenant, each in a transaction of its own with an audit event: at least 1,500, without a fork.

Two replicas, each a process with its own connections, write into the same chain; afterwards it is verified.
"""

import asyncio
import multiprocessing
import time

from benchmarks import history
from controlplane.db import roles, upgrade
from controlplane.db import schema as t
from controlplane.db.database import Database
from controlplane.domain import audit, keys, tenants
from controlplane.domain.audit import stored
from controlplane.domain.keys import Keyring
from controlplane.embedded import Services
from controlplane.kit.ids import TenantId, new_id, text_id

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
                project_id = new_id(tx.now)
                row = {"id": project_id, "slug": project_id.hex, "name": "P", "environment": "dev"}
                await tx.run(tx.insert(t.projects).values(**row, created_at=tx.now))
                audit.record(tx, ACTOR, "project.created", ("project", text_id("prj", project_id)), environment="dev")
            done += 1

    await asyncio.gather(*(change(time.monotonic() + WARM_UP_S) for _ in range(CONNECTIONS)))
    warm, done = done, 0
    await asyncio.gather(*(change(time.monotonic() + SECONDS) for _ in range(CONNECTIONS)))
    await db.close()
    return warm, done
