"""Until one transaction waits for another: what a test of two at the same time has to see before it lets the first go on."""

import asyncio

from sqlalchemy import text

from controlplane.db.database import Database

WAITING = text("""
    SELECT count(*) FROM pg_locks WHERE NOT granted AND pid IN (
        SELECT pid FROM pg_locks JOIN pg_database ON pg_database.oid = database WHERE datname = current_database()
    )
""")


async def until_it_waits(db: Database, task: asyncio.Task[object]) -> None:
    """Or until *task* is done, because it waits for nobody.

    Raises:
        TimeoutError: If neither happens within 30 s.
    """
    async with db.platform() as tx, asyncio.timeout(30):
        while not task.done() and not await tx.scalar(WAITING):
            pass
