"""The form of a budget: what is typed, and what that means."""

from decimal import Decimal
from typing import Annotated, Any, Final

from msgspec import Meta, Struct

from controlplane.db.database import TenantTx
from controlplane.domain import projects
from controlplane.domain.budgets.definitions import WARN_AT, Action, Budget, Level, NewBudget, Unit
from controlplane.domain.budgets.periods import Length
from controlplane.http.paths import identity
from controlplane.http.problems import Invalid
from controlplane.kit.ids import ProjectId, RuntimeId

MILLION: Final = 1_000_000

MOST_THRESHOLDS: Final = 10


class Filled(Struct, frozen=True, kw_only=True):
    """The form of a budget."""

    name: Annotated[str, Meta(max_length=100, pattern=r"^[^\u0000]*$")] = ""
    level: Level = "tenant"
    project: Annotated[str, Meta(max_length=60)] = ""
    runtime: Annotated[str, Meta(max_length=40)] = ""
    unit: Unit = "tokens"
    limit: Annotated[str, Meta(pattern=r"^[0-9]{0,14}([.][0-9]{1,6})?$")] = ""
    """Tokens, or dollars."""
    period: Length = "month"
    zone: Annotated[str, Meta(max_length=60)] = "UTC"
    warn_at: Annotated[str, Meta(max_length=100, pattern=r"^[0-9 ,]*$")] = " ".join(map(str, WARN_AT))
    action: Action = "warn"

    def changes(self) -> dict[str, Any]:
        """
        Raises:
            Invalid: If a field cannot be.
        """
        thresholds = [int(each) for each in self.warn_at.replace(",", " ").split()]
        if len(thresholds) > MOST_THRESHOLDS or not all(1 <= each <= 100 for each in thresholds):
            raise _unfit("warn_at", f"at most {MOST_THRESHOLDS} thresholds, from 1 to 100 per cent")
        if not self.name.strip():
            raise _unfit("name", "give it a name")
        return {"name": self.name.strip(), "amount": self._amount(), "warn_at": thresholds, "action": self.action}

    async def new(self, tx: TenantTx) -> NewBudget:
        """
        Raises:
            NotFound: If the tenant has no such project.
            Invalid: If a field cannot be.
        """
        project = ProjectId((await projects.named(tx, self.project)).id) if self.level == "project" else None
        runtime = RuntimeId(identity("rt", self.runtime)) if self.level == "runtime" else None
        its: dict[str, Any] = {"level": self.level, "project_id": project, "runtime_id": runtime, **self.changes()}
        return NewBudget(unit=self.unit, period=self.period, zone=self.zone, **its)

    def _amount(self) -> int:
        if not self.limit or (self.unit == "tokens" and "." in self.limit):
            raise _unfit("limit", "give a number: of tokens, or of dollars")
        amount = int(Decimal(self.limit) * (MILLION if self.unit == "micro_usd" else 1))
        if amount > 2**50:
            raise _unfit("limit", "this is more than can be counted")
        return amount


EMPTY: Final = Filled()


def filled(its: Budget) -> Filled:
    """The form as it stands for a budget."""
    limit = f"{Decimal(its.amount) / MILLION:f}" if its.unit == "micro_usd" else str(its.amount)
    return Filled(
        name=its.name,
        level=its.level,
        unit=its.unit,
        limit=limit,
        period=its.period,
        zone=its.zone,
        warn_at=" ".join(map(str, its.warn_at)),
        action=its.action,
    )


def _unfit(name: str, detail: str) -> Invalid:
    return Invalid([{"in": "body", "name": name, "detail": detail}])
