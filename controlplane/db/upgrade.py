"""Bring the schema to the revision this code was written for."""

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection
from sqlalchemy.ext.asyncio import create_async_engine

from controlplane.db.database import asyncpg_url
from controlplane.db.revisions import MIGRATIONS

PATIENCE = ("SET LOCAL lock_timeout = '4s'", "SET LOCAL statement_timeout = '60s'")
"""A migration that cannot have its lock gives up, rather than queue everybody behind it."""


async def upgrade(owner_url: str, revision: str = "head") -> None:
    """Run what is missing, in one transaction."""
    engine = create_async_engine(asyncpg_url(owner_url))
    try:
        async with engine.begin() as connection:
            for statement in PATIENCE:
                await connection.exec_driver_sql(statement)
            await connection.run_sync(_upgrade, revision)
    finally:
        await engine.dispose()


def _upgrade(connection: Connection, revision: str) -> None:
    config = _config()
    config.attributes["connection"] = connection
    command.upgrade(config, revision)


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    return config
