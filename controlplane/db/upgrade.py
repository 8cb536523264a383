"""Bring the schema to the revision this code was written for, and refuse to work on another."""

from functools import cache
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from msgspec import Struct
from sqlalchemy import Connection, text
from sqlalchemy.exc import ProgrammingError
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine

from controlplane.db.database import Tx, asyncpg_url
from controlplane.kit.problems import Refusal

MIGRATIONS = Path(__file__).parents[2] / "migrations"

PATIENCE = ("SET LOCAL lock_timeout = '4s'", "SET LOCAL statement_timeout = '60s'")
"""A migration that cannot have its lock gives up, rather than queue everybody behind it."""


class WrongRevision(Refusal):
    """The database is not at the revision that this release was written for."""

    code, status, title = "wrong-revision", 503, "The database has another revision than this release"

    def __init__(self, found: str | None, wanted: str) -> None:
        super().__init__(f"found revision {found or 'none'}, wanted {wanted}")
        self.found, self.wanted = found, wanted

    @property
    def hint(self) -> str:  # type: ignore[override]
        if self.found is None or self.found < self.wanted:
            return "Run: controlplane db upgrade"
        return "The database was upgraded by a newer release: run that one."


@cache
def newest() -> str:
    """The revision that this code was written for."""
    head = ScriptDirectory.from_config(_config()).get_current_head()
    assert head is not None
    return head


async def check(url: str) -> None:
    """
    Raises:
        WrongRevision: If the database at *url* is older or newer than this code, or empty.
    """
    engine = create_async_engine(asyncpg_url(url))
    try:
        async with engine.connect() as connection:
            found = await _revision(connection)
    finally:
        await engine.dispose()
    if found != newest():
        raise WrongRevision(found, newest())


async def check_in(tx: Tx) -> None:
    """
    Raises:
        WrongRevision: If the database that *tx* works on is older or newer than this code.
    """
    rows = await tx.query(_Revision, text("SELECT version_num FROM alembic_version"))
    found = rows[0].version_num if rows else None
    if found != newest():
        raise WrongRevision(found, newest())


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


async def _revision(connection: AsyncConnection) -> str | None:
    try:
        found: str | None = await connection.scalar(text("SELECT version_num FROM alembic_version"))
    except ProgrammingError:  # no such table: an empty database
        return None
    return found


class _Revision(Struct, frozen=True):
    version_num: str


def _upgrade(connection: Connection, revision: str) -> None:
    config = _config()
    config.attributes["connection"] = connection
    command.upgrade(config, revision)


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    return config
