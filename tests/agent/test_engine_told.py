"""What a session's folder tells of it: how it stands, what it cost, when it was touched."""

import os
from datetime import timedelta
from pathlib import Path

import pytest

from runtime_agent.sources import STALE_AFTER, open_source, zone_of
from runtime_agent.wire.records import CostLine, RunState, SessionState
from tests.agent.homes import KEY, NOW, SessionFolder, engine, naive, of_kind, only, read, state, summary

BEGAN = NOW - timedelta(hours=1)
SOON = BEGAN + timedelta(minutes=2)


@pytest.fixture
def folder(tmp_path: Path) -> SessionFolder:
    return SessionFolder(tmp_path)


def test_a_paused_session_that_was_resumed_ends_as_its_later_run_and_has_that_run(
    folder: SessionFolder, tmp_path: Path
) -> None:
    paused = state("paused", timestamps={"started_at": naive(BEGAN), "paused_at_time": naive(SOON)})
    folder.state(paused)
    folder.summary(summary(duration_ms=100))
    first = read(tmp_path)

    again = SOON + timedelta(minutes=5)
    later = summary("failure", started_at=again.isoformat(), total_input_tokens=150, trace_id="cc" * 16)
    folder.summary({**later, "execution_quality": "failed"})
    folder.lines(
        "details.jsonl",
        [
            {"node_id": "intake", "input_tokens": 100, "trace_id": "aa" * 16},
            {
                "node_id": "intake",
                "input_tokens": 50,
                "trace_id": "cc" * 16,
                "error": "Node stalled",
                "exit_status": "stalled",
            },
        ],
    )
    second = read(tmp_path)

    assert only(first, SessionState).waiting_for == "human_approval"
    assert only(first, RunState).status == "waiting"
    session, run = only(second, SessionState), only(second, RunState)
    assert (session.status, session.source_status, session.quality) == ("failed", "paused", "failed")
    assert (session.input_tokens, run.input_tokens) == (150, 50)
    assert (run.run, run.started_at) == (again.isoformat(), again)
    assert session.error is not None
    assert session.error.name == "stalled"
    assert session.changed_at >= again


def test_a_session_in_the_hour_that_comes_twice_is_put_where_its_run_was(tmp_path: Path) -> None:
    from_berlin = SessionFolder(tmp_path, name="session_20261025_023000_0a1b2c3d")
    told = {
        "started_at": "2026-10-25T02:30:00",
        "updated_at": "2026-10-25T02:31:00",
        "paused_at_time": "2026-10-25T02:31:00",
    }
    from_berlin.state(state("paused", timestamps=told))
    from_berlin.summary(summary(started_at="2026-10-25T01:30:01+00:00"))

    reading = open_source("engine", tmp_path, zone_of("Europe/Berlin")).read(from_berlin.key, now=NOW, seen=None)

    session = only(reading, SessionState)
    assert session.started_at.isoformat() == "2026-10-25T01:30:00+00:00"
    assert session.status == "waiting"
    assert session.started_raw == "2026-10-25T02:30:00"


def test_claims_and_pending_approvals_of_newer_versions_are_told(folder: SessionFolder, tmp_path: Path) -> None:
    folder.state(state("pending_human_approval", claimed_by="worker-7", claimed_at=naive(SOON)))

    session = only(read(tmp_path), SessionState)

    assert (session.status, session.waiting_for) == ("waiting", "human_approval")
    assert (session.claimed_by, session.claimed_at) == ("worker-7", SOON)


def test_cost_lines_are_told_with_money_in_millionths(folder: SessionFolder, tmp_path: Path) -> None:
    folder.state()
    line = {
        "entry_id": "e1",
        "model": "m",
        "cost_usd": 0.0123456,
        "timestamp": naive(SOON),
        "input_tokens": 7,
        "duration_s": 1.5,
    }
    folder.lines("cost_attribution.jsonl", [line, line, {**line, "entry_id": None, "cost_usd": "free"}])

    first, second = of_kind(read(tmp_path), CostLine)

    assert (first.entry, first.micro_usd, first.spent_at, first.duration_ms) == ("e1", 12346, SOON, 1500)
    assert (second.entry[:5], second.micro_usd) == ("line-", 0)


@pytest.mark.parametrize("zone", ["UTC", "Europe/Berlin", "Asia/Tokyo"])
@pytest.mark.parametrize("told", [{}, {"started_at": naive(BEGAN + timedelta(seconds=3))}])
def test_a_cost_line_without_a_time_has_the_folders_in_every_zone_and_whatever_state_json_tells(
    folder: SessionFolder, tmp_path: Path, zone: str, told: dict[str, str]
) -> None:
    folder.state(state(timestamps=told))
    folder.lines("cost_attribution.jsonl", [{"entry_id": "e1"}])

    reading = open_source("engine", tmp_path, zone_of(zone)).read(KEY, now=NOW, seen=None)

    assert only(reading, CostLine).spent_at == BEGAN


def test_tool_calls_are_counted_for_each_visit(folder: SessionFolder, tmp_path: Path) -> None:
    folder.state(state("active"))
    step = {"node_id": "search", "trace_id": "aa", "tool_calls": [{}, {}]}
    folder.lines("details.jsonl", [{"node_id": "search", "trace_id": "aa"}] * 2)
    folder.lines("tool_logs.jsonl", [{**step, "step_index": 0}, {**step, "step_index": 1}, {**step, "step_index": 0}])

    assert [visit.tools for visit in only(read(tmp_path), SessionState).nodes] == [4, 2]


def test_a_running_session_is_looked_at_again_when_it_would_be_lost(folder: SessionFolder, tmp_path: Path) -> None:
    folder.state(state("active"))
    touched = BEGAN + timedelta(minutes=1)

    running = read(tmp_path, now=touched + STALE_AFTER)
    assert running.due_at is not None
    lost = read(tmp_path, now=running.due_at)

    assert (running.open, only(running, SessionState).status) == (True, "running")
    assert (lost.open, lost.due_at, only(lost, SessionState).status) == (False, None, "lost")
    assert only(lost, SessionState).changed_at == touched + STALE_AFTER


def test_the_last_tool_call_is_a_sign_of_life(folder: SessionFolder, tmp_path: Path) -> None:
    call = {"start_timestamp": (NOW - timedelta(minutes=12)).isoformat(), "duration_s": 180}
    folder.state(state("active"))
    folder.lines("tool_logs.jsonl", [{"node_id": "intake", "tool_calls": [call]}])

    reading = read(tmp_path)

    assert reading.touched_at == NOW - timedelta(minutes=9)
    assert only(reading, SessionState).status == "running"


def test_what_the_agent_saw_change_runs_and_a_copy_does_not(folder: SessionFolder, tmp_path: Path) -> None:
    source = engine(tmp_path)
    path = folder.state(state("active"))
    first = source.read(KEY, now=NOW, seen=None)
    os.utime(path, (NOW.timestamp(), NOW.timestamp()))
    copied = source.read(KEY, now=NOW, seen=first.seen, looked_at=NOW)
    folder.lines("details.jsonl", [{"node_id": "intake"}])
    changed = source.read(KEY, now=NOW, seen=copied.seen, looked_at=NOW - timedelta(minutes=1))
    found_later = source.read(KEY, now=NOW, seen=copied.seen, looked_at=NOW - timedelta(days=1))

    assert [only(one, SessionState).status for one in (first, copied, changed, found_later)] == [
        "lost",
        "lost",
        "running",
        "lost",
    ]
    assert changed.touched_at == NOW - timedelta(minutes=1)
