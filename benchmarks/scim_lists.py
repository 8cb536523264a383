"""Pages, filters and single people of SCIM with 100,000 people in one tenant: p99 under 20 ms.

Pages are read one after the other to the very last, as a directory reads them. The first page counts everybody, and is
asked for once in a run of pages.
"""

import asyncio
import statistics
from urllib.parse import quote

import asyncpg
import msgspec

from benchmarks import history
from benchmarks.asking import ask, p99
from controlplane.app import build
from controlplane.db import roles, upgrade
from controlplane.db.database import Database
from controlplane.domain import keys, scim_tokens, tenants
from controlplane.embedded import Services

PEOPLE = 100_000
CALLS, WARM_UP = 200, 20
PAGE = 100
LIMIT_MS = 20.0

FILL = """
INSERT INTO users (tenant_id, id, email_norm, user_name, user_name_norm, external_id, name, status, source, created_at,
    directory)
SELECT CAST('%(tenant)s' AS uuid), CAST('01980000-0000-7000-8000-' || lpad(to_hex(n), 12, '0') AS uuid),
    md5(n::text) || '@example.com', md5(n::text) || '@example.com', md5(n::text) || '@example.com', 'x-' || n,
    'Person ' || n, 'active', 'scim', now(),
    json_build_object('displayName', 'Person ' || n, 'title', 'Engineer',
        'name', json_build_object('givenName', 'Person', 'familyName', n::text),
        'emails', json_build_array(json_build_object('value', md5(n::text) || '@example.com', 'primary', true)))
FROM generate_series(1, %(people)s) n
"""

ASKED = {
    "by userName": 'filter=userName eq "CFCD208495D565EF66E7DFF9F98764DA@example.com"',
    "by externalId": 'filter=externalId eq "x-77777"',
    "nobody": 'filter=userName eq "non-existing-id"',
}


def run() -> dict[str, object]:
    with Services() as services:
        took = asyncio.run(_measure(services.postgres()))
    worst = max(took, key=lambda name: p99(took[name]))
    return {
        "name": "scim_lists",
        "ratio": p99(took[worst]) / LIMIT_MS,
        "ours": p99(took[worst]),
        "limit": LIMIT_MS,
        "unit": f"ms, p99 of the worst: {worst}",
        "p99": {name: round(p99(each), 2) for name, each in took.items()},
        "p50": {name: round(statistics.median(each), 2) for name, each in took.items()},
        "budget": "at most 1",
    }


async def _measure(admin_url: str) -> dict[str, list[float]]:
    urls = await roles.prepare(admin_url, "bench")
    await upgrade.upgrade(urls.owner)
    keyring = keys.new()
    db = Database(urls.app, sealing=keys.sealing(keyring))
    async with db.new_tenant() as tx:
        tenant = await tenants.create(tx, history.SHELL, "big", "Big")
        _, secret = await scim_tokens.create(tx, history.SHELL, keyring.pepper, "bench")
    owner = await asyncpg.connect(admin_url.removesuffix("/postgres") + "/bench")
    await owner.execute(FILL % {"tenant": tenant.tenant_id, "people": PEOPLE})
    await owner.execute("VACUUM ANALYZE")
    await owner.close()
    app, headers, took = build(db, keyring, with_chores=False), {"authorization": f"Bearer {secret}"}, {}
    async with app.lifespan():
        for name, query in ASKED.items():
            took[name] = [
                (await ask(app, "/scim/v2/Users", headers, quote(query, safe="=&")))[0] for _ in range(WARM_UP + CALLS)
            ][WARM_UP:]
        took["page after page"] = await _pages(app, headers)
    return took


async def _pages(app: object, headers: dict[str, str]) -> list[float]:
    """All but the first, which counts."""
    took, seen, start = [], 0, 1
    while True:
        took_ms, body = await ask(app, "/scim/v2/Users", headers, f"startIndex={start}&count={PAGE}")  # type: ignore[arg-type]
        took.append(took_ms)
        shown = msgspec.json.decode(body)["itemsPerPage"]
        if not shown:
            break
        seen, start = seen + shown, start + shown
        await asyncio.sleep(0.02)  # a directory may ask 50 times a second
    assert seen == PEOPLE, seen
    return took[1:-1]
