"""How often something may happen: the generic cell rate algorithm, in memory or through Redis."""

import math
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Final, Protocol, runtime_checkable

from msgspec import Struct
from redis.asyncio import Redis
from redis.exceptions import RedisError

PLACES: Final = 6
"""A microsecond. What stands behind it in a difference of two large numbers is made up."""

MOST_KEYS: Final = 100_000
"""Remembered in memory; beyond that, what is idle is forgotten."""


class Rate(Struct, frozen=True, kw_only=True):
    """*burst* times at once, and then once *every* so often."""

    burst: int
    every: timedelta


class Spent(Struct, frozen=True):
    """What came of one try, in seconds from now."""

    wait_s: float
    """0.0: it goes through; else how long to wait before the next."""
    full_s: float
    """When the whole burst is there again, if nobody tries."""

    def left(self, rate: Rate) -> int:
        """How many more go through at once."""
        return max(0, math.floor(rate.burst - self.full_s / rate.every.total_seconds() + 1e-6))


@runtime_checkable
class Limiter(Protocol):
    async def spend(self, key: str, rate: Rate) -> Spent:
        """Count one try under *key*."""
        ...

    async def admit(self, key: str, rate: Rate) -> float:
        """As :meth:`spend`, for whoever only asks how long to wait."""
        ...


class InMemory:
    """For one process."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """
        Args:
            clock: Seconds that only go forward.
        """
        self._clock = clock
        self._free_at: dict[str, float] = {}

    async def admit(self, key: str, rate: Rate) -> float:
        return (await self.spend(key, rate)).wait_s

    async def spend(self, key: str, rate: Rate) -> Spent:
        now, every = self._clock(), rate.every.total_seconds()
        free_at = max(self._free_at.get(key, now), now)
        wait = free_at - now - every * (rate.burst - 1)
        if wait > 0:
            return Spent(round(wait, PLACES), round(free_at - now, PLACES))
        if len(self._free_at) >= MOST_KEYS:
            self._free_at = {name: at for name, at in self._free_at.items() if at > now}
        self._free_at[key] = free_at + every
        return Spent(0.0, round(free_at + every - now, PLACES))


ADMIT: Final = """
local now = redis.call('TIME')
now = now[1] + now[2] / 1000000
local every, burst = tonumber(ARGV[1]), tonumber(ARGV[2])
local free_at = math.max(tonumber(redis.call('GET', KEYS[1]) or now), now)
local wait = free_at - now - every * (burst - 1)
if wait > 0 then return {tostring(wait), tostring(free_at - now)} end
redis.call('SET', KEYS[1], string.format('%.6f', free_at + every), 'PX', math.ceil((free_at + every - now) * 1000))
return {'0', tostring(free_at + every - now)}
"""


class ThroughRedis:
    """For several replicas. While Redis is away each process counts for itself."""

    def __init__(self, redis: Redis) -> None:
        self._admit = redis.register_script(ADMIT)
        self._meanwhile = InMemory()

    async def admit(self, key: str, rate: Rate) -> float:
        return (await self.spend(key, rate)).wait_s

    async def spend(self, key: str, rate: Rate) -> Spent:
        try:
            wait, full = await self._admit(keys=[f"limit:{key}"], args=[rate.every.total_seconds(), rate.burst])
        except RedisError:
            return await self._meanwhile.spend(key, rate)
        return Spent(float(wait), float(full))
