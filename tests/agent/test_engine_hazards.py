"""What homes really look like: half written, overwritten, pruned, odd, hostile."""

import os
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from runtime_agent.sources import STALE_AFTER, Reading, Seen
from runtime_agent.sources.engine import files
from runtime_agent.wire.records import AnyRecord, CheckpointSeen, SessionState
from tests.agent.homes import (
    KEY,
    NAME,
    NOW,
    SessionFolder,
    checkpoint,
    engine,
    naive,
    of_kind,
    only,
    read,
    state,
    summary,
)

BEGAN = NOW - timedelta(hours=1)
SOON = BEGAN + timedelta(minutes=2)


@pytest.fixture
def folder(tmp_path: Path) -> SessionFolder:
    return SessionFolder(tmp_path)


def aged(path: Path, at: datetime) -> None:
    os.utime(path, (at.timestamp(), at.timestamp()))


@pytest.mark.parametrize("half", [b"", b"{", b'{"status": "comp', b"null", b"[]", b"\0\0\0\0"])
@pytest.mark.parametrize("name", ["state.json", "logs/summary.json"])
def test_of_a_half_written_document_no_state_is_told_and_facts_are(
    folder: SessionFolder, tmp_path: Path, name: str, half: bytes
) -> None:
    folder.state()
    folder.summary()
    folder.index([checkpoint("node_start", "intake", BEGAN)])
    aged(folder.write(name, half), NOW)

    reading = read(tmp_path)

    assert reading.again
    assert not reading.open
    assert reading.due_at is not None
    assert [draft.kind for draft in reading.records] == ["checkpoint"]


@pytest.mark.parametrize("ahead", [timedelta(0), timedelta(days=300)])
def test_a_document_that_stays_half_written_counts_as_absent_when_its_writer_must_be_dead(
    folder: SessionFolder, tmp_path: Path, ahead: timedelta
) -> None:
    half = folder.state(b"")
    folder.index([checkpoint("node_start", "intake", BEGAN)])
    aged(half, NOW + ahead)
    source = engine(tmp_path)

    first = source.read(KEY, now=NOW, seen=None)
    early = source.read(KEY, now=NOW + STALE_AFTER, seen=first.seen)
    late = source.read(KEY, now=NOW + STALE_AFTER + timedelta(seconds=1), seen=early.seen)

    assert [first.again, early.again, late.again] == [True, True, False]
    assert only(late, SessionState).status == "lost"
    assert [trouble.code for trouble in late.troubles] == ["file-broken"]


def test_an_old_half_written_document_needs_no_watching(folder: SessionFolder, tmp_path: Path) -> None:
    aged(folder.state(b'{"status"'), NOW - timedelta(hours=2))
    folder.summary()

    reading = read(tmp_path)

    assert not reading.again
    assert only(reading, SessionState).status == "succeeded"


def test_a_broken_index_costs_no_checkpoint_that_has_a_file(folder: SessionFolder, tmp_path: Path) -> None:
    folder.state()
    folder.write("checkpoints/index.json", b"")
    folder.checkpoint(checkpoint("node_start", "intake", BEGAN))

    reading = read(tmp_path)

    assert reading.again
    assert {draft.kind for draft in reading.records} == {"session", "checkpoint"}


def test_the_partial_state_takes_its_start_from_the_folder_and_its_end_from_the_summary(
    folder: SessionFolder, tmp_path: Path
) -> None:
    partial = {
        "progress": {"path": ["intake"], "current_node": "intake"},
        "timestamps": {"updated_at": naive(SOON)},
        "memory": {},
        "memory_keys": [],
    }
    folder.state(partial)
    folder.summary(summary("failure", node_path=["intake", "report"]))

    session = only(read(tmp_path), SessionState)

    assert (session.status, session.source_status) == ("failed", "")
    assert (session.started_at, session.started_raw) == (BEGAN, "20261120_110000")
    assert session.path == ["intake", "report"]
    assert session.ended_at == BEGAN + timedelta(minutes=1)


def test_a_folder_with_checkpoints_alone_is_a_session_that_began(folder: SessionFolder, tmp_path: Path) -> None:
    folder.checkpoint(checkpoint("node_start", "intake", BEGAN))

    session = only(read(tmp_path, now=BEGAN + timedelta(minutes=1)), SessionState)

    assert (session.status, session.current_node) == ("running", "intake")


def test_of_an_empty_folder_nothing_is_said(folder: SessionFolder, tmp_path: Path) -> None:
    (folder.path / "conversations").mkdir()

    reading = read(tmp_path)

    assert (reading.records, reading.again, reading.troubles) == ([], False, [])


def test_two_checkpoints_with_one_id_are_two(folder: SessionFolder, tmp_path: Path) -> None:
    first = checkpoint("node_start", "poll", BEGAN + timedelta(milliseconds=100))
    second = checkpoint("node_start", "poll", BEGAN + timedelta(milliseconds=700))
    folder.state()
    folder.checkpoint(second)
    folder.index([second, first])

    found = of_kind(read(tmp_path), CheckpointSeen)

    assert [one.created_raw for one in found] == [first["created_at"], second["created_at"]]
    assert len({one.checkpoint for one in found}) == 1


def test_rows_without_files_and_files_without_rows_are_all_seen_once(folder: SessionFolder, tmp_path: Path) -> None:
    pruned, both, unlisted = (
        checkpoint("node_start", node, BEGAN + timedelta(minutes=minute))
        for minute, node in enumerate(("intake", "match", "report"))
    )
    overwritten = {**both, "created_at": naive(BEGAN + timedelta(minutes=1, milliseconds=5))}
    folder.state()
    folder.index([both, pruned])
    folder.checkpoint(overwritten)
    folder.checkpoint(unlisted)

    found = of_kind(read(tmp_path), CheckpointSeen)

    assert [(one.node, one.created_raw) for one in found] == [
        (one["current_node"], one["created_at"]) for one in (pruned, both, overwritten, unlisted)
    ]


def test_a_pruned_checkpoint_is_no_news(folder: SessionFolder, tmp_path: Path) -> None:
    folder.state()
    path = folder.checkpoint(checkpoint("node_start", "intake", BEGAN))
    before = read(tmp_path)
    path.unlink()

    after = read(tmp_path)

    assert {draft.key for draft in before.records} - {draft.key for draft in after.records} == {
        draft.key for draft in before.records if draft.kind == "checkpoint"
    }
    assert [draft.digest() for draft in after.records] == [draft.digest() for draft in before.records if draft.state]


def test_a_checkpoint_whose_time_is_lost_takes_it_from_its_id(folder: SessionFolder, tmp_path: Path) -> None:
    folder.state()
    folder.index([{**checkpoint("pause", "intake", BEGAN), "created_at": "soon"}, {"checkpoint_id": "cp_1"}, {}])

    found = only(read(tmp_path), CheckpointSeen)

    assert (found.created_at, found.created_raw) == (BEGAN, "20261120_110000")


def test_the_last_line_that_is_not_finished_yet_is_passed_over(folder: SessionFolder, tmp_path: Path) -> None:
    line = {"node_id": "intake", "input_tokens": 5, "output_tokens": 1}
    folder.state(state("active"))
    folder.lines("details.jsonl", [line, line], tail=b'{"node_id": "intake", "input_to')

    session = only(read(tmp_path), SessionState)

    assert (session.logged_input_tokens, session.input_tokens, len(session.nodes)) == (10, 0, 2)


def test_a_line_of_megabytes_and_a_line_of_garbage_cost_themselves_alone(folder: SessionFolder, tmp_path: Path) -> None:
    line = {"node_id": "intake", "input_tokens": 5}
    folder.state(state("active"))
    folder.lines("details.jsonl", [line, {**line, "stacktrace": "x" * files.LINE_MAX}, line], tail=b"\xff\xfe\n\n{}x\n")

    assert only(read(tmp_path), SessionState).logged_input_tokens == 10


def test_a_log_without_end_is_read_from_its_end(
    folder: SessionFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "LOG_MAX", 1000)
    folder.state(state("active"))
    folder.lines("details.jsonl", [{"node_id": f"node_{number}"} for number in range(200)])

    reading = read(tmp_path)

    assert [trouble.code for trouble in reading.troubles] == ["log-too-long"]
    assert only(reading, SessionState).nodes[-1].node == "node_199"
    assert len(only(reading, SessionState).nodes) < 60


def test_a_document_that_is_too_large_is_refused_and_not_read(folder: SessionFolder, tmp_path: Path) -> None:
    path = folder.state()
    os.truncate(path, files.DOCUMENT_MAX + 1)
    folder.index([checkpoint("node_start", "intake", BEGAN)])

    reading = read(tmp_path)

    assert not reading.again
    assert [trouble.code for trouble in reading.troubles] == ["file-too-large"]
    assert [draft.kind for draft in reading.records] == ["checkpoint"]
    assert str(tmp_path) not in reading.troubles[0].line


@pytest.mark.parametrize(
    "obstacle",
    [
        lambda path, other: os.mkfifo(path),
        lambda path, other: path.symlink_to(other),
        lambda path, other: path.mkdir(),
        lambda path, other: path.symlink_to("/dev/zero"),
    ],
)
def test_a_pipe_a_link_or_a_folder_in_the_place_of_a_file_neither_blocks_nor_leads_out(
    folder: SessionFolder, tmp_path: Path, obstacle: Callable[[Path, Path], None]
) -> None:
    other = tmp_path / "other.json"
    other.write_bytes(msgspec.json.encode(state()))
    obstacle(folder.path / "state.json", other)
    folder.summary()

    reading = read(tmp_path)

    assert [trouble.code for trouble in reading.troubles] == ["file-not-regular"]
    assert reading.records == []


def test_a_link_in_the_place_of_a_folder_of_logs_is_not_followed(folder: SessionFolder, tmp_path: Path) -> None:
    elsewhere = SessionFolder(tmp_path, "other")
    elsewhere.summary()
    elsewhere.checkpoint(checkpoint("node_start", "intake", BEGAN))
    folder.state()
    (folder.path / "logs").symlink_to(elsewhere.path / "logs")
    (folder.path / "checkpoints").symlink_to(elsewhere.path / "checkpoints")

    reading = read(tmp_path)

    assert [draft.kind for draft in reading.records] == ["session"]
    assert [trouble.code for trouble in reading.troubles] == ["file-not-regular"]


ODD: list[Any] = [
    None,
    True,
    -1,
    1.5,
    10**30,
    float("nan"),
    float("inf"),
    "",
    "x" * 5000,
    "\ud800",
    "\0\u202e",
    [],
    {},
    [[]],
    [{}],
]
odd: st.SearchStrategy[Any] = st.recursive(
    st.sampled_from(ODD) | st.text(max_size=20) | st.floats() | st.integers(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)


def spoiled(document: dict[str, Any]) -> st.SearchStrategy[dict[str, Any]]:
    """*document* with some of its fields replaced by anything at all."""
    fields = {name: st.just(value) | odd for name, value in document.items()}
    return st.fixed_dictionaries(fields)


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(
    states=spoiled({**state(), "timestamps": state()["timestamps"], "claimed_by": "w", "claimed_at": naive(SOON)}),
    l1=spoiled(summary()),
    detail=spoiled(
        {"node_id": "n", "input_tokens": 1, "error": "e", "attempt": 1, "exit_status": "failure", "trace_id": "a"}
    ),
    tool=spoiled(
        {"node_id": "n", "step_index": 0, "tool_calls": [{"start_timestamp": NOW.isoformat(), "duration_s": 1}]}
    ),
    cost=spoiled({"entry_id": "e", "cost_usd": 1, "timestamp": NOW.isoformat(), "flags": ["a"], "duration_s": 1}),
    row=spoiled(checkpoint("node_start", "n", BEGAN)),
)
def test_whatever_stands_in_the_fields_reading_goes_on_and_every_record_is_fit_for_the_wire(
    tmp_path_factory: pytest.TempPathFactory, **files: dict[str, Any]
) -> None:
    home = tmp_path_factory.mktemp("home")
    folder = SessionFolder(home)
    folder.state(files["states"])
    folder.summary(files["l1"])
    folder.lines("details.jsonl", [files["detail"]])
    folder.lines("tool_logs.jsonl", [files["tool"]])
    folder.lines("cost_attribution.jsonl", [files["cost"]])
    folder.index([files["row"]])
    folder.write(f"checkpoints/cp_node_start_n_{NAME[8:23]}.json", files["row"])

    reading = read(home)

    assert not reading.again
    arrive_whole(reading)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    content=st.binary(max_size=200), name=st.sampled_from(["state.json", "logs/summary.json", "checkpoints/index.json"])
)
def test_whatever_bytes_stand_in_a_document_reading_goes_on(
    tmp_path_factory: pytest.TempPathFactory, content: bytes, name: str
) -> None:
    home = tmp_path_factory.mktemp("home")
    folder = SessionFolder(home)
    folder.state()
    folder.write(name, content)

    arrive_whole(read(home))


def test_what_python_writes_and_json_forbids_is_read(folder: SessionFolder, tmp_path: Path) -> None:
    folder.state(
        b'\xef\xbb\xbf{"status":"completed","memory":{"score":NaN,"\\ud800":"\xff"},"duration_ms":' + b"9" * 5000 + b"}"
    )

    session = only(read(tmp_path), SessionState)

    assert (session.status, session.duration_ms) == ("succeeded", None)


def test_a_document_nested_without_end_is_no_document(folder: SessionFolder, tmp_path: Path) -> None:
    path = folder.state(b'{"memory":' + b"[" * 200_000 + b"]" * 200_000 + b"}")
    aged(path, NOW)

    assert read(tmp_path).again


def arrive_whole(reading: Reading) -> None:
    """Every record passes the checks of the other side."""
    for draft in reading.records:
        decoded = msgspec.json.decode(msgspec.json.encode(draft.record), type=AnyRecord)
        assert decoded == draft.record
    msgspec.json.decode(msgspec.json.encode(reading.troubles))
    assert isinstance(reading.seen, Seen)
