"""What must never leave does not, wherever it stands in the files."""

import time
import unicodedata
from collections.abc import Iterator
from datetime import UTC, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from controlplane.demo.home import Shape, write_home
from runtime_agent import redact
from tests.agent.homes import AGENT, NOW, SessionFolder, checkpoint, engine, read, state, summary

CANARY = "canary-4711"
BEGAN = NOW - timedelta(hours=1)


@pytest.mark.parametrize(
    ("told", "line"),
    [
        ("KeyError: 'vat_rate'", "KeyError: 'vat_rate'"),
        ("open('/Users/Jane Doe/My Files/a.pdf') failed", "open([path]) failed"),
        ("cannot open /Users/Jane Doe/My Files/a.pdf now", "cannot open [path] now"),
        ("path:/etc/passwd, and/or 24/7", "path:[path]"),
        ("see ~/.engine/secrets/key", "see [path]"),
        (r"C:\Users\jane\a.txt is gone", "[path] is gone"),
        (r"\\files\legal\a.txt is gone", "[path] is gone"),
        ("file:///srv/a is gone", "[path] is gone"),
        ("https://ada:pw@api.example.com:8443/v1/x?key=1 answered 500", "https://api.example.com:8443 answered 500"),
        ("postgresql://app:hunter2@db/prod refused", "postgresql://db refused"),
        ("Authorization: Bearer abc.def-ghi refused", "[secret] refused"),
        ("Bearer abcdefgh refused", "[secret] refused"),
        ("key sk-ant-api03-AbCdEf refused", "key [secret] refused"),
        ("key ec_sk_0123456789 refused", "key [secret] refused"),
        ("jwt eyJhbGciOiJFZERTQSJ9.e30.x refused", "[secret] refused"),
        ("password=hunter2 refused", "[secret] refused"),
        ("'api_key': 'abc' refused", "'[secret]' refused"),
        ("trace 0123456789abcdef0123456789abcdef ended", "trace [secret] ended"),
        ("blob QWxhZGRpbjpvcGVuIHNlc2FtZQ12 ended", "blob [secret] ended"),
        ("prompt is too long: 214332 tokens > 200000 maximum", "prompt is too long: 214332 tokens > 200000 maximum"),
        ("max_tokens: 4096", "max_tokens: 4096"),
        ("first\nTraceback (most recent call last)", "first"),
        ("\n  first\r\nsecond", "first"),
        ("tab\tand\x1b[31mred\u202etxt", "tab and [31mredtxt"),
    ],
)
def test_of_a_message_its_first_line_stays_without_paths_and_keys(told: str, line: str) -> None:
    assert redact.line(told) == line


@pytest.mark.parametrize(
    ("told", "name"),
    [
        ("litellm.RateLimitError: AnthropicException - too many", "litellm.RateLimitError"),
        ("Node 'Draft' failed after 3 attempts: GuardFailure: mismatch", "GuardFailure"),
        ("it went wrong", "stalled"),
    ],
)
def test_an_error_is_named_by_its_class(told: str, name: str) -> None:
    assert redact.error_class(told, "stalled") == name


@settings(max_examples=300, deadline=None)
@given(st.text() | st.text(alphabet="/\\'\" :=abAB09.~-_\n\x00\u202e"))
def test_any_text_becomes_one_bounded_printable_line(told: str) -> None:
    for found, limit in (
        (redact.line(told), redact.LINE_MAX),
        (redact.plain(told, redact.NAME_MAX), redact.NAME_MAX),
        (redact.name(told) or "", redact.NAME_MAX),
    ):
        assert len(found) <= limit
        assert not any(unicodedata.category(character)[0] == "C" for character in found)
        assert "\n" not in found
        found.encode()


@settings(max_examples=300, deadline=None)
@given(
    st.text(alphabet=st.characters(categories=["L", "N"], max_codepoint=0x24F), min_size=1, max_size=8),
    st.lists(st.text(alphabet="abcXYZ019._-", min_size=1, max_size=10), min_size=2, max_size=6),
    st.sampled_from(["{}", "'{}'", '"{}" was not found', "open({}) failed", "error={}", "in {}: bad", "[{}]"]),
)
def test_no_part_of_an_absolute_path_stays(word: str, parts: list[str], around: str) -> None:
    assume(not any(part.strip(".") == "" for part in parts))
    parts = [f"q{part}z" for part in parts]

    line = redact.line(f"{word} " + around.format("/" + "/".join(parts)))

    assert not [part for part in parts[1:] if part in line]


@settings(max_examples=200, deadline=None)
@given(
    st.sampled_from(["sk-", "ec_sk_", "ghp_", "Bearer ", "AKIA", "eyJ", "password: "]),
    st.text(alphabet="abcXYZ0189", min_size=12),
)
def test_no_key_stays_after_its_mark(mark: str, key: str) -> None:
    assert key not in redact.line(f"the call with {mark}{key} was refused")


def test_a_hostile_message_costs_next_to_nothing() -> None:
    began = time.process_time()

    for hostile in ("a-", "'/", "token", "/a ", "a.", "\u202e", "a:/ ", "=secret"):
        redact.error_class(redact.line(hostile * 10**6), "Error")

    assert time.process_time() - began < 2


def encoded(home: Path) -> Iterator[bytes]:
    source = engine(home)
    for unit in source.discover():
        reading = source.read(unit.key, now=NOW, seen=None)
        yield msgspec.json.encode(reading.troubles)
        for draft in reading.records:
            yield msgspec.json.encode(draft.record)
            yield draft.key.encode()


def test_of_a_whole_home_nothing_leaves_that_is_not_on_the_list(tmp_path: Path) -> None:
    home = tmp_path / "home"
    write_home(home, Shape(sessions=80, zone=UTC, private=CANARY), now=NOW)
    for conversations in (home / "agents" / AGENT / "sessions").iterdir():
        (conversations / "conversations").mkdir()
        (conversations / "conversations" / "meta.json").write_text(f'{{"system_prompt": "{CANARY}"}}')
    assert any(CANARY in path.read_text() for path in home.rglob("state.json"))

    assert not [line for line in encoded(home) if CANARY.encode() in line]


PRIVATE: dict[str, list[str]] = {
    "state.json": [
        "memory",
        "memory_keys",
        "input_data",
        "problems",
        "decisions",
        "metrics",
        "stream_id",
        "correlation_id",
    ],
    "state.json/result": ["output", "detail"],
    "state.json/progress": ["resume_from", "nodes_with_failures", "retry_details"],
    "logs/summary.json": ["run_id", "agent_id", "goal_id", "note"],
    "logs/details.jsonl": ["stacktrace", "node_name", "attention_reasons", "span_id", "prompt"],
    "logs/tool_logs.jsonl": ["llm_text", "verdict_feedback", "stacktrace", "error", "verdict", "parent_span_id"],
    "logs/tool_logs.jsonl/tool_calls": ["tool_input", "result", "tool_use_id", "tool_name"],
    "logs/cost_attribution.jsonl": ["session_id", "parent_session_id", "prompt"],
    "checkpoints/index.json": ["description", "session_id"],
    "checkpoints/cp.json": [
        "shared_memory",
        "accumulated_outputs",
        "execution_path",
        "metrics_snapshot",
        "description",
    ],
}
"""Fields that are not on the list, by file."""

hidden: st.SearchStrategy[Any] = st.sampled_from(
    [CANARY, [CANARY], {CANARY: CANARY}, {"error": CANARY, "status": CANARY}, [{"node_id": CANARY}], f"\n{CANARY}"]
)


def hiding(file: str) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries(dict.fromkeys(PRIVATE[file], hidden))


@settings(
    max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(where=st.fixed_dictionaries({file: hiding(file) for file in PRIVATE}))
def test_whatever_a_private_field_holds_it_does_not_leave(
    tmp_path_factory: pytest.TempPathFactory, where: dict[str, dict[str, Any]]
) -> None:
    home = tmp_path_factory.mktemp("home")
    folder = SessionFolder(home)
    whole = state("failed", **where["state.json"])
    whole["result"] = {**whole["result"], **where["state.json/result"], "error": f"ToolError: no\n{CANARY}"}
    whole["progress"] |= where["state.json/progress"]
    folder.state(whole)
    folder.summary(summary("failure", **where["logs/summary.json"]))
    call = {"start_timestamp": BEGAN.isoformat(), "duration_s": 1, **where["logs/tool_logs.jsonl/tool_calls"]}
    folder.lines("details.jsonl", [{"node_id": "n", "error": f"no\n{CANARY}", **where["logs/details.jsonl"]}])
    folder.lines("tool_logs.jsonl", [{"node_id": "n", "tool_calls": [call], **where["logs/tool_logs.jsonl"]}])
    folder.lines("cost_attribution.jsonl", [{"entry_id": "e", **where["logs/cost_attribution.jsonl"]}])
    folder.index([{**checkpoint("node_start", "n", BEGAN), **where["checkpoints/index.json"]}])
    folder.checkpoint({**checkpoint("pause", "n", BEGAN), **where["checkpoints/cp.json"]})
    folder.write("conversations/cursor.json", {"outputs": CANARY})
    folder.write("data/adapt.md", CANARY.encode())

    reading = read(home)

    assert {draft.kind for draft in reading.records} == {"session", "run", "checkpoint", "cost"}
    assert not [line for line in encoded(home) if CANARY.encode() in line]


def test_troubles_name_sessions_and_no_paths(tmp_path: Path) -> None:
    folder = SessionFolder(tmp_path)
    (folder.path / "state.json").symlink_to("/etc/passwd")

    assert [line for line in encoded(tmp_path) if b"file-not-regular" in line]
    assert not [line for line in encoded(tmp_path) if str(tmp_path).encode() in line]
