"""The newest 50 failed runs of a tenant that has 100,000, through the whole app: p99 under 5 ms.

Two tenants, seven monthly partitions, the app's own role; the app is called in its own process, without a socket, on
the event loop that the server runs on and with its garbage collection; what filling the tables left to be written is
written before. Beside it, as what this machine can do at all, the same rows through the bare driver: one transaction,
one statement, nothing made of them.
"""

import statistics
import time
from collections.abc import Sequence
from typing import Any

import asyncpg
import msgspec
import uvloop
from litestar import Litestar
from msgspec import Struct

from benchmarks import history
from controlplane.app import build, calm_the_collector
from controlplane.db import roles, upgrade
from controlplane.db.database import Database
from controlplane.domain import api_keys, keys, runs
from controlplane.domain.outcomes import Filters
from controlplane.embedded import Services
from controlplane.http.tenant_api import views
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
    p99 = _p99(took.app_ms)
    return {
        "name": "newest_failed",
        "ratio": p99 / LIMIT_MS,
        "ours": p99,
        "limit": LIMIT_MS,
        "unit": "ms, p99",
        "p50": statistics.median(took.app_ms),
        "rooms_p50": statistics.median(took.rooms_ms),
        "rooms_p99": _p99(took.rooms_ms),
        "bare_p50": statistics.median(took.bare_ms),
        "bare_p99": _p99(took.bare_ms),
        "budget": "at most 1",
    }


async def _measure(admin_url: str) -> Took:
    urls = await roles.prepare(admin_url, "bench")
    await upgrade.upgrade(urls.owner)
    db, keyring = Database(urls.app), keys.new()
    tenant_id = await history.write(db, rows=RUNS, months=MONTHS, tenant="acme")
    await history.write(db, rows=RUNS, months=MONTHS, tenant="other")
    await _analyze(admin_url.removesuffix("/postgres") + "/bench")
    async with db.tenant(tenant_id) as tx:
        _, secret = await api_keys.create(tx, history.SHELL, keyring.pepper, "bench", role="viewer")
    calm_the_collector()
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
    scope: dict[str, Any] = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": "/v1/tenants/acme/runs",
        "raw_path": b"/v1/tenants/acme/runs",
        "root_path": "",
        "query_string": b"status=failed&limit=50",
        "headers": [(b"host", b"127.0.0.1:8700"), (b"authorization", f"Bearer {secret}".encode())],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 8700),
    }
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    began = time.perf_counter()
    await app(scope, receive, send)  # type: ignore[arg-type]
    took_ms = (time.perf_counter() - began) * 1000
    assert len(msgspec.json.decode(sent[1]["body"])["data"]) == 50
    return took_ms


def _p99(took_ms: Sequence[float]) -> float:
    return statistics.quantiles(took_ms, n=100)[98]


async def _analyze(url: str) -> None:
    owner = await asyncpg.connect(url)
    await owner.execute("VACUUM ANALYZE")
    await owner.execute("CHECKPOINT")
    await owner.close()
