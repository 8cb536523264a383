"""What knowing who calls, and whether they may, costs over the same list without it: at most 30 %.

A page of 50 runs of 20,000, by an API key. Bare is the same app whose guard is told who calls and asks nobody. The two
are asked in turn, so that whatever else the machine does falls on both.
"""

import statistics
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import uvloop

from benchmarks import history
from benchmarks.asking import ask
from controlplane.app import build
from controlplane.db import roles, upgrade
from controlplane.db.database import Database
from controlplane.domain import api_keys, keys
from controlplane.embedded import Services
from controlplane.http import authorize

RUNS = 20_000
CALLS = 1_000
WARM_UP = 100
LIMIT = 1.3


def run() -> dict[str, object]:
    with Services() as services:
        guarded, bare = uvloop.run(_measure(services.postgres()))
    ratio = statistics.median(guarded) / statistics.median(bare)
    return {
        "name": "guard",
        "ratio": ratio / LIMIT,
        "ours": ratio,
        "limit": LIMIT,
        "unit": "times the bare endpoint, p50",
        "guarded_p50_ms": statistics.median(guarded),
        "bare_p50_ms": statistics.median(bare),
        "budget": "at most 1",
    }


async def _measure(admin_url: str) -> tuple[list[float], list[float]]:
    urls = await roles.prepare(admin_url, "bench")
    await upgrade.upgrade(urls.owner)
    db, keyring = Database(urls.app), keys.new()
    tenant_id = await history.write(db, rows=RUNS, months=2, tenant="acme")
    async with db.tenant(tenant_id) as tx:
        _, secret = await api_keys.for_automation(tx, history.SHELL, keyring.pepper, "bench", role="viewer")
    headers = {"authorization": f"Bearer {secret}"}
    app, path = build(db, keyring, with_chores=False), "/v1/tenants/acme/runs"
    guarded, bare = [], []
    async with app.lifespan():
        known = await _known(app, headers)
        for n in range(WARM_UP + CALLS):
            took_ms, _ = await ask(app, path, headers)
            with _without_guard(known):
                bare_ms, _ = await ask(app, path, headers)
            if n >= WARM_UP:
                guarded.append(took_ms)
                bare.append(bare_ms)
    return guarded, bare


async def _known(app: Any, headers: dict[str, str]) -> dict[str, Any]:
    """Who calls, as the guard leaves it."""
    found: dict[str, Any] = {}
    asked = authorize._authorize

    async def remember(connection: Any, its: Any) -> None:
        await asked(connection, its)
        found.update(user=connection.scope["user"], tenant_id=connection.state.tenant_id)

    authorize._authorize = remember
    await ask(app, "/v1/tenants/acme/runs", headers)
    authorize._authorize = asked
    return found


@contextmanager
def _without_guard(known: dict[str, Any]) -> Iterator[None]:
    asked = authorize._authorize

    async def told(connection: Any, _: Any) -> None:
        connection.scope["user"] = known["user"]
        connection.state.tenant_id = known["tenant_id"]

    authorize._authorize = told
    yield
    authorize._authorize = asked
