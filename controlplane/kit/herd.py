"""One of many goes ahead, and the others wait: a courtesy between processes that nothing relies on."""

import asyncio
from typing import Final, Protocol, runtime_checkable
from uuid import uuid4

from redis.asyncio import Redis
from redis.exceptions import RedisError

PATIENCE_S: Final = 0.5
"""With Redis: whoever is not told goes ahead."""

LEAVE: Final = "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end return 0"
"""Only what is one's own: a slow one must not let a third in."""


@runtime_checkable
class Herd(Protocol):
    async def enter(self, name: str, for_s: float) -> str | None:
        """A ticket if nobody else is inside *name*, for as long as that; None: somebody is."""
        ...

    async def leave(self, name: str, ticket: str) -> None: ...


class Open(Herd):
    """Lets everybody in. For one process, which knows what it does, and for where Redis is away."""

    async def enter(self, name: str, for_s: float) -> str | None:
        return ""

    async def leave(self, name: str, ticket: str) -> None:
        pass


class ThroughRedis(Herd):
    """For several replicas. While Redis is away everybody goes ahead."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._leave = redis.register_script(LEAVE)

    async def enter(self, name: str, for_s: float) -> str | None:
        ticket = uuid4().hex
        try:
            async with asyncio.timeout(PATIENCE_S):
                mine = await self._redis.set(f"herd:{name}", ticket, nx=True, px=max(1, int(for_s * 1000)))
        except (RedisError, OSError, TimeoutError):
            return ""
        return ticket if mine else None

    async def leave(self, name: str, ticket: str) -> None:
        if not ticket:
            return
        try:
            async with asyncio.timeout(PATIENCE_S):
                await self._leave(keys=[f"herd:{name}"], args=[ticket])
        except (RedisError, OSError, TimeoutError):
            return  # it ends by itself
