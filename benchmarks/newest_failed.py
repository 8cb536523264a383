"""The newest 50 failed runs of a tenant that has 100,000, through the whole app: p99 under 5 ms.

Two tenants, seven monthly partitions, the app's own role; the app is called in its own process, without a socket, on
the event loop that the server runs on and with its garbage collection; what filling the tables left to be written is
written before. Beside it, as what this machine can do at all, the same rows through the bare driver: one transaction,
one statement, nothing made of them.
"""

import statistics
import time

import asyncpg
import msgspec
import uvloop
from litestar import Litestar
from msgspec import Struct

from benchmarks import history
from benchmarks.asking import ask, p99
from controlplane.app import build
from controlplane.db import roles, upgrade
from controlplane.db.database import Database
from controlplane.domain import api_keys, keys, runs
from controlplane.domain.outcomes import Filters
from controlplane.embedded import Services
from controlplane.http.tenant_api import views
from controlplane.kit import collector
from controlplane.kit.ids import TenantId

RUNS = 100_000
MONTHS = 6
CALLS = 1_000
WARM_UP = 100
LIMIT_MS = 5.0
BARE = "SELECT * FROM runs WHERE tenant_id = $1 AND status = 'failed' ORDER BY id DESC LIMIT 51"


class Took(Struct, frozen=True, kw_only=True):
    app_ms: list[float]
    """Everything: credential, rule, page."""
    rooms_ms: list[float]
    """The transaction and the page, without what is around them."""
    bare_ms: list[float]
    """The driver alone."""


def run() -> dict[str, object]:
    with Services() as services:
        took = uvloop.run(_measure(services.postgres()))
    worst = p99(took.app_ms)
    return {
        "name": "newest_failed",
        "ratio": worst / LIMIT_MS,
        "ours": worst,
        "limit": LIMIT_MS,
        "unit": "ms, p99",
        "p50": statistics.median(took.app_ms),
        "rooms_p50": statistics.median(took.rooms_ms),
        "rooms_p99": p99(took.rooms_ms),
        "bare_p50": statistics.median(took.bare_ms),
        "bare_p99": p99(took.bare_ms),
        "budget": "at most 1",
    }


async def _measure(admin_url: str) -> Took:
    urls = await roles.prepare(admin_url, "bench")
    await upgrade.upgrade(urls.owner)
    keyring = keys.new()
    db = Database(urls.app, sealing=keys.sealing(keyring))
    tenant_id = await history.write(db, rows=RUNS, months=MONTHS, tenant="acme")
    await history.write(db, rows=RUNS, months=MONTHS, tenant="other")
    await _analyze(admin_url.removesuffix("/postgres") + "/bench")
    async with db.tenant(tenant_id) as tx:
        _, secret = await api_keys.for_automation(tx, history.SHELL, keyring.pepper, "bench", role="viewer")
    collector.calm()
    app, driver = build(db, keyring, with_chores=False), await asyncpg.connect(urls.app)
    took = Took(app_ms=[], rooms_ms=[], bare_ms=[])
    async with app.lifespan():
        for _ in range(WARM_UP + CALLS):
            took.app_ms.append(await _ask(app, secret))
            took.rooms_ms.append(await _look(db, tenant_id))
            took.bare_ms.append(await _fetch(driver, tenant_id))
    await driver.close()
    return Took(app_ms=took.app_ms[WARM_UP:], rooms_ms=took.rooms_ms[WARM_UP:], bare_ms=took.bare_ms[WARM_UP:])


async def _fetch(driver: asyncpg.Connection, tenant_id: TenantId) -> float:
    """Milliseconds of the same question, asked without us."""
    began = time.perf_counter()
    async with driver.transaction():
        await driver.execute("SELECT set_config('app.tenant_id', $1, true)", str(tenant_id))
        found = await driver.fetch(BARE, tenant_id)
    took_ms = (time.perf_counter() - began) * 1000
    assert len(found) == 51
    return took_ms


async def _look(db: Database, tenant_id: TenantId) -> float:
    """Milliseconds from the beginning of a transaction to the page as JSON."""
    began = time.perf_counter()
    async with db.tenant(tenant_id) as tx:
        found = await runs.listing(tx, Filters(status="failed"), limit=51)
    msgspec.json.encode([views.run(row) for row in found])
    took_ms = (time.perf_counter() - began) * 1000
    assert len(found) == 51
    return took_ms


async def _ask(app: Litestar, secret: str) -> float:
    """Milliseconds that one page takes."""
    headers = {"authorization": f"Bearer {secret}"}
    took_ms, body = await ask(app, "/v1/tenants/acme/runs", headers, "status=failed&limit=50")
    assert len(msgspec.json.decode(body)["data"]) == 50
    return took_ms


async def _analyze(url: str) -> None:
    owner = await asyncpg.connect(url)
    await owner.execute("VACUUM ANALYZE")
    await owner.execute("CHECKPOINT")
    await owner.close()
