"""What runs is paused where a budget is used up, by the runtime's own interface, and goes on once there is more."""

import asyncio
import logging
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from typing import Final

from runtime_agent.clock import Clock, to_ms
from runtime_agent.outbox import DiskFull, Outbox, budgeting, cursor
from runtime_agent.sources import STALE_AFTER, Source
from runtime_agent.sources.acting import Acting, Failed
from runtime_agent.wire.records import SessionState

AGAIN_S: Final = 30.0
"""Before a session that goes on is asked to pause once more: a node that is under way ends first."""

MOST_AT_ONCE: Final = 50

NOT_ALLOWED: Final = Failed("not-allowed", "this machine does not allow pause; its owner can, in the setting commands")
NOBODY: Final = Failed("no-interface", "no source here has an interface by which to pause what runs")

logger = logging.getLogger(__name__)


class Enforcer:
    """Of one source. What it does is what the commands ``pause`` and ``resume`` do, where the machine allows them."""

    def __init__(self, outbox: Outbox, clock: Clock, monotonic: Callable[[], float] = time.monotonic) -> None:
        self.source: Source | None = None
        self.acting: Acting | None = None
        self.allowed: frozenset[str] = frozenset()
        """Of the kinds of commands, those that the owner of this machine lets be done here."""
        self._outbox, self._clock, self._monotonic = outbox, clock, monotonic
        self._tried: dict[str, float] = {}

    async def hold(self) -> Failed | None:
        """Pause every session that runs; what kept one from being paused."""
        running = cursor.running(self._outbox)
        self._tried = {name: at for name, at in self._tried.items() if any(each.session == name for each in running)}
        failed = None
        for each in running:
            if self._monotonic() - self._tried.get(each.session, -AGAIN_S) < AGAIN_S:
                continue
            try:
                await self._pause(f"{each.agent}/{each.session}", each.session)
            except Failed as error:
                failed = error
        return failed

    async def _pause(self, key: str, session: str) -> None:
        if self.acting is None:
            raise NOBODY
        if "pause" not in self.allowed:
            raise NOT_ALLOWED
        self._tried[session] = self._monotonic()
        with suppress(DiskFull):  # then it is paused all the same, and waits for somebody to resume it
            budgeting.hold_back(self._outbox, key, self._clock())  # first: whoever dies in between knows it again
        try:
            logger.info("budget.paused: %s: %s", session, await self.acting.pause(session))
        except Failed as error:
            with suppress(DiskFull):
                budgeting.let_go(self._outbox, key)
            logger.warning("budget.unenforced: %s: %s", session, error)
            raise

    async def release(self) -> int:
        """Have what was paused go on, as far as it still waits for nothing else; how many cannot."""
        left = 0
        for key, at_ms in budgeting.held_back(self._outbox, MOST_AT_ONCE):
            state = await asyncio.to_thread(self._state, key)
            if state is not None and state.status == "running" and not self._long_ago(at_ms):
                continue  # about to be paused
            if state is not None and state.waiting_for == "resume":
                left += not await self._resumed(key.partition("/")[2])
            budgeting.let_go(self._outbox, key)
        return left

    async def _resumed(self, session: str) -> bool:
        if self.acting is None or "resume" not in self.allowed:
            return False
        try:
            logger.info("budget.resumed: %s: %s", session, await self.acting.resume(session))
        except Failed as error:
            logger.warning("budget.unresumed: %s: %s", session, error)
            return False
        return True

    def _long_ago(self, at_ms: int) -> bool:
        """Then it was paused, and somebody has it run again."""
        return to_ms(self._clock()) - at_ms > STALE_AFTER / timedelta(milliseconds=1)

    def _state(self, key: str) -> SessionState | None:
        if self.source is None:
            return None
        seen = cursor.seen(self._outbox, self.source.kind, key)
        try:
            reading = self.source.read(key, now=self._clock(), seen=seen)
        except FileNotFoundError:
            return None
        return next((draft.record for draft in reading.records if isinstance(draft.record, SessionState)), None)
