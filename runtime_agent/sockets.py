"""Opening a WebSocket, with the package that the extra ``websocket`` brings; nothing else of the agent knows it.

Where it is not installed there is no other way than polls.
"""

from collections.abc import Mapping
from typing import Final, Protocol

import httpx

try:
    from websockets.asyncio.client import ClientConnection, connect
    from websockets.exceptions import ConnectionClosed, WebSocketException
except ImportError:
    INSTALLED = False
else:
    INSTALLED = True

OPEN_WITHIN_S: Final = 10.0
CLOSE_WITHIN_S: Final = 1.0

MOST_BYTES: Final = 1 << 20
"""Of one message."""


class Closed(Exception):
    """There is no connection any more, or never was; ``code`` is the other side's word for it, 0 where it had none."""

    def __init__(self, why: str, code: int = 0) -> None:
        super().__init__(why)
        self.code = code


class Cut(Closed):
    """The connection broke; nobody said a word. All that the other side had may have broken with it."""


class Socket(Protocol):
    """Both may raise :class:`Closed`."""

    async def send(self, text: str) -> None: ...

    async def receive(self) -> str | bytes: ...

    async def close(self) -> None: ...


if INSTALLED:

    class Direct(connect):
        """Whoever redirects us does not get our token."""

        def process_redirect(self, exc: Exception) -> Exception | str:
            return exc

    class Opened:
        def __init__(self, connection: ClientConnection) -> None:
            self._connection = connection

        async def send(self, text: str) -> None:
            try:
                await self._connection.send(text)
            except ConnectionClosed as closed:
                raise _closed(closed) from None

        async def receive(self) -> str | bytes:
            try:
                return await self._connection.recv()
            except ConnectionClosed as closed:
                raise _closed(closed) from None

        async def close(self) -> None:
            await self._connection.close()

    async def dial(url: str, headers: Mapping[str, str]) -> Socket:
        """A WebSocket at *url*, through the proxy that the environment names, trusted as httpx trusts.

        Raises:
            Closed: If there is none to be had.
        """
        context = httpx.create_ssl_context() if url.startswith("wss:") else None
        try:
            opened = await Direct(
                url,
                additional_headers=headers,
                compression=None,
                open_timeout=OPEN_WITHIN_S,
                close_timeout=CLOSE_WITHIN_S,
                ping_interval=None,
                max_size=MOST_BYTES,
                max_queue=2,
                ssl=context,
            )
        except (OSError, EOFError, ImportError, ValueError, WebSocketException) as error:
            raise Closed(str(error) or type(error).__name__) from error
        return Opened(opened)

    def _closed(closed: ConnectionClosed) -> Closed:
        return Cut(str(closed)) if closed.rcvd is None else Closed(str(closed), closed.rcvd.code)
