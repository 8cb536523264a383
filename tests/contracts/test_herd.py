"""Who goes ahead, with Redis and without."""

from uuid import uuid4

import pytest
from redis.asyncio import Redis

from controlplane.kit.herd import Open, ThroughRedis


@pytest.fixture
async def herd(redis_url):
    redis = Redis.from_url(redis_url)
    yield ThroughRedis(redis)
    await redis.aclose()


@pytest.fixture
def name():
    return str(uuid4())


async def test_one_goes_ahead_and_the_next_when_they_have_left(herd, name):
    ticket = await herd.enter(name, 60)

    assert await herd.enter(name, 60) is None
    await herd.leave(name, ticket)
    assert await herd.enter(name, 60)


async def test_who_stays_too_long_does_not_let_a_third_in(herd, name):
    slow = await herd.enter(name, 0.01)
    while (second := await herd.enter(name, 60)) is None:
        pass

    await herd.leave(name, slow)

    assert await herd.enter(name, 60) is None
    await herd.leave(name, second)


@pytest.mark.parametrize("herd", [Open(), ThroughRedis(Redis.from_url("redis://127.0.0.1:1"))])
async def test_without_redis_everybody_goes_ahead(herd, name):
    tickets = [await herd.enter(name, 60) for _ in range(2)]

    assert None not in tickets
    for ticket in tickets:
        await herd.leave(name, ticket)
