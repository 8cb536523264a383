"""From a session's files to the states that leave: one session, and one run where a summary was written."""

from datetime import datetime, timedelta
from typing import Any

import msgspec
from msgspec import Struct

from runtime_agent import redact
from runtime_agent.sources.engine import status
from runtime_agent.sources.engine.shapes import Progress, Result, StateFile, SummaryFile, Timestamps
from runtime_agent.sources.engine.status import Facts, Standing
from runtime_agent.sources.engine.times import Times, compact, raw
from runtime_agent.sources.engine.values import count, hexadecimal, word
from runtime_agent.sources.engine.visits import Work
from runtime_agent.sources.source import NO_ID, NO_TIME, STALE_AFTER, Draft, Spent
from runtime_agent.wire.records import (
    MAX_PATH,
    MAX_REASONS,
    MAX_RECORD_BYTES,
    CheckpointSeen,
    CostLine,
    Error,
    RunState,
    SessionState,
)
from runtime_agent.wire.types import Count, Name, Quality

MAX_VISITED = 200
"""Nodes with a count of visits; the most visited ones."""

SAME_START = timedelta(minutes=10)
"""A run's own start and the session's, at most this far apart, tell of the same instant."""

MARGIN_BYTES = 1024
"""For id, time and whatever else a line gains before it is written."""

_encode = msgspec.json.Encoder().encode


class Moments(Struct, frozen=True, kw_only=True):
    """Every instant that a session's documents tell; None: not told, or no instant."""

    started_at: datetime | None
    started_raw: str
    updated_at: datetime | None
    completed_at: datetime | None
    paused_at: datetime | None
    claimed_at: datetime | None
    run_started_at: datetime | None
    run_ended_at: datetime | None


class Session(Struct, frozen=True, kw_only=True):
    """A session's files, understood as far as the time of day allows."""

    agent: str
    name: str
    state: StateFile
    summary: SummaryFile | None
    work: Work
    moments: Moments
    facts: Facts
    standing: Standing
    checkpoints: list[Draft]
    last_checkpoint_at: datetime | None
    times: Times


def moments(name: str, state: StateFile, summary: SummaryFile | None, times: Times) -> Moments:
    """The instants of a session; its folder's name stands in for a start that state.json does not tell."""
    told = state.timestamps or Timestamps()
    run_started_at = times.utc(summary.started_at) if summary else None
    started_raw = raw(told.started_at)
    started_at = _start(started_raw, run_started_at, times)
    if started_at is None:
        started_raw = compact(name)
        started_at = times.named(started_raw)
    if started_at is None:
        started_raw, started_at = raw(summary.started_at) if summary else "", run_started_at
    return Moments(
        started_at=started_at,
        started_raw=started_raw,
        updated_at=times.local(told.updated_at, not_before=started_at),
        completed_at=times.local(told.completed_at, not_before=started_at),
        paused_at=times.local(told.paused_at_time, not_before=started_at),
        claimed_at=times.local(state.claimed_at, not_before=started_at),
        run_started_at=run_started_at,
        run_ended_at=_after(run_started_at, count(summary.duration_ms) if summary else 0, times),
    )


def _start(text: str, run_started_at: datetime | None, times: Times) -> datetime | None:
    """In the hour that the clock shows twice, L1's aware start tells which of the two was meant."""
    if run_started_at is not None:
        meant = times.local(text, not_before=run_started_at - SAME_START)
        if meant is not None and abs(meant - run_started_at) <= SAME_START:
            return meant
    return times.local(text)


def _after(start: datetime | None, duration_ms: int, times: Times) -> datetime | None:
    if start is None or duration_ms > (times.latest - start) / timedelta(milliseconds=1):
        return start
    return start + timedelta(milliseconds=duration_ms)


def touched_at(found: Moments, work: Work, seen_at: datetime | None) -> datetime | None:
    """The newest sign of life: of ``updated_at``, L3's last entry, and what the agent itself saw; else the start."""
    signs = [at for at in (found.updated_at, work.last_at, seen_at) if at is not None]
    return max(signs, default=found.started_at)


def facts(
    state: StateFile, summary: SummaryFile | None, found: Moments, touched: datetime | None, now: datetime
) -> Facts:
    """What the status depends on."""
    error = (state.result or Result()).error
    return Facts(
        word=word(state.status),
        error=error if isinstance(error, str) else "",
        paused_at=found.paused_at,
        outcome=word(summary.status) if summary else "",
        summary_started_at=found.run_started_at,
        touched_at=touched,
        now=now,
    )


def session_draft(it: Session) -> Draft:
    """The session's state. ``changed_at`` is the source's own time, so that a second outbox says the same."""
    state, found, summary = it.state, it.moments, it.summary
    progress = state.progress or Progress()
    started_at = found.started_at
    assert started_at is not None
    ended_at = _ended_at(it)
    record = SessionState(
        record_id=NO_ID,
        occurred_at=NO_TIME,
        agent=it.agent,
        session=it.name,
        changed_at=_changed_at(it, started_at),
        source_status=it.facts.word,
        status=it.standing.status,
        waiting_for=it.standing.waiting_for,
        quality=_quality(it, progress),
        attention=_attention(summary),
        started_at=started_at,
        started_raw=found.started_raw,
        updated_at=found.updated_at,
        ended_at=ended_at,
        duration_ms=_duration_ms(it, started_at, ended_at),
        current_node=_current_node(it, progress),
        path=_path(progress, None if _back(it) else summary),
        visits=_visits(progress.node_visit_counts),
        steps=_steps(progress, summary),
        retries=count(progress.total_retries),
        input_tokens=count(summary.total_input_tokens) if summary else 0,
        output_tokens=count(summary.total_output_tokens) if summary else 0,
        logged_input_tokens=0 if summary else it.work.all.input_tokens,
        logged_output_tokens=0 if summary else it.work.all.output_tokens,
        error=_session_error(it),
        nodes=it.work.nodes,
        nodes_omitted=it.work.omitted,
        goal=redact.name(state.goal_id),
        entry_point=redact.name(state.entry_point),
        claimed_by=redact.name(state.claimed_by),
        claimed_at=found.claimed_at,
    )
    return Draft("session", f"{it.agent}/{it.name}", True, _fitting(record))


def run_draft(it: Session) -> Draft | None:
    """The run that wrote L1; None without an L1 that tells when it started."""
    summary, found = it.summary, it.moments
    if summary is None:
        return None
    key = raw(summary.started_at) or hexadecimal(summary.execution_id)
    started_at = found.run_started_at or found.started_at
    if not key or started_at is None:
        return None
    ended = status.run_standing(it.facts)
    run = it.work.run
    record = RunState(
        record_id=NO_ID,
        occurred_at=NO_TIME,
        agent=it.agent,
        session=it.name,
        run=key,
        changed_at=max(at for at in (started_at, found.run_ended_at, found.paused_at, found.completed_at) if at),
        source_status=it.facts.outcome,
        status=ended.status,
        waiting_for=ended.waiting_for,
        quality=status.quality(word(summary.execution_quality), it.facts.outcome),
        attention=_attention(summary),
        started_at=started_at,
        ended_at=None if ended.status == "waiting" else found.run_ended_at,
        duration_ms=count(summary.duration_ms),
        path=redact.names(summary.node_path, MAX_PATH),
        steps=count(summary.total_nodes_executed),
        retries=run.repeated,
        input_tokens=run.input_tokens if run.visits else count(summary.total_input_tokens),
        output_tokens=run.output_tokens if run.visits else count(summary.total_output_tokens),
        error=(run.error or _told_error(it)) if ended.status == "failed" else None,
        trace=hexadecimal(summary.trace_id),
        execution=hexadecimal(summary.execution_id),
    )
    return Draft("run", f"{it.agent}/{it.name}/{key}", True, _fitting(record))


def spent(it: Session, costs: list[Draft]) -> Spent:
    """L2 counts while a run is under way and over all runs of the session; L1 only once one has ended, and only that."""
    summary, logged = it.summary, it.work.all
    told = count(summary.total_input_tokens) + count(summary.total_output_tokens) if summary else 0
    prices = [draft.record.micro_usd for draft in costs if isinstance(draft.record, CostLine)]
    started_at = it.moments.started_at
    assert started_at is not None
    return Spent(
        tokens=max(told, logged.input_tokens + logged.output_tokens),
        micro_usd=sum(prices) if prices else None,
        at=_changed_at(it, started_at),
    )


def _changed_at(it: Session, started_at: datetime) -> datetime:
    """Never from what the agent saw: another outbox would not have seen it, and could not take it back."""
    found = it.moments
    told = (
        found.updated_at,
        found.completed_at,
        found.paused_at,
        found.run_ended_at,
        it.work.last_at,
        it.last_checkpoint_at,
    )
    changed_at = max((at for at in told if at is not None), default=started_at)
    if it.standing.status == "lost" and it.facts.touched_at is not None:
        return max(changed_at, min(it.facts.touched_at + STALE_AFTER, it.facts.now))
    return changed_at


def _back(it: Session) -> bool:
    """It was rolled back after what L1 tells, and stands at an earlier place than that."""
    return it.facts.error.startswith(status.ROLLED_BACK) and not status.resumed(it.facts)


def _told_by_summary(it: Session) -> bool:
    """The session's end is L1's: state.json stayed at an earlier word, or has none."""
    return it.facts.word not in {"completed", "failed", "cancelled"}


def _ended_at(it: Session) -> datetime | None:
    if it.standing.status not in {"succeeded", "failed", "cancelled"}:
        return None
    if _told_by_summary(it):
        return it.moments.run_ended_at or it.moments.updated_at
    return it.moments.completed_at or it.moments.updated_at


def _duration_ms(it: Session, started_at: datetime, ended_at: datetime | None) -> int | None:
    if it.standing.status in {"running", "lost"}:
        return None
    if not (ended_at is not None and _told_by_summary(it)):
        told = count(it.state.duration_ms, -1)
        if told >= 0:
            return told
    if ended_at is None:
        return None
    return max(0, (ended_at - started_at) // timedelta(milliseconds=1))


def _session_error(it: Session) -> Error | None:
    if it.standing.status not in {"failed", "cancelled"}:
        return None
    if it.facts.word == "paused":
        return it.work.run.error or it.work.all.error
    return _told_error(it) or it.work.all.error


def _told_error(it: Session) -> Error | None:
    """As state.json tells it; its class may stand in L2 alone, where the node says how it ended."""
    message = redact.line(it.facts.error)
    if not message:
        return None
    logged = it.work.run.error or it.work.all.error
    return Error(name=redact.error_class(message, logged.name if logged else "Error"), line=message)


def _attention(summary: SummaryFile | None) -> list[str]:
    reasons: Any = summary.attention_reasons if summary else None
    if not isinstance(reasons, list):
        return []
    return [text for reason in reasons[-MAX_REASONS:] if (text := redact.line(reason))]


def _current_node(it: Session, progress: Progress) -> Name | None:
    """Of what has not ended, the node whose start is the last checkpoint: state.json is written when a node ends."""
    last = it.checkpoints[-1].record if it.checkpoints and it.standing.status in {"running", "lost"} else None
    if isinstance(last, CheckpointSeen) and last.type == "node_start" and last.node:
        return last.node
    return redact.name(progress.current_node) or redact.name(progress.paused_at)


def _quality(it: Session, progress: Progress) -> Quality:
    """L1's where L1 tells the end: state.json may still hold that of the run before."""
    told = word(progress.execution_quality)
    if it.summary is not None and (_told_by_summary(it) or not told):
        told = word(it.summary.execution_quality) or told
    return status.quality(told, it.facts.outcome)


def _path(progress: Progress, summary: SummaryFile | None) -> list[Name]:
    """The partial state.json lacks the last node, which L1 has."""
    path = redact.names(progress.path, MAX_PATH)
    walked = redact.names(summary.node_path, MAX_PATH) if summary else []
    return walked if len(walked) > len(path) and walked[: len(path)] == path else path


def _steps(progress: Progress, summary: SummaryFile | None) -> int:
    told = count(progress.steps_executed, -1)
    if told >= 0:
        return told
    return count(summary.total_nodes_executed) if summary else 0


def _visits(value: Any) -> dict[Name, Count]:
    if not isinstance(value, dict):
        return {}
    counted = [(node, count(visits)) for name, visits in value.items() if (node := redact.name(name))]
    if len(counted) > MAX_VISITED:
        counted = sorted(counted, key=lambda one: -one[1])[:MAX_VISITED]
    return dict(counted)


def _fitting(record: SessionState | RunState) -> SessionState | RunState:
    """*record*, cut where it would not fit a line: visits, path and counts lose their oldest or rarest half."""
    while len(_encode(record)) > MAX_RECORD_BYTES - MARGIN_BYTES:
        if isinstance(record, SessionState):
            kept = record.nodes[len(record.nodes) // 2 + 1 :]
            record = msgspec.structs.replace(
                record,
                nodes=kept,
                nodes_omitted=record.nodes_omitted + len(record.nodes) - len(kept),
                visits=dict(list(record.visits.items())[: len(record.visits) // 2]),
            )
        record = msgspec.structs.replace(
            record,
            path=record.path[len(record.path) // 2 + 1 :],
            attention=record.attention[len(record.attention) // 2 :],
        )
    return record
