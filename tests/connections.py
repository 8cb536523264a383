"""The connections of the application's role, which go on from one test to the next, with nothing left of a session.

What a new one looks up about a hundred tables, and prepares and plans again, is half of what a small test takes.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine

from controlplane.db.database import Database

KEPT = 3
"""At most; few tests use more at once, and after them the next one begins anew."""

FORGET = """
    CLOSE ALL; SET SESSION AUTHORIZATION DEFAULT; RESET ALL; UNLISTEN *; DISCARD TEMP; DISCARD SEQUENCES;
    SELECT pg_advisory_unlock_all()
"""
"""DISCARD ALL, but for what was prepared."""

LOST = (DBAPIError, asyncpg.PostgresConnectionError, asyncpg.AdminShutdownError, asyncpg.InterfaceError, OSError)


class Lent(Database):
    """One whose connections are somebody else's to close."""

    async def close(self) -> None:
        """Nothing: an app that ends calls this."""


class Connections:
    """Of one worker, which runs one test at a time; to the database that goes from test to test."""

    def __init__(self) -> None:
        self.pids: list[int] = []
        """The server's processes behind those that are kept."""
        self._engine: AsyncEngine | None = None
        self._known: dict[str, object] = {}
        """What an engine of SQLAlchemy has compiled, and its dialect, for which alone that is good."""

    @asynccontextmanager
    async def lend(self, db: Lent) -> AsyncIterator[None]:
        """To *db*, for one test."""
        engine = self._engine = self._engine or self._knowing(db._engine)
        db._engine = engine.execution_options()  # an engine on the same pool: who listens to it is forgotten with it
        yield
        try:
            self.pids = await _forgetful(engine)
        except LOST:
            self.pids = []
        if engine.dialect.server_version_info is not None:
            its = vars(engine.sync_engine)
            self._known = {name: its[name] for name in ("dialect", "_compiled_cache")}
        if not self.pids:
            await self.close()

    async def close(self) -> None:
        """The database is about to go, or connections were lost, or are still in use."""
        engine, self._engine, self.pids = self._engine, None, []
        if engine is not None:
            await engine.dispose()

    def _knowing(self, engine: AsyncEngine) -> AsyncEngine:
        vars(engine.sync_engine).update(self._known)
        return engine


async def _forgetful(engine: AsyncEngine) -> list[int]:
    """Make them as if they were new, and name the processes behind them; none where some are in use, or too many."""
    if engine.pool.checkedout() or engine.pool.checkedin() > KEPT:
        return []
    pids = []
    for connection in [await engine.connect() for _ in range(engine.pool.checkedin())]:
        session = (await connection.get_raw_connection()).driver_connection
        await session.execute(FORGET)
        pids.append(session.get_server_pid())
        await connection.close()
    return pids
