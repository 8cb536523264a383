"""A syslog receiver that remembers."""

import asyncio
from contextlib import asynccontextmanager


class Receiver:
    def __init__(self, address):
        self.address = address
        self.received = b""
        self.hangs_up_after = None
        self.connections = 0

    def messages(self):
        """The frames, without their lengths."""
        rest, found = self.received, []
        while rest:
            length, _, rest = rest.partition(b" ")
            found.append(rest[: int(length)])
            rest = rest[int(length) :]
        return found

    async def _take(self, reader, writer):
        self.connections += 1
        try:
            while chunk := await reader.read(65536):
                self.received += chunk
                if self.hangs_up_after is not None and len(self.received) > self.hangs_up_after:
                    writer.transport.abort()
                    return
        finally:
            writer.close()


@asynccontextmanager
async def receiving(hangs_up_after=None, context=None):
    receiver = Receiver("")
    receiver.hangs_up_after = hangs_up_after
    server = await asyncio.start_server(receiver._take, "127.0.0.1", 0, ssl=context)
    port = server.sockets[0].getsockname()[1]
    receiver.address = f"tls://localhost:{port}" if context else f"tcp://127.0.0.1:{port}"
    async with server:
        yield receiver
