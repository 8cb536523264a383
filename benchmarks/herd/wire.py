"""HTTP/1.1 as plainly as can be: what is measured is the server, and there are ten thousand of these."""

import asyncio
from collections.abc import Mapping
from typing import Final

from msgspec import Struct

TIMEOUT_S: Final = 30.0


class Answer(Struct, frozen=True):
    status: int
    retry_after_s: float
    body: bytes


class Line:
    """A connection from one place to the server, opened when it is needed."""

    def __init__(self, port: int, place: str) -> None:
        """
        Args:
            place: The address that calls come from: one of this machine's many.
        """
        self._port, self._place = port, place
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    def close(self) -> None:
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None

    async def call(
        self, method: str, path: str, headers: Mapping[str, str], body: bytes = b"", wait_s: float = 0.0
    ) -> Answer:
        """
        Args:
            wait_s: How long the server may take beyond what any call may.

        Raises:
            OSError: No answer.
        """
        try:
            async with asyncio.timeout(TIMEOUT_S + wait_s):
                return await self._call(method, path, headers, body)
        except (OSError, EOFError, TimeoutError, asyncio.IncompleteReadError) as error:
            self.close()
            raise OSError("no answer") from error
        except BaseException:
            self.close()
            raise

    async def _call(self, method: str, path: str, headers: Mapping[str, str], body: bytes) -> Answer:
        if self._streams is None:
            self._streams = await asyncio.open_connection(
                "127.0.0.1", self._port, local_addr=(self._place, 0), limit=1 << 16
            )
        reader, writer = self._streams
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        head = f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n{lines}Content-Length: {len(body)}\r\n\r\n"
        writer.write(head.encode() + body)
        said = (await reader.readuntil(b"\r\n\r\n")).lower()
        answer = await reader.readexactly(int(_header(said, b"content-length") or 0))
        if b"\r\nconnection: close" in said:
            self.close()
        return Answer(int(said[9:12]), float(_header(said, b"retry-after") or 0), answer)


def _header(said: bytes, name: bytes) -> bytes:
    return said.partition(b"\r\n" + name + b": ")[2].partition(b"\r\n")[0]
