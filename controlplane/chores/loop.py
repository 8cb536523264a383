"""Runs the chores when the clock says so, each by one replica at a time."""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import structlog
from msgspec import Struct

from controlplane.chores import leases
from controlplane.db.database import Database

log = structlog.get_logger("controlplane.chores")

LONGEST = timedelta(minutes=5)
"""A chore that takes longer is cancelled and tried again; its lease is held no longer either. Some may take more."""


class Chore(Struct, frozen=True, kw_only=True):
    """Looks at the world and sets it right: no input, and running it twice does no harm."""

    name: str
    every: timedelta
    run: Callable[[], Awaitable[int]]
    """Returns how much there was to do."""
    longest: timedelta = LONGEST
    """After that it is cancelled; also how long one that died is waited for."""
    everywhere: bool = False
    """In every process, for what only that process knows; else by one replica at a time."""


async def run(db: Database, chores: Sequence[Chore]) -> None:
    """Run *chores* until cancelled. One that fails is logged and tried again next time."""
    holder = uuid4()
    async with asyncio.TaskGroup() as group:
        for chore in chores:
            group.create_task(_repeat(db, chore, holder), name=f"chore {chore.name}")


@asynccontextmanager
async def beside(*works: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """With all of *works* being done meanwhile, none of which ends by itself."""
    tasks = [asyncio.create_task(work) for work in works]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _repeat(db: Database, chore: Chore, holder: UUID) -> None:
    while True:
        await _attempt(db, chore, holder)
        # replicas that started together need not ask together
        await asyncio.sleep(chore.every.total_seconds() * random.uniform(0.9, 1.1))  # noqa: S311 spread, not secrecy


async def _attempt(db: Database, chore: Chore, holder: UUID) -> None:
    try:
        async with asyncio.timeout(chore.longest.total_seconds()):
            if chore.everywhere:
                done = await chore.run()
            elif await leases.take(db, chore.name, holder, chore.longest):
                done = await _leased(db, chore, holder)
            else:
                return
    except Exception as error:
        log.exception("chore.failed", chore=chore.name, error=type(error).__name__)
    else:
        log.debug("chore.done", chore=chore.name, changed=done)


async def _leased(db: Database, chore: Chore, holder: UUID) -> int:
    outcome = "failed"
    try:
        done = await chore.run()
        outcome = f"done: {done}"
    finally:
        await leases.free(db, chore.name, holder, rest=chore.every * 0.8, outcome=outcome)
    return done
