"""What becomes of slices, said in the log: a threshold, the end, that it could not be enforced, and that there is more."""

from collections.abc import Iterable
from datetime import datetime
from typing import Final, Literal, TypeAlias

from runtime_agent import redact
from runtime_agent.budgets.standing import Standing
from runtime_agent.clock import Clock, from_ms
from runtime_agent.outbox import Outbox, budgeting
from runtime_agent.outbox.budgeting import Mark, Period
from runtime_agent.outbox.lines import new_record_id
from runtime_agent.sources.acting import Failed
from runtime_agent.wire.records import BudgetState

State: TypeAlias = Literal["warned", "exhausted", "unenforced", "released"]

NOTHING_LEASED: Final = "nothing was leased for the period that it is now, by this machine's clock"
USED_UP: Final = "what was leased to this runtime is used up"
OVER: Final = "there is something left again, or the period is over"


class Teller:
    """Each is said once, whatever is restarted in between."""

    def __init__(self, outbox: Outbox, clock: Clock) -> None:
        self._outbox, self._clock = outbox, clock

    def tell(self, found: list[Standing]) -> bool:
        """Say what is new; whether anything was."""
        marks, records = budgeting.marks(self._outbox), list[BudgetState]()
        changed: dict[Period, Mark] = {}
        for each in found:
            key = budgeting.period(each.slice)
            mark, said = self._of(each, marks.get(key, Mark()))
            if said:
                changed[key] = mark
                records += said
        current = {budgeting.period(each.slice) for each in found}
        for key, mark in marks.items():
            if mark.exhausted and key not in current:
                changed[key] = mark._replace(exhausted=False, unenforced="")
                records.append(_record(self._clock(), key, "released", line=OVER))
        if changed:
            budgeting.tell(self._outbox, records, changed, self._clock())
        return bool(changed)

    def unenforced(self, found: Iterable[Standing], failed: Failed) -> bool:
        """Say why what runs goes on; whether that is new."""
        marks, records = budgeting.marks(self._outbox), list[BudgetState]()
        changed: dict[Period, Mark] = {}
        for each in found:
            key = budgeting.period(each.slice)
            mark = marks.get(key, Mark())
            if each.slice.action == "pause" and mark.unenforced != failed.code:
                changed[key] = mark._replace(unenforced=failed.code)
                records.append(self._said(each, "unenforced", code=failed.code, line=redact.line(str(failed))))
        if changed:
            budgeting.tell(self._outbox, records, changed, self._clock())
        return bool(changed)

    def _of(self, each: Standing, mark: Mark) -> tuple[Mark, list[BudgetState]]:
        said = []
        if each.threshold > mark.warned:
            said.append(self._said(each, "warned", percent=each.threshold))
            mark = mark._replace(warned=each.threshold)
        if each.exhausted and not mark.exhausted:
            said.append(self._said(each, "exhausted", line=USED_UP if each.leased else NOTHING_LEASED))
            mark = mark._replace(exhausted=True)
        elif mark.exhausted and not each.exhausted:
            said.append(self._said(each, "released", line=OVER))
            mark = mark._replace(exhausted=False, unenforced="")
        return mark, said

    def _said(self, each: Standing, state: State, *, percent: int = 0, code: str = "", line: str = "") -> BudgetState:
        key, numbers = budgeting.period(each.slice), {"used": each.used, "amount": each.slice.amount}
        return _record(self._clock(), key, state, percent=percent, code=code, line=line, **numbers)


def _record(
    at: datetime, key: Period, state: State, *, percent: int = 0, code: str = "", line: str = "", **numbers: int
) -> BudgetState:
    budget, starts_ms = key
    return BudgetState(
        record_id=new_record_id(at),
        occurred_at=at,
        budget=budget,
        starts_at=from_ms(starts_ms),
        state=state,
        percent=percent,
        code=code,
        line=line,
        **numbers,
    )
