"""The client of Redis: what Redis may do is wake, count and cache, so nobody waits for it for long."""

from typing import Final

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

ANSWERS_WITHIN_S: Final = 1.0
"""More than a Redis under load takes, and less than a caller minds: one that hangs slows every call by that, twice."""

TRIES_AGAIN: Final = 1
"""On another connection, because the first may have been closed while it was idle."""


def reach(url: str) -> Redis:
    """A client that answers, or fails with a ``RedisError``, within two seconds: also where packets just vanish.

    Who listens to a channel may do so for as long as it takes.
    """
    return Redis.from_url(
        url,
        socket_timeout=ANSWERS_WITHIN_S,
        socket_connect_timeout=ANSWERS_WITHIN_S,
        retry=Retry(NoBackoff(), TRIES_AGAIN),
    )
