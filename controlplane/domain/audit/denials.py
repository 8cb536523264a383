"""Attempts that were turned down, on record: the first few of a caller each minute one by one, the rest summed up."""

from collections import OrderedDict
from datetime import datetime, timedelta
from typing import Final

from msgspec import Struct

from controlplane.db.database import Database
from controlplane.domain.audit.events import Actor, Target
from controlplane.domain.audit.writing import denied
from controlplane.kit.ids import TenantId

ONE_BY_ONE: Final = 10
"""Denials of one caller within :data:`WINDOW` that get an event each."""

WINDOW: Final = timedelta(minutes=1)

CALLERS: Final = 10_000
"""Remembered at a time. Where there are more, the oldest are summed up early."""


class Denial(Struct, frozen=True, kw_only=True):
    chain: TenantId | None
    """Whose log it belongs into; None: the platform's."""
    caller: str
    """By whom or from where, whatever tells callers apart."""
    actor: Actor
    action: str
    target: Target
    facts: dict[str, object]


class _Window(Struct):
    first: Denial
    began_at: datetime
    seen: int = 0
    untold: int = 0


class Denials:
    """Counts per caller. What is counted and not yet written dies with a process that is killed."""

    def __init__(self, db: Database, callers: int = CALLERS) -> None:
        self._db, self._callers = db, callers
        self._windows: OrderedDict[tuple[TenantId | None, str, str], _Window] = OrderedDict()

    async def note(self, denial: Denial) -> None:
        """Write *denial* down, or count it where its caller has had enough events for this minute."""
        if await self.is_told(denial):
            await self._write(denial)

    async def is_told(self, denial: Denial) -> bool:
        """Whether *denial* is still one of those that are told one by one, for those who have a record of their own to
        write it in. The rest is counted here, and summed up.
        """
        key = (denial.chain, denial.caller, denial.action)
        window = self._windows.get(key)
        now = self._db.clock()
        if window is not None and now - window.began_at >= WINDOW:
            del self._windows[key]
            await self._tell(window)
            window = None
        if window is None:
            window = self._windows[key] = _Window(denial, now)
            while len(self._windows) > self._callers:
                await self._tell(self._windows.popitem(last=False)[1])
        window.seen += 1
        if window.seen > ONE_BY_ONE:
            window.untold += 1
        return window.seen <= ONE_BY_ONE

    async def sum_up(self, *, at_the_end: bool = False) -> int:
        """Write down what was only counted in windows that are over, and return how many attempts that were.

        Args:
            at_the_end: All windows are over, because the process is.
        """
        now = self._db.clock()
        over = [key for key, window in self._windows.items() if at_the_end or now - window.began_at >= WINDOW]
        return sum([await self._tell(self._windows.pop(key)) for key in over])

    async def _tell(self, window: _Window) -> int:
        if window.untold:
            first = window.first
            facts: dict[str, object] = {"times": window.untold, "since": window.began_at.isoformat()}
            await self._write(
                Denial(
                    chain=first.chain,
                    caller=first.caller,
                    actor=first.actor,
                    action=first.action,
                    target=first.target,
                    facts={**first.facts, **facts},
                )
            )
        return window.untold

    async def _write(self, denial: Denial) -> None:
        async with self._db.scoped(denial.chain) as tx:
            denied(tx, denial.actor, denial.action, denial.target, **denial.facts)
