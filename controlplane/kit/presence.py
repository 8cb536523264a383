"""The last word of each runtime, kept where it costs no database write, until somebody writes many at once."""

import contextlib
from collections.abc import Sequence
from typing import Final, Protocol, runtime_checkable
from uuid import UUID

from redis.asyncio import Redis
from redis.exceptions import RedisError

from controlplane.kit.together import Together

GATHER_S: Final = 0.005

PAUSE_S: Final = 60.0
"""Between two questions, after which Redis may have been away."""


@runtime_checkable
class Presence(Protocol):
    """Losing it loses nothing: the next heartbeat of each runtime says it all again."""

    async def hear(self, runtime_id: UUID, report: bytes, *, keep: bool) -> None:
        """Remember *report* as the last word of this runtime.

        Args:
            keep: Whether whoever takes words shall get this one, or a later one of the runtime.
        """
        ...

    async def last(self, runtime_id: UUID) -> bytes | None:
        """The last word, if it is still remembered."""
        ...

    async def last_of(self, runtime_ids: Sequence[UUID]) -> Sequence[bytes | None]:
        """The same of each."""
        ...

    async def since(self, now: float) -> float | None:
        """From when on it has missed nothing, as far as is known; None: it does not answer.

        Args:
            now: Seconds since 1970. Whoever goes by the answer asks again and again: a pause is one in which it may
                have missed something.
        """
        ...

    async def take(self, most: int) -> Sequence[bytes]:
        """The last words of up to *most* runtimes that said one to keep since theirs were taken."""
        ...


class InMemory:
    """For one process."""

    def __init__(self) -> None:
        self._reports: dict[UUID, bytes] = {}
        self._waiting: dict[UUID, None] = {}
        self._since: float | None = None

    async def hear(self, runtime_id: UUID, report: bytes, *, keep: bool) -> None:
        self._reports[runtime_id] = report
        if keep:
            self._waiting[runtime_id] = None

    async def last(self, runtime_id: UUID) -> bytes | None:
        return self._reports.get(runtime_id)

    async def last_of(self, runtime_ids: Sequence[UUID]) -> Sequence[bytes | None]:
        return [self._reports.get(runtime_id) for runtime_id in runtime_ids]

    async def since(self, now: float) -> float | None:
        self._since = now if self._since is None else self._since
        return self._since

    async def take(self, most: int) -> Sequence[bytes]:
        taken = list(self._waiting)[:most]
        for runtime_id in taken:
            del self._waiting[runtime_id]
        return [self._reports[runtime_id] for runtime_id in taken]


class ThroughRedis:
    """For several replicas. While Redis is away nothing is remembered, and nothing fails.

    What is asked and said at about the same time goes there together.
    """

    def __init__(self, redis: Redis, prefix: str = "presence") -> None:
        """
        Args:
            prefix: Of its keys: a hash of the words, a set of those that wait, and two times.
        """
        self._redis = redis
        self._reports, self._waiting = f"{prefix}:reports", f"{prefix}:waiting"
        self._since, self._asked_at = f"{prefix}:since", f"{prefix}:asked-at"
        self._said: Together[tuple[UUID, bytes, bool], None] = Together(self._hear, gather_s=GATHER_S)
        self._asked: Together[UUID, bytes | None] = Together(self.last_of, gather_s=GATHER_S)

    async def hear(self, runtime_id: UUID, report: bytes, *, keep: bool) -> None:
        await self._said.ask((runtime_id, report, keep))

    async def last(self, runtime_id: UUID) -> bytes | None:
        return await self._asked.ask(runtime_id)

    async def last_of(self, runtime_ids: Sequence[UUID]) -> Sequence[bytes | None]:
        try:
            words = await self._redis.hmget(self._reports, list(map(str, runtime_ids)))
        except RedisError:
            return [None] * len(runtime_ids)
        return list(map(_as_bytes, words))

    async def _hear(self, said: Sequence[tuple[UUID, bytes, bool]]) -> Sequence[None]:
        kept = [str(runtime_id) for runtime_id, _, keep in said if keep]
        with contextlib.suppress(RedisError):
            async with self._redis.pipeline() as both:
                both.hset(self._reports, mapping={str(runtime_id): report for runtime_id, report, _ in said})
                if kept:
                    both.sadd(self._waiting, *kept)
                await both.execute()
        return [None] * len(said)

    async def since(self, now: float) -> float | None:
        try:
            before = await self._redis.set(self._asked_at, now, get=True)
            if before is None or now - float(before) > PAUSE_S:
                await self._redis.set(self._since, now)
            since = await self._redis.get(self._since)
        except RedisError:
            return None
        return now if since is None else float(since)

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
