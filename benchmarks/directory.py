"""Lists of people and checks of permissions with 100,000 people in 10,000 tenants: p99 under 20 ms.

A fifth of the people are in one tenant, with 2,000 groups and 500 roles of its own; whoever asks is in 40 groups. What
is measured is the whole app; the worst of the operations counts.
"""

import statistics

import asyncpg
import msgspec
import uvloop
from sqlalchemy import text

from benchmarks import history
from benchmarks.asking import ask, p99
from controlplane.app import build
from controlplane.db import roles, upgrade
from controlplane.db.database import Database
from controlplane.domain import keys, people, projects, sign_ins, tenants
from controlplane.embedded import Services
from controlplane.kit.ids import TenantId

PEOPLE, TENANTS, IN_ONE = 100_000, 10_000, 20_000
CALLS = 300
WARM_UP = 30
LIMIT_MS = 20.0

FILL = """
CREATE FUNCTION made(kind text, n int) RETURNS uuid LANGUAGE sql IMMUTABLE AS $$
    SELECT CAST('0198' || lpad(to_hex(n), 8, '0') || '7' || substr(md5(kind || n), 1, 3) || '8' || substr(md5(kind || n), 4, 15)
        AS uuid) $$;
INSERT INTO tenants (tenant_id, slug, name, status, status_reason, created_at)
    SELECT made('tenant', n), 'tenant-' || n, 'Tenant ' || n, 'active', '', now() FROM generate_series(2, %(tenants)s) n;
INSERT INTO routes (kind, key, tenant_id)
    SELECT 'slug', convert_to('tenant-' || n, 'UTF8'), made('tenant', n) FROM generate_series(2, %(tenants)s) n;
INSERT INTO accounts (id, email, email_norm, name, status, created_at)
    SELECT made('account', n), md5(n::text) || '@example.com', md5(n::text) || '@example.com', 'Person ' || md5('n' || n),
        'active', now() FROM generate_series(1, %(people)s) n;
INSERT INTO users (tenant_id, id, account_id, email_norm, name, status, created_at)
    SELECT CASE WHEN n <= %(in_one)s THEN CAST('%(big)s' AS uuid) ELSE made('tenant', 2 + n %% (%(tenants)s - 1)) END,
        made('user', n), made('account', n), md5(n::text) || '@example.com', 'Person ' || md5('n' || n), 'active', now()
    FROM generate_series(1, %(people)s) n;
INSERT INTO role_assignments (tenant_id, id, user_id, built_in, created_by, created_at)
    SELECT tenant_id, id, id, 'viewer', 'bench', now() FROM users;
INSERT INTO roles (tenant_id, id, name, description, permissions, created_at, changed_at)
    SELECT CAST('%(big)s' AS uuid), made('role', n), 'role-' || n, '', ARRAY['run:read', 'agent:read'], now(), now()
    FROM generate_series(1, 500) n;
INSERT INTO groups (tenant_id, id, name, description, created_at)
    SELECT CAST('%(big)s' AS uuid), made('group', n), 'Group ' || n, '', now() FROM generate_series(1, 2000) n;
INSERT INTO role_assignments (tenant_id, id, group_id, role_id, created_by, created_at)
    SELECT CAST('%(big)s' AS uuid), made('assignment', n), made('group', n), made('role', 1 + n %% 500), 'bench', now()
    FROM generate_series(1, 2000) n;
INSERT INTO group_members (tenant_id, group_id, user_id, added_at)
    SELECT CAST('%(big)s' AS uuid), made('group', g), made('user', 1 + (g * 37 + n) %% %(in_one)s), now()
    FROM generate_series(1, 2000) g, generate_series(1, 20) n ON CONFLICT DO NOTHING;
"""

ASKED = {
    "users": ("users", "limit=50"),
    "users by address": ("users", "q=1f3"),
    "users by one letter": ("users", "q=a"),
    "users of one name": ("users", "q=person+7f"),
    "active users": ("users", "status=active&limit=200"),
    "groups": ("groups", "limit=200"),
    "roles": ("roles", "limit=200"),
    "who may read runs": ("role-assignments", "permission=run:read"),
    "what may I": ("permissions", ""),
}


def run() -> dict[str, object]:
    with Services() as services:
        took = uvloop.run(_measure(services.postgres()))
    worst = max(took, key=lambda name: p99(took[name]))
    return {
        "name": "directory",
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
    db, keyring = Database(urls.app), keys.new()
    async with db.new_tenant() as tx:
        big = (await tenants.create(tx, history.SHELL, "big", "Big")).tenant_id
        await projects.create(tx, history.SHELL, "labs", "Labs", "dev")
    await _fill(admin_url.removesuffix("/postgres") + "/bench", big)
    headers = {"cookie": f"session={await _somebody(db, keyring, big)}"}
    app, took = build(db, keyring, with_chores=False), {}
    async with app.lifespan():
        for name, (path, query) in ASKED.items():
            took[name] = await _times(app, f"/v1/tenants/big/{path}", headers, query)
        took["a page further on"] = await _further(app, headers)
    return took


async def _times(app: object, path: str, headers: dict[str, str], query: str) -> list[float]:
    took = [(await ask(app, path, headers, query))[0] for _ in range(WARM_UP + CALLS)]  # type: ignore[arg-type]
    return took[WARM_UP:]


async def _further(app: object, headers: dict[str, str]) -> list[float]:
    """Pages of people one after the other, the deepest of which is the hundredth or so."""
    took, cursor = [], ""
    for _ in range(100):
        took_ms, body = await ask(app, "/v1/tenants/big/users", headers, f"limit=200{cursor}")  # type: ignore[arg-type]
        took.append(took_ms)
        cursor = f"&cursor={msgspec.json.decode(body)['page']['next_cursor'] or ''}"
        if cursor.endswith("="):
            break
    return took


async def _somebody(db: Database, keyring: keys.Keyring, tenant_id: TenantId) -> str:
    """A session of an administrator who is in 40 groups besides."""
    async with db.platform() as tx:
        account = await people.create_account(tx, history.SHELL, "admin@example.com")
        session = await sign_ins.begin(tx, history.SHELL, keyring.pepper, account.id, "bench")
    async with db.tenant(tenant_id) as own:
        user = await people.add_user(own, history.SHELL, account, "admin")
        join = "INSERT INTO group_members SELECT tenant_id, id, :user_id, now() FROM groups LIMIT 40"
        await own.load(text(join), user_id=user.id)
    return session


async def _fill(url: str, big: TenantId) -> None:
    owner = await asyncpg.connect(url)
    await owner.execute(FILL % {"tenants": TENANTS, "people": PEOPLE, "in_one": IN_ONE, "big": big})
    await owner.execute("VACUUM ANALYZE")
    await owner.close()
