"""What processes say to each other in passing, over one connection to Redis each. Nothing of it is kept anywhere."""

import asyncio
import contextlib
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from redis.asyncio import Redis
from redis.asyncio.client import PubSub
from redis.exceptions import RedisError

HEARD_WITHIN_S: Final = 5.0
"""How long Redis may take to say that it will pass on what is said from now on."""

AGAIN_S: Final = 1.0
"""Between tries to reach a Redis that is away."""

MOST_WAITING: Final = 64
"""Messages in one mailbox; of more the oldest is lost, as it is while Redis is away."""


class Receiver(ABC):
    """Who listens to one channel."""

    def __init__(self) -> None:
        self.ready = asyncio.Event()
        """Redis passes on what is said from now on."""

    @abstractmethod
    def put(self, message: bytes) -> None:
        """This was said."""

    def missed(self) -> None:  # noqa: B027 not everybody minds
        """The connection is another: something may have been said meanwhile."""


class Mailbox(Receiver):
    """What was said on one channel since somebody began to listen."""

    def __init__(self) -> None:
        super().__init__()
        self._said: deque[bytes] = deque(maxlen=MOST_WAITING)
        self._some = asyncio.Event()

    def put(self, message: bytes) -> None:
        self._said.append(message)
        self._some.set()

    async def get(self) -> bytes:
        """The next message, as soon as there is one."""
        while not self._said:
            self._some.clear()
            await self._some.wait()
        return self._said.popleft()


class Channels:
    """The channels that a process listens to, all in one subscription, however many listen."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._receivers: dict[str, set[Receiver]] = {}
        self._subscribed: PubSub | None = None
        self._reading: asyncio.Task[None] | None = None
        self._changing = asyncio.Lock()

    async def say(self, channel: str, message: bytes) -> bool:
        """To whoever listens now; False: to nobody, Redis is away. It may get lost."""
        try:
            await self._redis.publish(channel, message)
        except (RedisError, OSError):
            return False
        return True

    @asynccontextmanager
    async def listen(self, channel: str) -> AsyncIterator[Mailbox]:
        """Hear what is said on *channel* from now on; while Redis is away, nothing."""
        box = Mailbox()
        try:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(HEARD_WITHIN_S):
                    await self.begin(channel, box)
                    await box.ready.wait()
            yield box
        finally:
            await self.end(channel, box)

    async def begin(self, channel: str, receiver: Receiver) -> None:
        """Have *receiver* hear what is said on *channel*, once it is ready."""
        receivers = self._receivers.setdefault(channel, set())
        first = not receivers
        if any(other.ready.is_set() for other in receivers):
            receiver.ready.set()
        receivers.add(receiver)
        if self._reading is None:
            self._reading = asyncio.create_task(self._read())
        elif first and self._subscribed is not None:
            await asyncio.shield(self._subscribe(self._subscribed, channel))  # others may wait for it, too

    async def end(self, channel: str, receiver: Receiver) -> None:
        """Have it hear nothing more. Doing it again changes nothing."""
        receivers = self._receivers.get(channel, set())
        receivers.discard(receiver)
        if receivers or channel not in self._receivers:
            return
        del self._receivers[channel]
        if not self._receivers and self._reading is not None:
            reading, self._reading = self._reading, None
            reading.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await reading
        elif self._subscribed is not None:
            async with self._changing:
                with contextlib.suppress(RedisError, OSError):
                    await self._subscribed.unsubscribe(channel)

    async def _subscribe(self, subscribed: PubSub, *channels: str) -> None:
        async with self._changing:
            with contextlib.suppress(RedisError, OSError):  # the reader finds out, too, and begins anew
                await subscribed.subscribe(*channels)

    async def _read(self) -> None:
        while True:
            async with self._redis.pubsub() as subscribed:
                self._subscribed = subscribed
                try:
                    await self._subscribe(subscribed, *self._receivers)
                    while subscribed.subscribed:
                        self._hand_out(await subscribed.get_message(timeout=None))
                except (RedisError, OSError):
                    pass
                finally:
                    if self._subscribed is subscribed:
                        self._subscribed = None
            await asyncio.sleep(AGAIN_S)

    def _hand_out(self, message: dict[str, object] | None) -> None:
        if message is None or message["type"] not in ("subscribe", "message"):
            return
        channel, said = message["channel"], message["data"]
        assert isinstance(channel, bytes), "this client decodes nothing"
        for receiver in self._receivers.get(channel.decode(), ()):
            if isinstance(said, bytes):
                receiver.put(said)
            elif receiver.ready.is_set():
                receiver.missed()
            else:
                receiver.ready.set()
