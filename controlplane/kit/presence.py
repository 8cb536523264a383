"""The last word of each runtime, kept where it costs no database write, until somebody writes many at once."""

import contextlib
from collections.abc import Sequence
from typing import Protocol, runtime_checkable
from uuid import UUID

from redis.asyncio import Redis
from redis.exceptions import RedisError


@runtime_checkable
class Presence(Protocol):
    """Losing it loses nothing: the next heartbeat of each runtime says it all again."""

    async def hear(self, runtime_id: UUID, report: bytes) -> None:
        """Remember *report* as the last word of this runtime."""
        ...

    async def last(self, runtime_id: UUID) -> bytes | None:
        """The last word, if it is still remembered."""
        ...

    async def take(self, most: int) -> Sequence[bytes]:
        """Up to *most* last words that nobody took since they were spoken; each is handed out once."""
        ...


class InMemory:
    """For one process."""

    def __init__(self) -> None:
        self._reports: dict[UUID, bytes] = {}
        self._waiting: dict[UUID, None] = {}

    async def hear(self, runtime_id: UUID, report: bytes) -> None:
        self._reports[runtime_id] = report
        self._waiting[runtime_id] = None

    async def last(self, runtime_id: UUID) -> bytes | None:
        return self._reports.get(runtime_id)

    async def take(self, most: int) -> Sequence[bytes]:
        taken = list(self._waiting)[:most]
        for runtime_id in taken:
            del self._waiting[runtime_id]
        return [self._reports[runtime_id] for runtime_id in taken]


class ThroughRedis:
    """For several replicas. While Redis is away nothing is remembered, and nothing fails."""

    def __init__(self, redis: Redis, prefix: str = "presence") -> None:
        """
        Args:
            prefix: Of the two keys, a hash of the words and a set of those that wait.
        """
        self._redis = redis
        self._reports, self._waiting = f"{prefix}:reports", f"{prefix}:waiting"

    async def hear(self, runtime_id: UUID, report: bytes) -> None:
        with contextlib.suppress(RedisError):
            async with self._redis.pipeline() as both:
                both.hset(self._reports, str(runtime_id), report)
                both.sadd(self._waiting, str(runtime_id))
                await both.execute()

    async def last(self, runtime_id: UUID) -> bytes | None:
        try:
            return _as_bytes(await self._redis.hget(self._reports, str(runtime_id)))
        except RedisError:
            return None

    async def take(self, most: int) -> Sequence[bytes]:
        try:
            taken = await self._redis.spop(self._waiting, most)
            words = await self._redis.hmget(self._reports, list(taken)) if taken else []
        except RedisError:
            return []
        return [word for word in map(_as_bytes, words) if word is not None]


def _as_bytes(found: bytes | str | None) -> bytes | None:
    """What Redis answered; the client's types allow for text that it was not asked to make."""
    return found.encode() if isinstance(found, str) else found
