"""How the slices stand: computed from what was leased and what was read, by this machine's own clock.

That clock also stamps what is read, so a wrong one moves both alike: what is used counts in some period, and each period
has its slice.
"""

from collections.abc import Iterable
from datetime import datetime
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from runtime_agent.clock import to_ms
from runtime_agent.outbox import Outbox, budgeting, spending
from runtime_agent.wire.budgets import Leased, Slice, Use

NEVER_MS: Final = 4_102_444_800_000


class Standing(Struct, frozen=True, kw_only=True):
    """A slice of the period that is now."""

    slice: Slice
    used: int
    leased: bool = True
    """False: nothing was leased for now; then there is nothing to use."""

    @property
    def exhausted(self) -> bool:
        return self.used >= self.slice.amount

    @property
    def scarce(self) -> bool:
        """More than half of it is used."""
        return 2 * self.used > self.slice.amount

    @property
    def threshold(self) -> int:
        """The highest that is reached, in per cent of the whole budget; 0: none."""
        its = self.slice
        return max((each for each in its.warn_at if 100 * (its.others + self.used) >= its.limit * each), default=0)


def now(outbox: Outbox, leased: Leased, at: datetime) -> list[Standing]:
    """One of each budget that holds here."""
    marks = budgeting.marks(outbox)
    by_budget: dict[str, list[Slice]] = {}
    for each in leased.slices.slices:
        by_budget.setdefault(each.budget, []).append(each)
    found = []
    for slices in by_budget.values():
        current, is_leased = _current(slices, to_ms(at))
        beyond = marks.get(budgeting.period(current), budgeting.Mark()).beyond
        used = spending.used(outbox, current) + beyond
        found.append(Standing(slice=current, used=used, leased=is_leased))
    return found


def uses(outbox: Outbox, slices: Iterable[Slice]) -> list[Use]:
    """What was used of each, whatever time it is."""
    marks, priced = budgeting.marks(outbox), spending.is_priced(outbox)
    return [
        Use(
            budget=each.budget,
            starts_ms=each.starts_ms,
            used=spending.used(outbox, each) + marks.get(budgeting.period(each), budgeting.Mark()).beyond,
            counted=priced or each.unit != "micro_usd",
        )
        for each in slices
    ]


def _current(slices: list[Slice], at_ms: int) -> tuple[Slice, bool]:
    """The slice of the period that *at_ms* is in, or one of nothing."""
    for each in slices:
        if each.starts_ms <= at_ms < each.ends_ms:
            return each, True
    before = [each for each in slices if each.ends_ms <= at_ms]
    if before:
        last = max(before, key=lambda each: each.ends_ms)
        return replace(last, starts_ms=last.ends_ms, ends_ms=NEVER_MS, amount=0, used=0, others=0), False
    first = min(slices, key=lambda each: each.starts_ms)
    return replace(first, starts_ms=0, ends_ms=first.starts_ms, amount=0, used=0, others=0), False
