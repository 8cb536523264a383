import asyncio
from uuid import UUID

import pytest
from redis.exceptions import RedisError

from controlplane.kit.presence import ThroughRedis
from controlplane.kit.redis import reach


@pytest.fixture
async def hanging():
    """The address of a Redis that takes connections and says nothing: as where packets vanish."""
    over = asyncio.Event()

    async def hold(reader, writer):
        await over.wait()
        writer.close()

    async with await asyncio.start_server(hold, "127.0.0.1", 0) as server:
        yield f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}/0"
        over.set()


async def test_a_redis_that_hangs_is_given_up_before_whoever_called_gives_up(hanging):
    redis = reach(hanging)

    async with asyncio.timeout(10):
        with pytest.raises(RedisError):
            await redis.get("anything")
        assert await ThroughRedis(redis).last_of([UUID(int=1)]) == [None]
    await redis.aclose()
