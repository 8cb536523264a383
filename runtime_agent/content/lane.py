"""The blob lane: asks which chunks are wanted, puts those, and has them committed. The log always goes first."""

import asyncio
import logging

import httpx

from runtime_agent.outbox import Outbox, contents
from runtime_agent.outbox.contents import Waiting
from runtime_agent.server import Server
from runtime_agent.sync import Sync
from runtime_agent.wire.content import MAX_CHECKED, Wanted

AT_ONCE = 32
"""Chunks put before they are committed."""

DIRECT = httpx.Timeout(60.0, connect=10.0)

logger = logging.getLogger(__name__)


class Lane:
    """Safe to stop and to crash anywhere: what was not committed is asked about again, and goes by its own hash."""

    def __init__(self, outbox: Outbox, server: Server, sync: Sync, kib_s: int) -> None:
        self._outbox, self._server, self._sync = outbox, server, sync
        self._direct = True
        self.limit(kib_s)

    def limit(self, kib_s: int) -> None:
        """Send no faster than that from now on."""
        self._bytes_s = kib_s << 10

    async def step(self) -> bool:
        """Bring some chunks; False when none waits that could be brought now.

        Raises:
            Unreachable, Busy: Try again later, nothing has changed.
            Refused: By what sending it differently cannot mend.
        """
        store_id = self._sync.store_id
        if store_id is None or self._sync.unsent():
            return False
        contents.speaks_to(self._outbox, store_id)
        waiting = contents.waiting(self._outbox, MAX_CHECKED)
        if not waiting:
            return False
        wanted = {bytes.fromhex(each.sha256): each for each in await self._server.check(waiting, direct=self._direct)}
        settled = [key for key, each in wanted.items() if each.state in {"have", "unwanted"}]
        contents.settle(self._outbox, settled)
        put = [chunk for chunk in waiting if chunk.sha256 in wanted and wanted[chunk.sha256].state == "put"]
        for begin in range(0, len(put), AT_ONCE):
            await self._bring(put[begin : begin + AT_ONCE], wanted)
        return bool(settled or put)

    async def _bring(self, chunks: list[Waiting], wanted: dict[bytes, Wanted]) -> None:
        for chunk in chunks:
            await self._put(wanted[chunk.sha256], contents.body(self._outbox, chunk.sha256))
            await asyncio.sleep(chunk.size / self._bytes_s)
        names = [chunk.sha256 for chunk in chunks]
        await self._server.commit(names)
        contents.settle(self._outbox, names)

    async def _put(self, wanted: Wanted, body: bytes) -> None:
        if wanted.url and self._direct:
            try:
                async with httpx.AsyncClient(timeout=DIRECT) as client:
                    answer = await client.put(wanted.url, headers=wanted.headers, content=body)
                if answer.is_success:
                    return
                why = f"it answered {answer.status_code}"
            except httpx.HTTPError as error:
                why = type(error).__name__
            logger.warning("content.through: the object store cannot be reached from here (%s)", why)
            self._direct = False
        await self._server.put(wanted.sha256, body)
