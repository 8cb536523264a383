"""The revision that this release was written for, and the refusal to work on another. Runs no migration."""

from functools import cache
from pathlib import Path

from msgspec import Struct
from sqlalchemy import text
from sqlalchemy.exc import ProgrammingError
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine

from controlplane.db.database import Tx, asyncpg_url
from controlplane.kit.problems import Refusal

MIGRATIONS = Path(__file__).parents[2] / "migrations"


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
    """The revision that this code was written for: files are named after theirs, which count upwards."""
    return max(path.stem.partition("_")[0] for path in (MIGRATIONS / "versions").glob("[0-9]*.py"))


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


async def _revision(connection: AsyncConnection) -> str | None:
    try:
        found: str | None = await connection.scalar(text("SELECT version_num FROM alembic_version"))
    except ProgrammingError:  # no such table: an empty database
        return None
    return found


class _Revision(Struct, frozen=True):
    version_num: str
