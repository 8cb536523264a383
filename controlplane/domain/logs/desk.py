"""Where agents' lines meet those who look at them: in this process, or sealed through Redis in the other's.

Nothing of it is stored. What passes through Redis is published, not kept, and sealed under a key that only the replicas
have: neither a slow log nor somebody who listens there sees a line.
"""

import asyncio
import contextlib
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any, Final, TypeVar
from uuid import UUID

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from msgspec import Struct

from controlplane.domain import keys
from controlplane.domain.keys import Keyring
from controlplane.domain.logs.looks import HELD_S, Look
from controlplane.domain.logs.tails import OpenTail
from controlplane.kit.channels import Channels
from controlplane.kit.ids import TenantId
from controlplane.kit.problems import Refusal
from runtime_agent.wire.logs import Chunk, Granted

UNHEARD_S: Final = HELD_S + 2.0
"""How long a replica waits for the one where the viewer is; what was lost on the way is sent again by the agent."""

NONCE_BYTES: Final = 12

Said = TypeVar("Said", bound=Struct)


class CreditExceeded(Refusal):
    """More came than there was room for, or something out of its order."""

    code, status, title = "credit-exceeded", 409, "More came than was asked for"
    hint = "The tail has ended. An agent sends what the last answer allowed, and numbers its chunks."


class _Answer(Struct, frozen=True, kw_only=True):
    number: int
    granted: Granted | None
    """None: :class:`CreditExceeded`."""


class Desk:
    """The tails whose viewers are in this process, and the way to those who are not."""

    def __init__(self, keyring: Keyring, channels: Channels | None) -> None:
        """
        Args:
            channels: To the other replicas; None: there are none.
        """
        self._looks: dict[UUID, Look] = {}
        self._after: set[asyncio.Task[None]] = set()
        self._channels = channels
        self._seal = AESGCM(keys.log_key(keyring))

    @asynccontextmanager
    async def looking(self, tenant_id: TenantId, tail: OpenTail) -> AsyncIterator[Look]:
        """Take what is sent of *tail* from now on."""
        look = self._looks[tail.id] = Look(tenant_id, tail)
        try:
            if self._channels is None:
                yield look
            else:
                async with self._channels.listen(_lines(tail.id)) as box:
                    taking = asyncio.create_task(self._take(self._channels, look, box.get))
                    try:
                        yield look
                    finally:
                        taking.cancel()
                        with contextlib.suppress(asyncio.CancelledError):
                            await taking
        finally:
            look.close()
            del self._looks[tail.id]

    def afterwards(self, work: Coroutine[Any, Any, None]) -> None:
        """Have *work* done, whether or not whoever asks for it is being stopped."""
        task = asyncio.create_task(work)
        self._after.add(task)
        task.add_done_callback(self._after.discard)

    async def close(self) -> None:
        """Once nobody looks any more: what is still to be done."""
        await asyncio.gather(*self._after, return_exceptions=True)

    async def deliver(self, tail_id: UUID, chunk: Chunk) -> Granted:
        """Hand *chunk* to whoever looks, and hear what else there is room for.

        Raises:
            CreditExceeded: If there was no room for it.
        """
        look = self._looks.get(tail_id)
        if look is not None:
            if not look.put(chunk):
                raise CreditExceeded
            return await look.room()
        if self._channels is None:
            return Granted(number=chunk.number, credit=0, live=False)
        return await self._send(self._channels, tail_id, chunk)

    async def _send(self, channels: Channels, tail_id: UUID, chunk: Chunk) -> Granted:
        async with channels.listen(_answers(tail_id)) as box:
            await channels.say(_lines(tail_id), self._sealed(_lines(tail_id), chunk))
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(UNHEARD_S):
                    while True:
                        answer = self._opened(_answers(tail_id), await box.get(), _Answer)
                        if answer is not None and answer.number == chunk.number:
                            if answer.granted is None:
                                raise CreditExceeded
                            return answer.granted
        return Granted(number=chunk.number - 1, credit=0, live=True)

    async def _take(self, channels: Channels, look: Look, get: Callable[[], Awaitable[bytes]]) -> None:
        """What other replicas hand over, one after the other: an agent has one chunk under way."""
        here, back = _lines(look.tail.id), _answers(look.tail.id)
        while True:
            chunk = self._opened(here, await get(), Chunk)
            if chunk is None:
                continue
            granted = await look.room() if look.put(chunk) else None
            await channels.say(back, self._sealed(back, _Answer(number=chunk.number, granted=granted)))

    def _sealed(self, channel: str, said: Struct) -> bytes:
        nonce = secrets.token_bytes(NONCE_BYTES)
        return nonce + self._seal.encrypt(nonce, msgspec.json.encode(said), channel.encode())

    def _opened(self, channel: str, raw: bytes, into: type[Said]) -> Said | None:
        """None: somebody else has said that, who has not the key."""
        try:
            return msgspec.json.decode(
                self._seal.decrypt(raw[:NONCE_BYTES], raw[NONCE_BYTES:], channel.encode()), type=into
            )
        except (InvalidTag, ValueError):
            return None


def _lines(tail_id: UUID) -> str:
    return f"tail:{tail_id}"


def _answers(tail_id: UUID) -> str:
    return f"tail-room:{tail_id}"
