"""What ``doctor`` asks the database, logged in as the application."""

from collections.abc import AsyncIterator
from datetime import timedelta

from asyncpg import Connection, connect

from controlplane.cli.findings import Finding, bad, ok, warn
from controlplane.db import revisions
from controlplane.db import schema as t
from controlplane.kit.clock import wall_clock

SUPPORTED = range(15, 19)

LOCKS = 256
"""A transaction, on average; two years of months and their indexes need about that many."""

SKEW_OK = timedelta(seconds=5)
"""Between this machine's clock and the database's; longer ones make "last seen" wrong."""

ROLES = """
SELECT rolname, rolsuper, rolbypassrls, rolcanlogin,
    EXISTS (SELECT FROM pg_class c WHERE c.relowner = r.oid AND c.relnamespace = 'public'::regnamespace) AS owns
FROM pg_roles r WHERE rolname = current_user OR rolname = 'cp_operator'
"""

UNPROTECTED = """
SELECT c.relname FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'tenant_id'
WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') AND NOT a.attisdropped
    AND c.relname <> ALL ($1::text[])
    AND NOT (c.relrowsecurity AND c.relforcerowsecurity
        AND (c.relispartition OR EXISTS (SELECT FROM pg_policy p WHERE p.polrelid = c.oid)))
ORDER BY c.relname
"""
"""Tables with a tenant, but for those that the platform itself asks."""

MISSING_PARTITIONS = """
SELECT parent || '_' || to_char(month, 'YYYYMM') AS name
FROM unnest($1::text[]) AS parent,
    generate_series(date_trunc('month', now() AT TIME ZONE 'UTC'), (now() AT TIME ZONE 'UTC') + interval '1 month',
        interval '1 month') AS month
WHERE to_regclass('public.' || parent || '_' || to_char(month, 'YYYYMM')) IS NULL
ORDER BY 1
"""


async def look(url: str) -> AsyncIterator[Finding]:
    """
    Raises:
        OSError, asyncpg.PostgresError: If the database does not let us in.
    """
    connection = await connect(url, timeout=10)
    try:
        yield await _version(connection)
        try:
            await revisions.check(url)
        except revisions.WrongRevision as wrong:
            yield bad("schema", wrong.detail, wrong.hint)
            return
        yield ok("schema", f"revision {revisions.newest()}")
        yield await _roles(connection)
        yield await _walls(connection)
        yield await _partitions(connection)
        yield await _locks(connection)
        yield await _clock(connection)
    finally:
        await connection.close()


async def _version(connection: Connection) -> Finding:
    major = connection.get_server_version().major
    if major not in SUPPORTED:
        return bad("database", f"PostgreSQL {major} is not supported", "Use PostgreSQL 15 to 18.")
    return ok("database", f"PostgreSQL {major}")


async def _roles(connection: Connection) -> Finding:
    hint = "Log in as cp_app, made by: controlplane db init"
    roles = {row["rolname"]: row for row in await connection.fetch(ROLES)}
    reader = roles.pop("cp_operator", None)
    if reader is None or not reader["rolbypassrls"] or reader["rolcanlogin"]:
        return bad("roles", "cp_operator must have BYPASSRLS and no login", "Run: controlplane db init")
    [(name, mine)] = roles.items()
    if mine["rolsuper"] or mine["rolbypassrls"]:
        return bad("roles", f"{name} is not bound by row-level security", hint)
    if mine["owns"]:
        return bad("roles", f"{name} owns tables", hint)
    return ok("roles", f"{name} owns nothing and is bound by row-level security")


async def _walls(connection: Connection) -> Finding:
    open_tables = [row["relname"] for row in await connection.fetch(UNPROTECTED, [*t.PLATFORM])]
    if open_tables:
        said = f"no forced row-level security on {', '.join(open_tables)}"
        return bad(
            "isolation", said, "Stop serving, restore the policies of the migrations, find out who removed them."
        )
    return ok("isolation", "row-level security is forced on every tenant table")


async def _partitions(connection: Connection) -> Finding:
    missing = await connection.fetch(MISSING_PARTITIONS, [table.name for table in t.PARTITIONED])
    if missing:
        said = f"not made yet: {', '.join(row['name'] for row in missing)}"
        return warn("partitions", said, "A running server makes them ahead within the hour.")
    return ok("partitions", "this month's and the next one's are there")


async def _locks(connection: Connection) -> Finding:
    """Every partition, and every index of it, costs a query a lock."""
    held = int(await connection.fetchval("SHOW max_locks_per_transaction"))
    if held < LOCKS:
        return warn(
            "locks", f"max_locks_per_transaction is {held}", f"Set it to {LOCKS} or more and restart PostgreSQL."
        )
    return ok("locks", f"room for {held} a transaction")


async def _clock(connection: Connection) -> Finding:
    skew = abs(wall_clock() - await connection.fetchval("SELECT clock_timestamp()"))
    if skew > SKEW_OK:
        said = f"{skew.total_seconds():.0f} s apart from the database's"
        return warn("clock", said, "Synchronize both clocks (NTP).")
    return ok("clock", "agrees with the database's")
