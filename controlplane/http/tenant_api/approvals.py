"""/v1/tenants/{tenant}/approvals: everything that waits for a human, and deciding it."""

from typing import Annotated

from litestar import Controller, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, JSONBody
from msgspec import Meta, Struct

from controlplane.db.database import TenantTx
from controlplane.domain import approvals
from controlplane.domain.approvals import Approval, State
from controlplane.domain.audit import Actor
from controlplane.domain.outcomes import Filters
from controlplane.http.authorize import Surface, rule
from controlplane.http.instants import Moment, moment
from controlplane.http.pages import Page, Paging
from controlplane.http.paths import identity
from controlplane.http.tenant_api import commands, filters
from controlplane.http.tenant_api.commands import CommandView
from controlplane.http.words import word
from controlplane.kit.ids import text_id


class DecisionBody(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    comment: Annotated[str, Meta(max_length=1000, pattern=r"^[^\u0000]*$")] = ""
    """Handed to the runtime along with the decision."""


class ApprovalView(Struct, frozen=True, kw_only=True):
    id: str
    state: State
    """``decided``: its runtime is being told, or has been and says nothing new yet. ``over``: it waits no more."""
    session: str
    source: str
    """What the source itself calls the session."""
    runtime: str
    project: str
    agent: str
    node: str | None
    """Which of its nodes asks."""
    attention: list[str]
    """What the source says of it. What is asked word for word stays in its network."""
    waiting_since: Moment
    decision: CommandView | None
    """The last one on this question, with what came of it."""


class ApprovalsController(Controller):
    path = "/approvals"
    tags = ("approvals",)
    opt = rule(Surface.TENANT, "approval:read")

    @get("/")
    async def listing(
        self,
        tx: NamedDependency[TenantTx],
        paging: NamedDependency[Paging],
        agent: FromQuery[str | None] = None,
        runtime: FromQuery[str | None] = None,
        project: FromQuery[str | None] = None,
    ) -> Page[ApprovalView]:
        """What waits for a human now, the session that began last first."""
        wanted = Filters(
            agent=word("agent", agent),
            runtime_id=filters.identity("rt", "runtime", runtime),
            project=word("project", project),
        )
        rows = await approvals.listing(tx, wanted, before=paging.after_id, limit=paging.fetch)
        return paging.page(rows, lambda row: row.id, _view)

    @get("/{approval:str}")
    async def show(self, tx: NamedDependency[TenantTx], approval: FromPath[str]) -> ApprovalView:
        """One question, also after it was decided."""
        return _view(await approvals.get(tx, identity("apr", approval)))

    @post("/{approval:str}/approve", status_code=200, opt=rule(Surface.TENANT, "approval:decide"))
    async def approve(
        self,
        data: JSONBody[DecisionBody],
        tx: NamedDependency[TenantTx],
        actor: NamedDependency[Actor],
        approval: FromPath[str],
    ) -> ApprovalView:
        """Let the session go on. Its runtime is told; what comes of it stands in the decision."""
        return _view(await approvals.decide(tx, actor, identity("apr", approval), "approve", data.comment))

    @post("/{approval:str}/reject", status_code=200, opt=rule(Surface.TENANT, "approval:decide"))
    async def reject(
        self,
        data: JSONBody[DecisionBody],
        tx: NamedDependency[TenantTx],
        actor: NamedDependency[Actor],
        approval: FromPath[str],
    ) -> ApprovalView:
        """Say no. Its runtime is told, with the comment."""
        return _view(await approvals.decide(tx, actor, identity("apr", approval), "reject", data.comment))


def _view(its: Approval) -> ApprovalView:
    return ApprovalView(
        id=text_id("apr", its.id),
        state=its.state,
        session=text_id("ses", its.session.id),
        source=its.session.source_id,
        runtime=text_id("rt", its.session.runtime_id),
        project=its.session.project,
        agent=its.session.agent,
        node=its.session.current_node,
        attention=its.session.attention,
        waiting_since=moment(its.since),
        decision=commands.view(its.decision) if its.decision else None,
    )
