"""What processes say to each other through Redis, one subscription each."""

import asyncio
from contextlib import suppress
from uuid import uuid4

import pytest
from redis.asyncio import Redis

from controlplane.kit.channels import MOST_WAITING, Channels


@pytest.fixture
async def redis(redis_url):
    async with Redis.from_url(redis_url, client_name=str(uuid4())) as redis:
        yield redis


@pytest.fixture
def channels(redis):
    return Channels(redis)


@pytest.fixture
def name():
    return f"test-{uuid4()}"


async def soon(box):
    async with asyncio.timeout(5):
        return await box.get()


async def comes(box, within_s):
    with suppress(TimeoutError):
        async with asyncio.timeout(within_s):
            return bool(await box.get())
    return False


async def test_every_listener_hears_what_is_said_in_order_and_nobody_else_does(channels, name):
    async with channels.listen(name) as one, channels.listen(name) as two, channels.listen(f"{name}-other") as other:
        for word in (b"a", b"b"):
            await channels.say(name, word)

        assert [await soon(one), await soon(one), await soon(two), await soon(two)] == [b"a", b"b", b"a", b"b"]
        assert not await comes(other, 0.05)


async def test_many_listeners_are_one_subscription_which_ends_with_the_last(channels, redis, name):
    async with channels.listen(name):
        async with channels.listen(name), channels.listen(f"{name}-other"):
            [(_, subscriptions)] = await redis.pubsub_numsub(name)
        again = await redis.pubsub_numsub(f"{name}-other")

    assert subscriptions == 1
    assert again[0][1] == 0
    assert (await redis.pubsub_numsub(name))[0][1] == 0


async def test_a_connection_that_breaks_is_made_anew(channels, redis, name, monkeypatch):
    monkeypatch.setattr("controlplane.kit.channels.AGAIN_S", 0.01)
    async with channels.listen(name) as box:
        mine = await redis.client_getname()
        [open_one] = [each for each in await redis.client_list("pubsub") if each["name"] == mine]
        await redis.client_kill_filter(_id=open_one["id"])

        async with asyncio.timeout(10):
            while not await comes(box, 0.05):
                await channels.say(name, b"again")


async def test_who_does_not_listen_costs_no_memory(channels, name):
    async with channels.listen(name) as box:
        for number in range(MOST_WAITING + 10):
            box.put(str(number).encode())

        assert await soon(box) == b"10"
