"""What the control plane asks a runtime to do, with the answer to a heartbeat, until it has done it."""

import logging

from runtime_agent import rotating
from runtime_agent.clock import Clock
from runtime_agent.http import Busy, Http, Refused, Unreachable
from runtime_agent.tokens import Tokens
from runtime_agent.wire.heartbeat import Pulse

logger = logging.getLogger(__name__)


class Duties:
    """Of one agent; what is not known is left alone."""

    def __init__(self, http: Http, tokens: Tokens, clock: Clock) -> None:
        self._http, self._tokens, self._clock = http, tokens, clock
        self.leaving = False
        """The control plane wants this runtime to send what is left, and go."""

    async def heed(self, pulse: Pulse) -> None:
        """Do what is asked; what cannot be done now is asked again with the next heartbeat."""
        self.leaving = "DRAIN" in pulse.flags
        if "ROTATE_KEY" in pulse.flags or self._tokens.identity.next_signing_key:
            try:
                await rotating.rotate(self._http, self._tokens, self._clock)
                logger.info("key.rotated")
            except (Unreachable, Busy, Refused, OSError) as error:
                logger.warning("key.unrotated: %s", error)
