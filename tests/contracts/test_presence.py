"""One suite for both ways to remember runtimes' last words."""

from uuid import UUID, uuid4

import pytest
from redis.asyncio import Redis

from controlplane.kit import presence

ONE, TWO = UUID(int=1), UUID(int=2)


@pytest.fixture(params=["in memory", "through Redis"])
async def words(request, redis_url):
    if request.param == "in memory":
        yield presence.InMemory()
        return
    redis = Redis.from_url(redis_url)
    yield presence.ThroughRedis(redis, prefix=f"presence-{uuid4()}")
    await redis.aclose()


async def test_the_last_word_is_remembered_also_when_it_has_been_taken(words):
    await words.hear(ONE, b"first", keep=True)
    await words.hear(ONE, b"last", keep=True)

    await words.take(10)

    assert await words.last(ONE) == b"last"
    assert await words.last(TWO) is None


async def test_each_word_is_handed_out_once(words):
    await words.hear(ONE, b"one", keep=True)
    await words.hear(TWO, b"two", keep=True)

    taken = [*await words.take(1), *await words.take(10)]

    assert sorted(taken) == [b"one", b"two"]
    assert list(await words.take(10)) == []


async def test_a_new_word_waits_again(words):
    await words.hear(ONE, b"one", keep=True)
    await words.take(10)

    await words.hear(ONE, b"more", keep=True)

    assert list(await words.take(10)) == [b"more"]


async def test_what_need_not_be_kept_is_remembered_and_handed_to_nobody(words):
    await words.hear(ONE, b"one", keep=True)
    await words.take(10)

    await words.hear(ONE, b"the same", keep=False)

    assert list(await words.take(10)) == []
    assert await words.last_of([TWO, ONE]) == [None, b"the same"]


async def test_it_knows_from_when_on_it_has_missed_nothing(words):
    assert [await words.since(now) for now in (1000.0, 1010.0, 1020.0)] == [1000.0] * 3


async def test_a_redis_that_was_away_or_emptied_has_missed_something(redis_url):
    redis = Redis.from_url(redis_url)
    name = f"presence-{uuid4()}"
    one, two = (presence.ThroughRedis(redis, prefix=name) for _ in range(2))
    await one.since(1000.0)

    assert await two.since(1200.0) == 1200.0
    assert await one.since(1210.0) == 1200.0
    await redis.delete(*[key async for key in redis.scan_iter(f"{name}:*")])
    assert await one.since(1220.0) == 1220.0
    await redis.aclose()


async def test_while_redis_is_away_nothing_is_remembered_and_nothing_fails():
    away = presence.ThroughRedis(Redis.from_url("redis://127.0.0.1:1/0"))

    await away.hear(ONE, b"one", keep=True)

    assert await away.last(ONE) is None
    assert list(await away.take(10)) == []
    assert await away.since(1000.0) is None
