"""Budgets of one runtime: leased ahead while the control plane can be asked, kept to whether or not it can."""

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Final
from uuid import UUID

from runtime_agent.budgets import leasing, standing
from runtime_agent.budgets.enforcing import Enforcer
from runtime_agent.budgets.leasing import BudgetForged
from runtime_agent.budgets.standing import Standing
from runtime_agent.budgets.telling import Teller
from runtime_agent.clock import Clock
from runtime_agent.credentials import Credentials
from runtime_agent.http import Busy, Refused, Unreachable
from runtime_agent.outbox import DiskFull, Outbox, budgeting
from runtime_agent.pace import Pace
from runtime_agent.server import Server
from runtime_agent.sources.acting import Failed
from runtime_agent.troubles import Troubles
from runtime_agent.wire.budgets import Leased
from runtime_agent.wire.heartbeat import Trouble

SOONEST_S: Final = 2.0
"""Between two questions, whatever is used."""

NOTHING_LEFT_S: Final = 60.0
"""Between two questions where a slice is used up, or nothing is leased for the period to come."""

SAID_S: Final = 300.0
"""What was used is said after so long at the latest."""

PATIENCE_S: Final = 10.0
"""What a question may take before what is held is kept to without an answer."""

LOOK_S: Final = 5.0
"""Between looks at what nothing tells of: a period that ends, a session that has paused by now."""

logger = logging.getLogger(__name__)


class Budgets:
    """Safe to stop and to crash anywhere: what is held, and what was said of it, is on the disk."""

    def __init__(
        self,
        outbox: Outbox,
        server: Server,
        credentials: Credentials,
        troubles: Troubles,
        clock: Clock,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.changed = asyncio.Event()
        """Set where something may have been used, or there may be other budgets."""
        self.looked = False
        """Everything was looked at since the program began: before that nobody knows what was used."""
        self._tried = False
        self.enforcer = Enforcer(outbox, clock, monotonic)
        self._teller = Teller(outbox, clock)
        self._outbox, self._server, self._credentials = outbox, server, credentials
        self._troubles, self._clock, self._monotonic = troubles, clock, monotonic
        self._pace = Pace(monotonic=monotonic)
        self._heard: tuple[UUID, int] | None = None
        self._leased = budgeting.held(outbox)
        self._asked_at = float("-inf")
        self._said: dict[budgeting.Period, int] = {}

    def hear(self, store_id: UUID, revision: int) -> None:
        """The control plane's budgets have this revision."""
        self._heard = (store_id, revision)
        if self._is_news():
            self.changed.set()

    def looked_at(self, *, all_of_it: bool) -> None:
        """A look at everything has ended, and everything was kept, or not: a full disk is no reason to let go."""
        self._tried, self.looked = True, self.looked or all_of_it
        self.changed.set()

    @property
    def wait_s(self) -> float | None:
        """How long to wait for :attr:`changed` before the next step; None: as long as it takes."""
        if self._is_news():
            return min(LOOK_S, max(SOONEST_S, self._pace.wait_s()))
        return LOOK_S if self._leased else None

    async def step(self) -> bool:
        """Ask where it is time to, say what is to be said, pause or let go; whether there is something new in the log.

        Nothing before the first look: what ran when the program was stopped may have ended since.
        """
        if not self._tried:
            return False
        found = self._standings()
        if self._is_due(found):
            await self._ask()
            found = self._standings()
        told = self._tell(found)
        used_up = [each for each in found if each.exhausted]
        failed = None
        if any(each.slice.action == "pause" for each in used_up):
            failed = await self.enforcer.hold()
            told |= failed is not None and self._tell_of(used_up, failed)
        elif left := await self.enforcer.release():
            logger.warning("budget.left: %d sessions wait for somebody to resume them", left)
        line = str(failed) if failed else "what runs is paused, or warned of, until there is more"
        found_now = [Trouble(code="budget-exhausted", line=f"{each.slice.name}: {line}"[:500]) for each in used_up]
        self._troubles.report("budgets", found_now, self._clock())
        return told

    def _tell(self, found: list[Standing]) -> bool:
        """On a full disk as soon as there is room."""
        try:
            return self._teller.tell(found)
        except DiskFull:
            return False

    def _tell_of(self, used_up: list[Standing], failed: Failed) -> bool:
        try:
            return self._teller.unenforced(used_up, failed)
        except DiskFull:
            return False

    def _standings(self) -> list[Standing]:
        return standing.now(self._outbox, self._leased, self._clock()) if self._leased else []

    def _is_news(self) -> bool:
        """Whether there are other budgets than those of which slices are held."""
        if self._heard is None or (self._leased is None and not self._heard[1]):
            return False
        return self._leased is None or _store_and_revision(self._leased) != self._heard

    def _is_due(self, found: list[Standing]) -> bool:
        since_s = self._monotonic() - self._asked_at
        if not self.looked or self._pace.wait_s() or since_s < SOONEST_S:
            return False
        if self._is_news():
            return True
        if since_s >= NOTHING_LEFT_S and any(each.exhausted or not self._leased_ahead(each) for each in found):
            return True
        news = [each for each in found if each.used != self._said.get(budgeting.period(each.slice))]
        return any(each.scarce for each in news) or (bool(news) and since_s >= SAID_S)

    def _leased_ahead(self, each: Standing) -> bool:
        """Whether something is leased for now and, of what ends one day, for afterwards."""
        assert self._leased is not None, "it is leased"
        its = each.slice
        ahead = any(
            next_.budget == its.budget and next_.starts_ms == its.ends_ms for next_ in self._leased.slices.slices
        )
        return each.leased and (ahead or its.ends_ms >= standing.NEVER_MS)

    async def _ask(self) -> None:
        self._asked_at = self._monotonic()
        try:
            async with asyncio.timeout(PATIENCE_S):
                self._leased, said = await leasing.ask(self._outbox, self._server, self._credentials)
        except Busy as busy:
            self._pace.busy(busy.retry_after_s)
        except BudgetForged as forged:
            self._pace.failed()
            logger.warning("%s: %s", forged.code, forged)
        except (Unreachable, Refused, DiskFull, TimeoutError, OSError) as error:
            self._pace.failed()
            logger.warning("budgets.unasked: %s", error)
        else:
            self._pace.answered()
            self._said = {(each.budget, each.starts_ms): each.used for each in said}


def _store_and_revision(leased: Leased) -> tuple[UUID, int]:
    return leased.slices.store_id, leased.slices.revision
