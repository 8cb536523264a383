"""What the tenant API shows of what runtimes report."""

from typing import Any

from msgspec import Struct

from controlplane.domain.agents import Agent
from controlplane.domain.checkpoints import Checkpoint
from controlplane.domain.content import reading as content
from controlplane.domain.content.reading import Standing
from controlplane.domain.fleet import Backlog, Compared, Ledger, Loss, Member
from controlplane.domain.outcomes import Failure, Outcome, Status, WaitingFor
from controlplane.domain.runs import Run
from controlplane.domain.runtimes import State
from controlplane.domain.sessions import Session, Totals, Visit, Whole, detail
from controlplane.http.instants import Moment, moment
from controlplane.kit.ids import text_id


class SourceView(Struct, frozen=True, kw_only=True):
    """What the source itself calls it."""

    system: str
    id: str
    status: str


class FirstSourceView(SourceView, frozen=True, kw_only=True):
    started_at: str
    """The source's own text, zone or none."""


class TokensView(Struct, frozen=True, kw_only=True):
    input: int
    output: int


class CostView(Struct, frozen=True, kw_only=True):
    micro_usd: int | None
    """Millionths of a US dollar, the sum of the source's cost lines; null where it wrote none."""
    estimated: bool


class OutcomeView(Struct, frozen=True, kw_only=True):
    """What a session and a run have in common."""

    id: str
    tenant: str
    project: str
    runtime: str
    agent: str
    source: SourceView
    status: Status
    waiting_for: WaitingFor | None
    quality: str
    attention: list[str]
    started_at: Moment
    updated_at: Moment | None
    ended_at: Moment | None
    duration_ms: int | None
    path: list[str]
    steps: int
    retries: int
    tokens: TokensView
    error: Failure | None


class SessionView(OutcomeView, frozen=True, kw_only=True):
    current_node: str | None
    logged_tokens: TokensView
    """What a session without a summary logged node by node; not part of ``tokens``."""
    cost: CostView
    models: list[str]
    run_count: int
    checkpoint_count: int
    latest_checkpoint: str | None
    labels: dict[str, str]


class WholeSessionView(SessionView, frozen=True, kw_only=True):
    source: FirstSourceView
    goal: str | None
    entry_point: str | None
    claimed_by: str | None
    claimed_at: Moment | None
    visits: dict[str, int]
    """How often each node was visited."""
    nodes: list[Visit]
    """In the order in which the visits ended, the newest 200."""
    nodes_omitted: int
    """Visits before those."""


class RunView(OutcomeView, frozen=True, kw_only=True):
    session: str
    trace: str | None
    execution: str | None


class CheckpointSourceView(Struct, frozen=True, kw_only=True):
    system: str
    id: str


class CheckpointContentView(Struct, frozen=True, kw_only=True):
    """What has come of the checkpoint's file."""

    policy: str
    """`sealed` or `plain`."""
    state: content.State
    """`arriving`, `complete` or `pruned`."""
    size_bytes: int
    pruned_at: Moment | None


class CheckpointView(Struct, frozen=True, kw_only=True):
    id: str
    tenant: str
    project: str
    runtime: str
    session: str
    agent: str
    source: CheckpointSourceView
    kind: str
    """The source's own word: ``node_start``, ``node_complete``, …"""
    node: str | None
    next_node: str | None
    clean: bool
    created_at: Moment
    content: CheckpointContentView | None
    """`null`: nothing but this was ever sent."""
    restorable: bool
    """Every part of its content is here."""


class AgentView(Struct, frozen=True, kw_only=True):
    id: str
    tenant: str
    project: str
    runtime: str
    name: str
    first_seen_at: Moment


class LossView(Struct, frozen=True, kw_only=True):
    """Records that are known to be missing here."""

    kind: str
    """``lost``: vanished with an agent's disk; ``gap``: could not be kept there; ``quarantined``: refused here."""
    epoch: int
    first_seq: int
    last_seq: int
    records: int
    reason: str
    detail: str
    noticed_at: Moment
    first_at: Moment | None
    last_at: Moment | None
    """Between when and when they were written, as far as it is known."""


class ComparedView(Struct, frozen=True, kw_only=True):
    """What the last comparison of both sides found. Nothing of either: they were identical."""

    at: Moment
    wanted: int
    """Missing or older here; the runtime says them anew."""
    newer: int
    """Newer here than there."""


class LedgerView(Struct, frozen=True, kw_only=True):
    """What the runtime says it has against what is held here; null where it has said nothing yet."""

    acknowledged: int
    epoch: int
    reported: int | None
    reported_epoch: int | None
    backlog: Backlog | None
    lost: list[LossView]
    """The newest 20."""
    lost_records: int
    """All that are known to be missing."""
    last_heard_at: Moment | None
    skew_ms: int | None
    """Its clock minus ours."""
    durable: int | None
    """How far a finished backup covers the epoch; null: none does."""
    durable_at: Moment | None
    compared: ComparedView | None


class RuntimeView(Struct, frozen=True, kw_only=True):
    id: str
    tenant: str
    project: str
    name: str
    state: State
    state_reason: str
    state_since: Moment
    ledger: LedgerView
    facts: dict[str, Any]
    labels: dict[str, Any]
    joined_at: Moment
    key_since: Moment | None
    """Null: it has the key that it joined with."""
    key_wanted_at: Moment | None
    """Since when it is asked to replace its key; null: it is not."""
    leave_wanted_at: Moment | None
    """Since when it is asked to send what is left, and leave; null: it is not."""
    compare_wanted_at: Moment | None
    """Since when it is asked to compare what it has said with what is held here; null: it is not."""
    locked_at: Moment | None
    revoked_at: Moment | None
    left_at: Moment | None


def session(row: Session, totals: Totals) -> SessionView:
    return SessionView(**_session(row, totals))


def whole_session(row: Whole, totals: Totals) -> WholeSessionView:
    more = detail(row)
    source = FirstSourceView(system=row.system, id=row.source_id, status=row.source_status, started_at=more.started_raw)
    return WholeSessionView(
        **{**_session(row, totals), "source": source},
        goal=more.goal,
        entry_point=more.entry_point,
        claimed_by=more.claimed_by,
        claimed_at=moment(more.claimed_at),
        visits=more.visits,
        nodes=more.nodes,
        nodes_omitted=more.nodes_omitted,
    )


def run(row: Run) -> RunView:
    return RunView(
        **_outcome(row),
        id=text_id("run", row.id),
        updated_at=moment(row.changed_at),
        session=text_id("ses", row.session_id),
        trace=row.trace or None,
        execution=row.execution or None,
    )


def checkpoint(row: Checkpoint, standing: Standing | None) -> CheckpointView:
    return CheckpointView(
        id=text_id("cp", row.id),
        tenant=row.tenant,
        project=row.project,
        runtime=text_id("rt", row.runtime_id),
        session=text_id("ses", row.session_id),
        agent=row.agent,
        source=CheckpointSourceView(system=row.system, id=row.source_id),
        kind=row.type,
        node=row.node,
        next_node=row.next_node,
        clean=row.clean,
        created_at=moment(row.created_at),
        content=_content(standing) if standing else None,
        restorable=standing is not None and standing.state == "complete",
    )


def _content(standing: Standing) -> CheckpointContentView:
    return CheckpointContentView(
        policy=standing.policy,
        state=standing.state,
        size_bytes=standing.size,
        pruned_at=moment(standing.pruned_at),
    )


def agent(row: Agent) -> AgentView:
    return AgentView(
        id=text_id("agt", row.id),
        tenant=row.tenant,
        project=row.project,
        runtime=text_id("rt", row.runtime_id),
        name=row.name,
        first_seen_at=moment(row.first_seen_at),
    )


def runtime(row: Member, ledger: Ledger) -> RuntimeView:
    return RuntimeView(
        id=text_id("rt", row.id),
        tenant=row.tenant,
        project=row.project,
        name=row.name,
        state=row.state,
        state_reason=row.state_reason,
        state_since=moment(row.state_since),
        ledger=LedgerView(
            acknowledged=ledger.acknowledged,
            epoch=ledger.epoch,
            reported=ledger.reported,
            reported_epoch=ledger.reported_epoch,
            backlog=ledger.backlog,
            lost=[_loss(loss) for loss in ledger.lost],
            lost_records=ledger.lost_records,
            last_heard_at=moment(ledger.last_heard_at),
            skew_ms=ledger.skew_ms,
            durable=ledger.durable,
            durable_at=moment(ledger.durable_at),
            compared=_compared(ledger.compared),
        ),
        facts=row.facts,
        labels=row.labels,
        joined_at=moment(row.joined_at),
        key_since=moment(row.key_since),
        key_wanted_at=moment(row.key_wanted_at),
        leave_wanted_at=moment(row.leave_wanted_at),
        compare_wanted_at=moment(row.compare_wanted_at),
        locked_at=moment(row.locked_at),
        revoked_at=moment(row.revoked_at),
        left_at=moment(row.left_at),
    )


def _compared(found: Compared | None) -> ComparedView | None:
    return ComparedView(at=moment(found.at), wanted=found.wanted, newer=found.newer) if found else None


def _outcome(row: Outcome) -> dict[str, Any]:
    return {
        "tenant": row.tenant,
        "project": row.project,
        "runtime": text_id("rt", row.runtime_id),
        "agent": row.agent,
        "source": SourceView(system=row.system, id=row.source_id, status=row.source_status),
        "status": row.status,
        "waiting_for": row.waiting_for,
        "quality": row.quality,
        "attention": row.attention,
        "started_at": moment(row.started_at),
        "ended_at": moment(row.ended_at),
        "duration_ms": row.duration_ms,
        "path": row.path,
        "steps": row.steps,
        "retries": row.retries,
        "tokens": TokensView(input=row.input_tokens, output=row.output_tokens),
        "error": row.error,
    }


def _session(row: Session, totals: Totals) -> dict[str, Any]:
    return {
        **_outcome(row),
        "id": text_id("ses", row.id),
        "updated_at": moment(row.updated_at),
        "current_node": row.current_node,
        "logged_tokens": TokensView(input=row.logged_input_tokens, output=row.logged_output_tokens),
        "cost": CostView(micro_usd=totals.micro_usd, estimated=totals.micro_usd is None),
        "models": totals.models,
        "run_count": totals.run_count,
        "checkpoint_count": totals.checkpoint_count,
        "latest_checkpoint": totals.latest_checkpoint and text_id("cp", totals.latest_checkpoint),
        "labels": {},
    }


def _loss(loss: Loss) -> LossView:
    return LossView(
        kind=loss.kind,
        epoch=loss.epoch,
        first_seq=loss.first_seq,
        last_seq=loss.last_seq,
        records=loss.records,
        reason=loss.reason,
        detail=loss.detail,
        noticed_at=moment(loss.noticed_at),
        first_at=moment(loss.first_at),
        last_at=moment(loss.last_at),
    )
