"""The second wall: what PostgreSQL itself refuses, whatever our statements say."""

from datetime import UTC, datetime
from uuid import UUID

import asyncpg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from msgspec import Struct
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import create_async_engine

from controlplane.db import schema as t
from controlplane.db.database import TenantTx, Unaudited, asyncpg_url, inside
from controlplane.db.partitions import Partitions

POLICY = "(tenant_id = ( SELECT (current_setting('app.tenant_id'::text))::uuid AS current_setting))"
NOW = datetime(2026, 1, 1, tzinfo=UTC)
TENANTS_OWN = {table.name for table in t.metadata.sorted_tables} - t.PLATFORM

BEHIND_IT = dict.fromkeys(("audit_events", "vault_reads"), "{cp_app,cp_audit_pruner}")
"""Whom the policy of a table is for, where that is not the application alone."""

TABLES = """
    SELECT c.relname, c.relispartition AS partition, c.relrowsecurity AND c.relforcerowsecurity AS forced,
        coalesce(array_agg(p.roles) FILTER (WHERE p.polname IS NOT NULL), '{}') AS roles,
        array_agg(p.qual) AS qual, array_agg(p.check) AS with_check
    FROM pg_class c
    LEFT JOIN LATERAL (
        SELECT polname, polroles::regrole[]::text AS roles, pg_get_expr(polqual, polrelid) AS qual,
            pg_get_expr(polwithcheck, polrelid) AS check
        FROM pg_policy WHERE polrelid = c.oid
    ) p ON true
    WHERE c.relkind IN ('r', 'p') AND c.relnamespace = 'public'::regnamespace
    GROUP BY c.oid
"""

FOREIGN_KEYS_THAT_CAN_LEAVE_THE_TENANT = """
    SELECT f.conname
    FROM pg_constraint f
    WHERE f.contype = 'f' AND f.confrelid <> 'tenants'::regclass
      AND EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = f.confrelid AND a.attname = 'tenant_id')
      AND NOT EXISTS (
        SELECT FROM generate_subscripts(f.conkey, 1) i
        JOIN pg_attribute a ON a.attrelid = f.conrelid AND a.attnum = f.conkey[i] AND a.attname = 'tenant_id'
        JOIN pg_attribute b ON b.attrelid = f.confrelid AND b.attnum = f.confkey[i] AND b.attname = 'tenant_id')
"""

UNIQUE_ACROSS_TENANTS = """
    SELECT i.indexrelid::regclass::text
    FROM pg_index i JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attname = 'tenant_id' AND NOT a.attisdropped
    WHERE i.indisunique AND NOT a.attnum = ANY (i.indkey::int2[])
      AND i.indrelid::regclass::text NOT IN ('routes')
"""


class Named(Struct, frozen=True):
    slug: str


@pytest.fixture
async def as_app(app_url):
    connection = await asyncpg.connect(app_url)
    yield connection
    await connection.close()


@pytest.fixture
async def as_superuser(admin_url):
    connection = await asyncpg.connect(admin_url)
    yield connection
    await connection.close()


async def test_every_tenant_table_is_behind_the_same_policy(db, as_superuser):
    await Partitions(db).make_ahead()
    tables = {row["relname"]: row for row in await as_superuser.fetch(TABLES)}

    assert tables.keys() >= TENANTS_OWN
    for name in TENANTS_OWN:
        assert tables[name]["forced"], name
        assert tables[name]["roles"] == [BEHIND_IT.get(name, "{cp_app}")], name
        assert tables[name]["qual"] == tables[name]["with_check"] == [POLICY], name


async def test_what_is_not_behind_the_policy_is_on_the_list(as_superuser):
    open_tables = {row["relname"] for row in await as_superuser.fetch(TABLES) if not row["forced"]}

    assert open_tables == t.PLATFORM | {"alembic_version"}


async def test_a_partition_is_reached_through_its_table_only(db, as_app, as_superuser):
    await Partitions(db).make_ahead()
    partitions = [row["relname"] for row in await as_superuser.fetch(TABLES) if row["partition"]]

    assert len(partitions) > len(t.PARTITIONED)
    for name in partitions:
        for role in ("cp_app", "cp_operator"):
            may = await as_superuser.fetchval("SELECT has_any_column_privilege($1, $2, 'SELECT, INSERT')", role, name)
            assert not may, (role, name)


def test_every_tenant_table_is_keyed_by_tenant_first():
    for table in t.metadata.sorted_tables:
        if table.name in TENANTS_OWN:
            assert next(iter(table.primary_key.columns)).name == "tenant_id", table.name


async def test_no_foreign_key_leaves_the_tenant(as_superuser):
    assert await as_superuser.fetch(FOREIGN_KEYS_THAT_CAN_LEAVE_THE_TENANT) == []


async def test_nothing_is_unique_across_tenants_that_only_one_of_them_may_know(as_superuser):
    assert await as_superuser.fetch(UNIQUE_ACROSS_TENANTS) == []


async def test_the_app_role_owns_nothing_and_bypasses_nothing(as_superuser):
    owned = "SELECT relname FROM pg_class WHERE relowner IN ('cp_app'::regrole, 'cp_operator'::regrole)"
    bypassing = "SELECT rolname FROM pg_roles WHERE rolbypassrls AND NOT rolsuper AND rolname <> 'cp_owner'"
    truncating = (
        "SELECT relname FROM pg_class WHERE relkind IN ('r', 'p') AND has_table_privilege('cp_app', oid, 'TRUNCATE')"
    )

    assert await as_superuser.fetch(owned) == []
    assert [row["rolname"] for row in await as_superuser.fetch(bypassing)] == ["cp_operator"]
    assert await as_superuser.fetch(truncating) == []
    assert not await as_superuser.fetchval("SELECT has_schema_privilege('cp_app', 'public', 'CREATE')")


async def test_operators_can_only_read(as_superuser):
    writable = """
        SELECT relname FROM pg_class
        WHERE relkind IN ('r', 'p') AND relnamespace = 'public'::regnamespace
          AND has_table_privilege('cp_operator', oid, 'INSERT, UPDATE, DELETE, TRUNCATE')
    """
    assert await as_superuser.fetch(writable) == []


async def test_the_pruner_deletes_audit_events_and_can_do_nothing_else(as_superuser):
    may = """
        SELECT relname, privilege FROM pg_class, unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE', 'TRUNCATE']) privilege
        WHERE relkind IN ('r', 'p') AND relnamespace = 'public'::regnamespace
          AND has_table_privilege('cp_audit_pruner', oid, privilege)
    """
    attributes = "SELECT rolcanlogin OR rolbypassrls OR rolsuper FROM pg_roles WHERE rolname = 'cp_audit_pruner'"

    assert sorted(tuple(row) for row in await as_superuser.fetch(may)) == [
        ("audit_events", "DELETE"),
        ("vault_reads", "DELETE"),
    ]
    assert not await as_superuser.fetchval(attributes)


async def test_what_runs_as_the_owner_is_one_function_with_its_path_pinned(as_superuser):
    functions = """
        SELECT proname, proconfig FROM pg_proc WHERE prosecdef AND pronamespace = 'public'::regnamespace
    """
    [row] = await as_superuser.fetch(functions)

    assert row["proname"] == "make_partition"
    assert row["proconfig"] == ["search_path=pg_catalog, public, pg_temp", "lock_timeout=4s"]


async def test_without_a_tenant_nothing_is_seen_and_it_is_loud(as_app, make):
    await make.tenant()

    with pytest.raises(asyncpg.UndefinedObjectError):
        await as_app.fetch("SELECT * FROM sessions")


async def test_the_tenant_ends_with_the_transaction(db, make):
    await make.tenant()

    async with db._engine.connect() as used_before:
        with pytest.raises(DBAPIError, match="invalid input syntax for type uuid"):
            await used_before.execute(text("SELECT * FROM sessions"))


async def test_a_glance_sees_one_tenant_and_leaves_nothing_behind(db, make):
    mine = await make.tenant()
    await make.tenant()
    glance = inside("slug", "SELECT slug FROM tenants")

    rows = await db.glance(mine.tenant_id, Named, glance)

    assert [row.slug for row in rows] == [mine.slug]
    async with db._engine.connect() as used_before:
        with pytest.raises(DBAPIError, match="invalid input syntax for type uuid"):
            await used_before.execute(text("SELECT * FROM sessions"))


def test_statements_name_their_tenant_themselves_whatever_the_database_adds():
    tx = TenantTx(None, NOW, None, UUID(int=7))
    for table in t.metadata.sorted_tables:
        if table.name in TENANTS_OWN:
            for statement in (tx.select(table), tx.update(table).values(tenant_id=None), tx.delete(table)):
                assert f"{table.name}.tenant_id = " in str(statement).partition("WHERE")[2], table.name


async def test_a_statement_that_forgets_its_tenant_still_sees_only_one(db, make):
    mine = await make.tenant()
    await make.tenant()

    async with db.tenant(mine.tenant_id) as tx:
        rows = await tx.query(Named, text("SELECT slug FROM tenants"))

    assert [row.slug for row in rows] == [mine.slug]


async def test_a_row_cannot_be_written_into_another_tenant(db, make):
    mine, theirs = await make.tenant(), await make.tenant()
    row = {"id": UUID(int=1), "slug": "x", "name": "x", "environment": "dev", "created_at": NOW}

    with pytest.raises(DBAPIError, match="violates row-level security"):
        async with db.tenant(mine.tenant_id) as tx:
            await tx._connection.execute(t.projects.insert().values(tenant_id=theirs.tenant_id, **row))


async def test_operators_look_everywhere_and_touch_nothing(db, make):
    await make.tenant()
    await make.tenant()

    async with db.operator() as tx:
        assert len(await tx.all(Named, tx.select(t.tenants))) == 2
    with pytest.raises(DBAPIError, match="read-only transaction"):
        async with db.operator() as tx:
            await tx._connection.execute(text("DELETE FROM tenants"))


async def test_a_platform_transaction_does_not_even_name_a_tenants_table(db):
    async with db.platform() as tx:
        with pytest.raises(AssertionError, match="belongs to tenants"):
            tx.select(t.users)


async def test_a_change_without_an_audit_event_is_not_committed(db, make):
    tenant = await make.tenant()

    with pytest.raises(Unaudited, match="projects"):
        async with db.tenant(tenant.tenant_id) as tx:
            await tx.run(tx.update(t.projects).values(name="silently"))


async def test_audit_events_are_written_once(db, make, as_superuser):
    tenant = await make.tenant()

    with pytest.raises(DBAPIError, match="permission denied"):
        async with db.tenant(tenant.tenant_id) as tx:
            await tx._connection.execute(text("UPDATE audit_events SET action = 'nothing.happened'"))
    with pytest.raises(asyncpg.RaiseError, match="written once"):
        await as_superuser.execute("UPDATE audit_events SET action = 'nothing.happened'")


async def test_the_migrations_make_the_schema(owner_url):
    options = {"compare_type": True, "include_name": _is_no_partition}
    owner = create_async_engine(asyncpg_url(owner_url))
    async with owner.connect() as connection:
        differences = await connection.run_sync(
            lambda sync: compare_metadata(MigrationContext.configure(sync, opts=options), t.metadata)
        )
    await owner.dispose()

    assert differences == []


def _is_no_partition(name, kind, _parents):
    return kind != "table" or name.rpartition("_")[0] not in {table.name for table in t.PARTITIONED}
