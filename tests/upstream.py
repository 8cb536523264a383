"""A provider's API on loopback: real HTTP, and whatever a test has it answer."""

import asyncio
from contextlib import asynccontextmanager


class Upstream:
    """``answers`` are by path: a callable that takes the request's bytes and the writer."""

    def __init__(self):
        self.url = ""
        self.answers = {}
        self.seen = []
        """Head and body of every request."""
        self._answering = set()

    @property
    def lines(self):
        return [head.split("\r\n")[0] for head, _ in self.seen]

    def says(self, path, body=b"{}", status=200, **headers):
        async def answer(request, writer):
            await reply(writer, body, status, **headers)

        self.answers[path] = answer

    async def stop(self):
        for task in self._answering:
            task.cancel()
        await asyncio.gather(*self._answering, return_exceptions=True)

    async def serve(self, reader, writer):
        task = asyncio.current_task()
        self._answering.add(task)
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            headers = dict(line.lower().split(": ", 1) for line in head.split("\r\n")[1:] if ": " in line)
            body = await reader.readexactly(int(headers.get("content-length", "0")))
            self.seen.append((head, body))
            path = head.split(" ")[1].partition("?")[0]
            await self.answers[path]((head, body), writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            self._answering.discard(task)
            writer.close()


async def reply(writer, body, status=200, **headers):
    given = {"content-type": "application/json", "content-length": str(len(body))}
    given |= {name.replace("_", "-"): value for name, value in headers.items()}
    head = "".join(f"{name}: {value}\r\n" for name, value in given.items() if value is not None)
    writer.write(f"HTTP/1.1 {status} Said\r\n{head}\r\n".encode() + body)
    await writer.drain()


@asynccontextmanager
async def serving():
    upstream = Upstream()
    server = await asyncio.start_server(upstream.serve, "127.0.0.1", 0)
    upstream.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield upstream
    finally:
        server.close()
        await upstream.stop()
        await server.wait_closed()
