"""Four roles: one owns the tables, one works on them, one may look across tenants, one may prune the audit log."""

import secrets

from msgspec import Struct
from sqlalchemy import URL, make_url, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine

from controlplane.db.database import asyncpg_url

OWNER = "cp_owner"
"""Owns the schema. Only migrations log in as it."""

APP = "cp_app"
"""What replicas log in as. Owns nothing, so row-level security holds for it."""

OPERATOR = "cp_operator"
"""Reads past row-level security and cannot write. APP steps into it for one read-only transaction at a time."""

PRUNER = "cp_audit_pruner"
"""Deletes audit events, of one tenant at a time, and can do nothing else. APP steps into it to apply retention."""

WANTED = {OWNER: "LOGIN", APP: "LOGIN NOINHERIT", OPERATOR: "NOLOGIN BYPASSRLS", PRUNER: "NOLOGIN"}


class Urls(Struct, frozen=True, kw_only=True):
    app: str
    owner: str


async def prepare(admin_url: str, database: str, passwords: Urls | None = None) -> Urls:
    """Make what is missing of roles and *database*, and return the URLs that log in.

    Needs an admin who may create roles and grant BYPASSRLS; running it again does no harm.

    Args:
        admin_url: ``postgresql://`` of a role that may create roles and databases.
        database: Name of the database to make.
        passwords: URLs of an earlier call, whose passwords stay; None gives both roles new ones.
    """
    admin = make_url(asyncpg_url(admin_url))
    engine = create_async_engine(admin, isolation_level="AUTOCOMMIT")
    try:
        async with engine.connect() as connection:
            for role, attributes in WANTED.items():
                if not await _exists(connection, "pg_roles", "rolname", role):
                    await connection.execute(text(f"CREATE ROLE {role} {attributes}"))
            await connection.execute(text(f"GRANT {OPERATOR}, {PRUNER} TO {APP}"))
            await _let_migrations_move_data(connection)
            place = admin.set(database=database)
            urls = Urls(
                app=await _log_in_as(connection, APP, place, passwords.app if passwords else None),
                owner=await _log_in_as(connection, OWNER, place, passwords.owner if passwords else None),
            )
            if not await _exists(connection, "pg_database", "datname", database):
                await connection.execute(text(f"GRANT {OWNER} TO CURRENT_USER"))
                await connection.execute(text(f'CREATE DATABASE "{database}" OWNER {OWNER}'))
            return urls
    finally:
        await engine.dispose()


async def _let_migrations_move_data(connection: AsyncConnection) -> None:
    try:
        await connection.execute(text(f"ALTER ROLE {OWNER} BYPASSRLS"))
    except DBAPIError:  # a managed server that keeps this to itself: migrations then enter each tenant
        return


async def _exists(connection: AsyncConnection, catalog: str, column: str, name: str) -> bool:
    found = await connection.scalar(text(f"SELECT 1 FROM {catalog} WHERE {column} = :name"), {"name": name})  # noqa: S608
    return found is not None


async def _log_in_as(connection: AsyncConnection, role: str, place: URL, earlier: str | None) -> str:
    password = (make_url(earlier).password if earlier else None) or secrets.token_urlsafe(24)
    quoted = str(password).replace("'", "''")
    await connection.exec_driver_sql(f"ALTER ROLE {role} PASSWORD '{quoted}'")  # it takes no parameters
    url = place.set(drivername="postgresql", username=role, password=str(password))
    return url.render_as_string(hide_password=False)
