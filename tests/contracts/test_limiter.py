"""How often something may happen, in memory and through Redis: the same promises."""

import asyncio
import socket
from datetime import timedelta
from uuid import uuid4

import pytest
from redis.asyncio import Redis

from controlplane.kit.limiter import InMemory, Rate, ThroughRedis

RATE = Rate(burst=3, every=timedelta(hours=1))
QUICK = Rate(burst=1, every=timedelta(milliseconds=20))


@pytest.fixture(params=["memory", "redis"])
async def limiter(request, redis_url):
    if request.param == "memory":
        yield InMemory()
        return
    redis = Redis.from_url(redis_url)
    yield ThroughRedis(redis)
    await redis.aclose()


@pytest.fixture
def free_port():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]


@pytest.fixture
def key():
    return str(uuid4())


async def test_a_burst_goes_through_and_then_no_more(limiter, key):
    waits = [await limiter.admit(key, RATE) for _ in range(4)]

    assert waits[:3] == [0.0, 0.0, 0.0]
    assert 3590 < waits[3] <= 3600


async def test_keys_do_not_know_of_each_other(limiter, key):
    for _ in range(4):
        await limiter.admit(key, RATE)

    assert await limiter.admit(f"{key}-other", RATE) == 0.0


async def test_what_is_left_is_told_and_when_all_of_it_is_there_again(limiter, key):
    spent = [await limiter.spend(key, RATE) for _ in range(4)]

    assert [each.left(RATE) for each in spent] == [2, 1, 0, 0]
    assert 3590 < spent[0].full_s <= 3600
    assert 10790 < spent[2].full_s <= 10800
    assert spent[3].wait_s > 0


@pytest.mark.parametrize("at", [65_000 + number * 0.137 for number in range(50)])
async def test_no_more_is_told_than_was_spent_whatever_the_clock_shows(at):
    assert (await InMemory(clock=lambda: at).spend("key", RATE)).full_s == 3600


async def test_nothing_at_all_is_a_rate_as_well(limiter, key):
    assert 0 < (await limiter.spend(key, Rate(burst=0, every=timedelta(seconds=60)))).wait_s <= 60


async def test_trying_in_vain_does_not_make_it_longer(limiter, key):
    for _ in range(3):
        await limiter.admit(key, RATE)

    first, later = await limiter.admit(key, RATE), await limiter.admit(key, RATE)

    assert later <= first


async def test_whoever_waits_as_told_gets_through(limiter, key):
    await limiter.admit(key, QUICK)

    await asyncio.sleep(await limiter.admit(key, QUICK))

    assert await limiter.admit(key, QUICK) == 0.0


async def test_of_many_at_once_only_a_burst_gets_through(limiter, key):
    waits = await asyncio.gather(*(limiter.admit(key, RATE) for _ in range(20)))

    assert waits.count(0.0) == 3


async def test_without_its_redis_each_process_counts_for_itself(key, free_port):
    redis = Redis.from_url(f"redis://127.0.0.1:{free_port}")
    limiter = ThroughRedis(redis)

    waits = [await limiter.admit(key, RATE) for _ in range(4)]

    await redis.aclose()
    assert [wait > 0 for wait in waits] == [False, False, False, True]


async def test_idle_keys_are_forgotten_when_there_are_too_many(monkeypatch):
    now = 0.0
    limiter = InMemory(lambda: now)
    monkeypatch.setattr("controlplane.kit.limiter.MOST_KEYS", 10)
    for number in range(10):
        await limiter.admit(str(number), QUICK)

    now = 1.0
    await limiter.admit("10", QUICK)

    assert list(limiter._free_at) == ["10"]
