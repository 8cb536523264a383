"""One viewer's side of a tail: a little room for lines, and the word of how much more fits."""

import asyncio
import contextlib
from collections import deque
from typing import Final

from controlplane.domain.logs.tails import OpenTail
from controlplane.kit.ids import TenantId
from runtime_agent.wire.logs import CHUNK_BYTES, Chunk, Granted

ROOM_BYTES: Final = 4 * CHUNK_BYTES
"""Of text that waits for its viewer, at most. All that a tail holds of memory here."""

MOST_CHUNKS: Final = 32

HELD_S: Final = 8.0
"""How long an agent is kept waiting where there is no room; then it asks again."""


class Look:
    """Lines that came and were not taken yet."""

    def __init__(self, tenant_id: TenantId, tail: OpenTail) -> None:
        self.tenant_id, self.tail = tenant_id, tail
        self.closed = False
        self.broken = False
        """The agent sent more than there was room for."""
        self._chunks: deque[Chunk] = deque()
        self._number = 0
        self._came, self._went = asyncio.Event(), asyncio.Event()
        self._held = self._taken = 0
        self._over = False

    @property
    def held(self) -> int:
        """Bytes of text that wait."""
        return self._held

    async def next(self, within_s: float) -> Chunk | None:
        """The next chunk, which makes room for others; None: none came in time, or none will."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                while not self._chunks and not self.broken:
                    self._came.clear()
                    await self._came.wait()
        if not self._chunks:
            return None
        chunk = self._chunks.popleft()
        self._held -= chunk.weight()
        self._went.set()
        return chunk

    def put(self, chunk: Chunk) -> bool:
        """Take what an agent sent, once however often it comes; False: there is no room, or it was not asked for."""
        if self.closed or self._over or chunk.number <= self._number:
            return True
        weight = chunk.weight()
        asked_for = self._taken + weight <= self.tail.most + CHUNK_BYTES  # the first line may be longer than all of it
        fits = asked_for and weight <= self._credit() and len(self._chunks) < MOST_CHUNKS
        if self.broken or chunk.number != self._number + 1 or not fits:
            self.broken = True
            self._came.set()
            return False
        self._number, self._over = chunk.number, bool(chunk.ended)
        self._taken += weight
        if self._chunks and not (chunk.lines or chunk.gap or chunk.ended):
            return True
        self._held += weight
        self._chunks.append(chunk)
        self._came.set()
        return True

    async def room(self) -> Granted:
        """What there is room for: as soon as there is some, or after :data:`HELD_S` none."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(HELD_S):
                while not self._credit() and not self.closed:
                    self._went.clear()
                    await self._went.wait()
        return Granted(number=self._number, credit=self._credit(), live=not self.closed)

    def close(self) -> None:
        """Nobody looks any more; what waits is gone."""
        self.closed = True
        self._chunks.clear()
        self._held = 0
        self._went.set()

    def _credit(self) -> int:
        """All of a chunk or nothing, so that no agent has to divide what it has read."""
        fits = ROOM_BYTES - self._held >= CHUNK_BYTES and len(self._chunks) < MOST_CHUNKS // 2
        return CHUNK_BYTES if fits else 0
