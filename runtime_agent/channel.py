"""Polls over a WebSocket while that works, and as calls while it does not.

A proxy may refuse it, cut it off, or swallow what goes over it. Then polls are what they always were, and some time
later it is tried again.
"""

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from typing import Final, TypeAlias
from uuid import UUID

import msgspec

from runtime_agent.http import Unreachable
from runtime_agent.server import Server
from runtime_agent.sockets import Closed, Cut, Socket
from runtime_agent.wire import PROTOCOL
from runtime_agent.wire.channel import GOING, OVER, PATH, Asking
from runtime_agent.wire.commands import LONGEST_WAIT_S, Orders
from runtime_agent.wire.sync import PROTOCOL_HEADER

FIRST_S: Final = 10.0
"""Until the first answer, which waits for nothing: what a proxy swallows is noticed by that."""

LATEST_S: Final = 2.0 * LONGEST_WAIT_S
"""Until any other."""

AGAIN_S: Final = 60.0
"""Before it is tried again, at least; twice as long after each try in vain."""

SELDOM_S: Final = 1800.0
"""The most of that. All are up to twice as long, each by chance."""

Dial: TypeAlias = Callable[[str, Mapping[str, str]], Awaitable[Socket]]
"""Opens a WebSocket at an address, with these headers; raises :class:`Closed`."""

logger = logging.getLogger(__name__)


class Channel:
    """Of one agent."""

    def __init__(
        self,
        server: Server,
        dial: Dial | None,
        *,
        monotonic: Callable[[], float] = time.monotonic,
        roll: Callable[[], float] = random.random,
        within_s: tuple[float, float] = (FIRST_S, LATEST_S),
    ) -> None:
        """
        Args:
            dial: None: there is no such thing here.
        """
        self._server, self._dial, self._monotonic, self._roll = server, dial, monotonic, roll
        self._first_s, self._latest_s = within_s
        self._socket: Socket | None = None
        self._answered = False
        """It has brought something: what is asked next may wait."""
        self._asking = False
        """Something was asked, and not answered: that answer would be taken for another."""
        self._in_vain = 0
        self._not_before = 0.0

    @property
    def is_open(self) -> bool:
        return self._socket is not None

    async def poll(
        self, store_id: UUID | None, after: int, wait_s: int, config: int = 0, tails: Sequence[str] = ()
    ) -> Orders:
        """As :meth:`Server.poll`, by whichever way there is.

        Raises:
            Unreachable: As of a poll that breaks, too: whoever polls then comes back as those do, spread out.
        """
        if self._asking:
            await self.close()
        socket = self._socket or await self._opened()
        if socket is not None:
            wait = wait_s if self._answered else 0
            asking = Asking(store=store_id, after=after, wait=wait, config=config, tails=list(tails))
            try:
                return await self._ask(socket, asking)
            except Closed as closed:
                await self._broke(closed)
                if isinstance(closed, Cut):
                    raise Unreachable(str(closed)) from closed
        return await self._server.poll(store_id, after, wait_s, config, tails)

    async def close(self) -> None:
        """Hang up."""
        socket, self._socket, self._asking = self._socket, None, False
        if socket is not None:
            with suppress(Closed):
                await socket.close()

    async def _opened(self) -> Socket | None:
        """
        Raises:
            Unreachable, Busy, Refused: As of any call: a token may have to be asked for.
        """
        if self._dial is None or self._monotonic() < self._not_before:
            return None
        token = await self._server.tokens.current()
        headers = {"Authorization": f"Bearer {token}", PROTOCOL_HEADER: str(PROTOCOL)}
        url = self._server.http.url
        try:
            self._socket = await self._dial(f"ws{url.removeprefix('http')}{PATH}", headers)
        except Closed as closed:
            self._later(str(closed))
            return None
        self._answered = False
        return self._socket

    async def _ask(self, socket: Socket, asking: Asking) -> Orders:
        self._asking = True
        try:
            async with asyncio.timeout(self._latest_s if self._answered else self._first_s):
                await socket.send(msgspec.json.encode(asking).decode())
                found = msgspec.json.decode(await socket.receive(), type=Orders)
        except TimeoutError:
            raise Closed("nothing came back") from None
        except msgspec.MsgspecError as error:
            raise Closed(f"something else came back: {error}") from error
        self._asking = False
        if not self._answered:
            logger.info("channel.opened")
        elif asking.wait:
            self._in_vain = 0
        self._answered = True
        return found

    async def _broke(self, closed: Closed) -> None:
        if closed.code in (GOING, OVER) and self._answered:
            self._not_before = 0.0
            logger.debug("channel.ended: %s", closed)
        else:
            self._later(str(closed))
        await self.close()

    def _later(self, why: str) -> None:
        """Polls have to do for a while."""
        wait_s = min(AGAIN_S * 2.0 ** min(self._in_vain, 10), SELDOM_S) * (1.0 + self._roll())
        self._in_vain += 1
        self._not_before = self._monotonic() + wait_s
        logger.info("channel.closed: %s; polling, and trying again in %d s", why, wait_s)
