"""One replica at a time runs a chore, and one that dies is replaced."""

import asyncio
from datetime import timedelta
from uuid import UUID

from controlplane.chores import leases, loop
from controlplane.chores.loop import Chore

ONE, TWO = UUID(int=1), UUID(int=2)
MINUTE, NOTHING = timedelta(minutes=1), timedelta()


async def test_of_many_replicas_one_gets_the_lease(db):
    got = await asyncio.gather(*(leases.take(db, "sweep", UUID(int=n), MINUTE) for n in range(1, 9)))

    assert sum(got) == 1


async def test_the_holder_keeps_it_until_it_is_freed(db):
    assert await leases.take(db, "sweep", ONE, MINUTE)
    assert await leases.take(db, "sweep", ONE, MINUTE)
    assert not await leases.take(db, "sweep", TWO, MINUTE)

    await leases.free(db, "sweep", ONE, rest=NOTHING, outcome="done: 1")

    assert await leases.take(db, "sweep", TWO, MINUTE)


async def test_a_holder_that_died_is_replaced_when_its_time_is_over(db):
    await leases.take(db, "sweep", ONE, NOTHING)

    assert await leases.take(db, "sweep", TWO, MINUTE)


async def test_whoever_lost_the_lease_cannot_free_it(db):
    await leases.take(db, "sweep", ONE, NOTHING)
    await leases.take(db, "sweep", TWO, MINUTE)

    await leases.free(db, "sweep", ONE, rest=NOTHING, outcome="late")

    assert not await leases.take(db, "sweep", ONE, MINUTE)


async def test_a_chore_that_fails_does_not_end_the_others(db):
    done = asyncio.Event()

    async def fail() -> int:
        raise ValueError("on purpose")

    async def do() -> int:
        done.set()
        return 1

    chores = [
        Chore(name="fails", every=timedelta(milliseconds=10), run=fail),
        Chore(name="does", every=timedelta(milliseconds=10), run=do),
    ]
    running = asyncio.create_task(loop.run(db, chores))
    async with asyncio.timeout(10):
        await done.wait()

    assert not running.done()
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
