"""/v1/tenants/{tenant}/budgets: how much runtimes may use, and how much of it they have used."""

from typing import Annotated, TypeAlias

from litestar import Controller, delete, get, patch, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody
from msgspec import UNSET, Meta, Struct, UnsetType

from controlplane.db.database import TenantTx
from controlplane.domain import projects
from controlplane.domain.audit import Actor
from controlplane.domain.budgets import definitions, standing
from controlplane.domain.budgets.definitions import Action, Budget, Level, NewBudget, Percent, Unit
from controlplane.domain.budgets.periods import NEVER, Length
from controlplane.domain.budgets.standing import Share
from controlplane.http.authorize import Surface, rule
from controlplane.http.instants import Moment, moment
from controlplane.http.pages import Page, Paging
from controlplane.http.paths import identity
from controlplane.http.problems import AtOdds
from controlplane.kit.ids import ProjectId, RuntimeId, text_id

BudgetName: TypeAlias = Annotated[str, Meta(min_length=1, max_length=100, pattern=r"^[^\u0000]*$")]
Limit: TypeAlias = Annotated[int, Meta(ge=0, le=2**50)]
WarnAt: TypeAlias = Annotated[list[Percent], Meta(max_length=10)]


class NewBudgetBody(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    name: BudgetName
    project: Annotated[str, Meta(min_length=1, max_length=60)] | None = None
    """For the runtimes of a project, by its slug or id; or:"""
    runtime: Annotated[str, Meta(max_length=40)] | None = None
    """For one runtime. Neither: for every runtime of the tenant."""
    unit: Unit = "tokens"
    """``tokens``, of input and output together; or ``micro_usd``, where runtimes write down prices."""
    limit: Limit
    """In one period."""
    period: Length = "month"
    """``total``: from now on, for ever. A week begins on Monday."""
    zone: Annotated[str, Meta(min_length=1, max_length=60)] = "UTC"
    """IANA name of the time zone that days begin in."""
    warn_at: WarnAt | None = None
    """In per cent of the limit; null: 50, 80 and 95."""
    action: Action = "warn"
    """Where it is used up: say so, or pause what runs as well, where the runtime's machine allows it."""


class BudgetChange(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is left out stays. A budget for others, or by another clock, is another budget."""

    name: BudgetName | UnsetType = UNSET
    limit: Limit | UnsetType = UNSET
    """What was leased of it already stays leased until the period ends."""
    warn_at: WarnAt | UnsetType = UNSET
    action: Action | UnsetType = UNSET


class BudgetView(Struct, frozen=True, kw_only=True):
    id: str
    name: str
    level: Level
    project: str | None
    runtime: str | None
    unit: Unit
    limit: int
    period: Length
    zone: str
    warn_at: list[int]
    action: Action
    created_by: str
    created_at: Moment
    changed_at: Moment


class BudgetStandingView(Struct, frozen=True, kw_only=True):
    """In the period that is now."""

    budget: str
    starts_at: Moment
    ends_at: Moment | None
    """Null: never."""
    limit: int
    used: int
    """As far as runtimes have said."""
    leased: int
    """What they may use in all, used or not."""
    left: int
    """Leased to nobody, used by nobody."""
    runtimes: int
    """That have a slice."""
    uncounted: int
    """Of those, that write down no prices, so that nothing can be counted of a limit in dollars."""
    awaited: int
    """Runtimes that have not said since a restore what they hold: until then nothing more is leased."""


class SliceView(Struct, frozen=True, kw_only=True):
    runtime: str
    leased: int
    used: int
    left: int
    """Below 0: so much more was used than leased, by what was under way."""
    counted: bool
    leased_at: Moment
    said_at: Moment


class BudgetsController(Controller):
    path = "/budgets"
    tags = ("budgets",)
    opt = rule(Surface.TENANT, "budget:read")

    @get("/")
    async def listing(self, tx: NamedDependency[TenantTx], paging: NamedDependency[Paging]) -> Page[BudgetView]:
        """Budgets, newest first."""
        rows = await definitions.listing(tx, after=paging.after_id, limit=paging.fetch)
        return paging.page(rows, lambda row: row.id, view)

    @post("/", status_code=201, opt=rule(Surface.TENANT, "budget:write", fresh=True))
    async def create(
        self, data: JSONBody[NewBudgetBody], tx: NamedDependency[TenantTx], actor: NamedDependency[Actor]
    ) -> BudgetView:
        """Make a budget. It holds at each runtime once that has been heard from."""
        return view(await definitions.create(tx, actor, await _new(tx, data)))

    @get("/{budget:str}")
    async def show(self, tx: NamedDependency[TenantTx], budget: FromPath[str]) -> BudgetView:
        """One budget."""
        return view(await definitions.get(tx, identity("bud", budget)))

    @patch("/{budget:str}", opt=rule(Surface.TENANT, "budget:write", fresh=True))
    async def change(
        self,
        data: JSONBody[BudgetChange],
        tx: NamedDependency[TenantTx],
        actor: NamedDependency[Actor],
        budget: FromPath[str],
    ) -> BudgetView:
        """Change its name, limit, thresholds or action."""
        given = {"name": data.name, "amount": data.limit, "warn_at": data.warn_at, "action": data.action}
        changes = {name: value for name, value in given.items() if value is not UNSET}
        return view(await definitions.change(tx, actor, identity("bud", budget), changes))

    @delete("/{budget:str}", opt=rule(Surface.TENANT, "budget:write", fresh=True))
    async def remove(self, tx: NamedDependency[TenantTx], actor: NamedDependency[Actor], budget: FromPath[str]) -> None:
        """Take it away. A runtime keeps to it until it is heard from."""
        await definitions.delete(tx, actor, identity("bud", budget))

    @get("/{budget:str}/standing")
    async def stands(self, tx: NamedDependency[TenantTx], budget: FromPath[str]) -> BudgetStandingView:
        """How much of it is used, leased and left."""
        [found] = await standing.of(tx, [await definitions.get(tx, identity("bud", budget))])
        return BudgetStandingView(
            budget=text_id("bud", found.budget.id),
            starts_at=moment(found.span.starts_at),
            ends_at=moment(found.span.ends_at) if found.span.ends_at < NEVER else None,
            limit=found.budget.amount,
            used=found.used,
            leased=found.leased,
            left=found.left,
            runtimes=found.runtimes,
            uncounted=found.uncounted,
            awaited=found.awaited,
        )

    @get("/{budget:str}/slices")
    async def slices(
        self, tx: NamedDependency[TenantTx], paging: NamedDependency[Paging], budget: FromPath[str]
    ) -> Page[SliceView]:
        """What each runtime has of it in the period that is now, the newest runtime first."""
        its = await definitions.get(tx, identity("bud", budget))
        rows = await standing.shares(tx, its, after=paging.after_id, limit=paging.fetch)
        return paging.page(rows, lambda row: row.runtime_id, _slice)


def view(its: Budget) -> BudgetView:
    return BudgetView(
        id=text_id("bud", its.id),
        name=its.name,
        level=its.level,
        project=text_id("prj", its.project_id) if its.project_id else None,
        runtime=text_id("rt", its.runtime_id) if its.runtime_id else None,
        unit=its.unit,
        limit=its.amount,
        period=its.period,
        zone=its.zone,
        warn_at=list(its.warn_at),
        action=its.action,
        created_by=its.created_by,
        created_at=moment(its.created_at),
        changed_at=moment(its.changed_at),
    )


async def _new(tx: TenantTx, data: NewBudgetBody) -> NewBudget:
    """
    Raises:
        NotFound: If the tenant has no such project.
        AtOdds: If it is for a project and for a runtime.
    """
    if data.project is not None and data.runtime is not None:
        raise AtOdds("a budget is for a project or for a runtime")
    level: Level = "tenant"
    project, runtime = None, None
    if data.project is not None:
        level, project = "project", ProjectId((await projects.named(tx, data.project)).id)
    if data.runtime is not None:
        level, runtime = "runtime", RuntimeId(identity("rt", data.runtime))
    return NewBudget(
        name=data.name,
        level=level,
        project_id=project,
        runtime_id=runtime,
        unit=data.unit,
        amount=data.limit,
        period=data.period,
        zone=data.zone,
        warn_at=definitions.WARN_AT if data.warn_at is None else data.warn_at,
        action=data.action,
    )


def _slice(its: Share) -> SliceView:
    return SliceView(
        runtime=text_id("rt", its.runtime_id),
        leased=its.amount,
        used=its.used,
        left=its.left,
        counted=its.counted,
        leased_at=moment(its.leased_at),
        said_at=moment(its.said_at),
    )
