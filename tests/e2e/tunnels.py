"""A network between agent and server that knows WebSockets, and does with them what it is told; all else passes."""

import asyncio
import threading
from contextlib import suppress

PASS, REFUSE, SWALLOW = "pass", "refuse", "swallow"
"""Refuse: they are no business of its own. Swallow: it opens them, and keeps what comes back to itself."""

REFUSAL = b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


class Tunnel:
    """Listens on a port of its own for connections to *target*, the port of a server on this machine."""

    def __init__(self, target):
        self.mode = PASS
        self.opened = self.polls = 0
        """WebSockets that were asked for, and polls."""
        self._target, self._sockets, self._tasks = target, set(), set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="tunnel", daemon=True)
        self._thread.start()
        self._server = self._done(asyncio.start_server(self._serve, "127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    def cut(self):
        """Cut off the WebSockets that are open."""
        self._loop.call_soon_threadsafe(lambda: [writer.transport.abort() for writer in self._sockets])

    def close(self):
        self._done(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _done(self, work):
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    async def _end(self):
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader, writer):
        task = asyncio.current_task()
        self._tasks.add(task)
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            if b" /v1/runtime/channel " in head:
                await self._socket(head, reader, writer)
            else:
                await self._both_ways(head, reader, writer)
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            self._tasks.discard(task)
            writer.close()

    async def _socket(self, head, reader, writer):
        self.opened += 1
        if self.mode == REFUSE:
            writer.write(REFUSAL)
            await writer.drain()
            return
        self._sockets.add(writer)
        try:
            await self._both_ways(head, reader, writer, swallows=self.mode == SWALLOW)
        finally:
            self._sockets.discard(writer)

    async def _both_ways(self, head, reader, writer, *, swallows=False):
        answers, server = await asyncio.open_connection("127.0.0.1", self._target)
        try:
            await self._forward(head, server)
            if swallows:
                writer.write(await answers.readuntil(b"\r\n\r\n"))
                writer = None
            ways = [asyncio.ensure_future(each) for each in (self._way(reader, server), self._way(answers, writer))]
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
        finally:
            server.close()

    async def _way(self, reader, writer):
        while block := await reader.read(1 << 16):
            await self._forward(block, writer)

    async def _forward(self, block, writer):
        self.polls += block.startswith(b"GET /v1/runtime/poll")
        if writer is not None:
            with suppress(ConnectionError):
                writer.write(block)
                await writer.drain()
