"""What processes say to each other in passing, over one connection to Redis each. Nothing of it is kept anywhere."""

import asyncio
import contextlib
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


class Mailbox:
    """What was said on one channel since somebody began to listen."""

    def __init__(self) -> None:
        self.ready = asyncio.Event()
        """Redis passes on what is said from now on."""
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

    async def any(self, timeout_s: float) -> bool:
        """Whether there is something, or comes within *timeout_s*; all of it is taken out."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await self.get()
                self._said.clear()
                return True
        return False


class Channels:
    """The channels that a process listens to, all in one subscription, however many listen."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._boxes: dict[str, set[Mailbox]] = {}
        self._subscribed: PubSub | None = None
        self._reading: asyncio.Task[None] | None = None
        self._changing = asyncio.Lock()

    async def say(self, channel: str, message: bytes) -> None:
        """To whoever listens now. It may get lost."""
        with contextlib.suppress(RedisError):
            await self._redis.publish(channel, message)

    @asynccontextmanager
    async def listen(self, channel: str) -> AsyncIterator[Mailbox]:
        """Hear what is said on *channel* from now on; while Redis is away, nothing."""
        box = Mailbox()
        await self._begin(channel, box)
        try:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(HEARD_WITHIN_S):
                    await box.ready.wait()
            yield box
        finally:
            await self._end(channel, box)

    async def _begin(self, channel: str, box: Mailbox) -> None:
        boxes = self._boxes.setdefault(channel, set())
        boxes.add(box)
        if self._reading is None:
            self._reading = asyncio.create_task(self._read())
        elif self._subscribed is not None:
            await self._subscribe(self._subscribed, channel)

    async def _end(self, channel: str, box: Mailbox) -> None:
        boxes = self._boxes[channel]
        boxes.remove(box)
        if boxes:
            return
        del self._boxes[channel]
        if not self._boxes and self._reading is not None:
            reading, self._reading = self._reading, None
            reading.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await reading
        elif self._subscribed is not None:
            async with self._changing:
                with contextlib.suppress(RedisError):
                    await self._subscribed.unsubscribe(channel)

    async def _subscribe(self, subscribed: PubSub, *channels: str) -> None:
        async with self._changing:
            with contextlib.suppress(RedisError):  # the reader finds out, too, and begins anew
                await subscribed.subscribe(*channels)

    async def _read(self) -> None:
        while True:
            async with self._redis.pubsub() as subscribed:
                self._subscribed = subscribed
                try:
                    await self._subscribe(subscribed, *self._boxes)
                    while subscribed.subscribed:
                        self._hand_out(await subscribed.get_message(timeout=None))
                except RedisError:
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
        for box in self._boxes.get(channel.decode(), ()):
            if message["type"] == "subscribe":
                box.ready.set()
            elif isinstance(said, bytes):
                box.put(said)
