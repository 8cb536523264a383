"""What the control plane asks a runtime to do, with the answer to a heartbeat, until it has done it."""

import logging
from collections.abc import Awaitable, Callable

from runtime_agent import comparing, rotating
from runtime_agent.clock import Clock
from runtime_agent.http import Busy, Refused, Unreachable
from runtime_agent.outbox import DiskFull, Outbox, refilling
from runtime_agent.server import Server
from runtime_agent.wire.heartbeat import Pulse

logger = logging.getLogger(__name__)


class Duties:
    """Of one agent; what is not known is left alone."""

    def __init__(self, outbox: Outbox, server: Server, clock: Clock) -> None:
        self._outbox, self._server, self._clock = outbox, server, clock
        self.leaving = False
        """The control plane wants this runtime to send what is left, and go."""

    async def heed(self, pulse: Pulse, *, may_compare: bool) -> None:
        """Do what is asked; what cannot be done now is asked again with the next heartbeat.

        Args:
            may_compare: False while it is in doubt where the server stands: after it was restored it lacks what our own
                log still has, and is about to be sent that.
        """
        self.leaving = "DRAIN" in pulse.flags
        await self._try("key", self._see_to_key, pulse)
        if may_compare:
            await self._try("comparison", self._see_to_comparison, pulse)

    async def _try(self, what: str, duty: Callable[[Pulse], Awaitable[None]], pulse: Pulse) -> None:
        try:
            await duty(pulse)
        except (Unreachable, Busy, Refused, DiskFull, OSError) as error:
            logger.warning("%s.undone: %s", what, error)

    async def _see_to_key(self, pulse: Pulse) -> None:
        if "ROTATE_KEY" in pulse.flags or self._server.tokens.identity.next_signing_key:
            await rotating.rotate(self._server.http, self._server.tokens, self._clock)
            logger.info("key.rotated")

    async def _see_to_comparison(self, pulse: Pulse) -> None:
        """Once nothing waits to be sent, and nothing that was asked for last time is still to be read."""
        if not comparing.is_level(self._outbox):
            return
        now = self._clock()
        if refilling.is_under_way(self._outbox):
            gone = refilling.settle(self._outbox, now)
            if gone is None:
                return
            if gone:
                logger.warning("comparison.gone: %d things are on neither side any more", gone)
        if "MANIFEST" in pulse.flags or comparing.is_due(self._outbox, now, pulse.store_id):
            found = await comparing.reconcile(self._outbox, self._server, self._clock)
            logger.info("comparison.done: %d said anew, %d newer there", len(found.missing), found.newer)
