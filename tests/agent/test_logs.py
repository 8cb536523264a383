"""Logs that are looked at: what of them leaves, from where, and what a file can do to who reads it."""

import os
import time

import msgspec
import pytest

from runtime_agent.configuration.redaction import Redaction
from runtime_agent.logs.following import Follower, Line
from runtime_agent.logs.showing import LEFT_OUT, shown
from runtime_agent.logs.tails import Over, Sending
from runtime_agent.sources.engine.logs import EngineLogs, LogRefused
from runtime_agent.wire.config import RedactionPart
from runtime_agent.wire.logs import CHUNK_BYTES, LINE_BYTES, Granted, Tail

SESSION = "session_20260101_000000_00000001"


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "home/agents/invoice/sessions" / SESSION / "logs"
    folder.mkdir(parents=True)
    (tmp_path / "home/event_logs").mkdir()
    (tmp_path / "home/secrets").mkdir()
    (tmp_path / "home/secrets/credential_key").write_text("a secret")
    (tmp_path / "outside.log").write_text("outside")
    return folder


@pytest.fixture
def logs(tmp_path, folder):
    return EngineLogs(tmp_path / "home")


class Lens:
    """A follower of one file, as text."""

    def __init__(self, path, offset=0, longest=100):
        self.follower = Follower(lambda: os.open(path, os.O_RDONLY), offset, longest)

    def read(self):
        lines = []
        while line := self.follower.next():
            lines.append((line.gap, line.content.decode()))
        return [text if not gap else f"{gap}: {text}" for gap, text in lines]


def test_lines_are_read_once_they_are_complete(folder):
    lens = Lens(folder / "run.log")
    assert lens.read() == []
    assert lens.follower.absent
    with (folder / "run.log").open("ab", 0) as log:
        log.write(b"one\ntw")
        assert lens.read() == ["one"]
        log.write(b"o\r\n\nthree\n")
        assert lens.read() == ["two", "", "three"]
        log.write(b"half")
        assert lens.read() == []
    assert lens.follower.rest().content == b"half"
    lens.follower.close()


def test_one_begins_at_the_next_whole_line(folder):
    (folder / "run.log").write_text("first\nsecond\nthird\n")
    for offset, expected in ((0, 3), (6, 2), (7, 1), (-1, 0), (-6, 1), (-7, 1), (-1000, 3)):
        lens = Lens(folder / "run.log", offset)
        assert len(lens.read()) == expected, offset
        lens.follower.close()


def test_another_file_in_its_place_is_read_once_the_old_one_has_been(folder):
    path = folder / "run.log"
    path.write_text("one\n")
    lens = Lens(path)
    assert lens.read() == ["one"]
    with path.open("a") as log:
        path.rename(folder / "run.log.1")
        log.write("last of the old\n")
    assert lens.read() == ["last of the old"]
    path.write_text("new\n")
    assert lens.read() == ["rotated: new"]
    path.write_text("x\n")
    assert lens.read() == ["truncated: x"]
    lens.follower.close()


def test_a_place_beyond_the_end_is_of_a_file_that_was_shortened(folder):
    (folder / "run.log").write_text("one\n")
    lens = Lens(folder / "run.log", 4_000)
    assert lens.read() == ["truncated: one"]
    lens.follower.close()


def test_a_line_without_end_takes_no_memory(folder):
    (folder / "run.log").write_bytes(b"x" * (8 << 20) + b"\nnext\n")
    follower = Lens(folder / "run.log", longest=1_000).follower

    first, second = follower.next(), follower.next()

    assert (len(first.content), first.left_out, second.content) == (1_000, True, b"next")
    assert follower.next() is None
    assert len(follower._held) < 1 << 17
    follower.close()


@pytest.mark.parametrize(
    "path", ["../state.json", "/etc/passwd", "a/../../state.json", "link.log", "linked/x.log", "a\0b", ""]
)
def test_nothing_outside_the_folders_of_logs_is_opened(folder, logs, tmp_path, path):
    (folder.parent / "state.json").write_text("{}")
    (folder / "link.log").symlink_to(tmp_path / "outside.log")
    (folder / "linked").symlink_to(tmp_path)
    (tmp_path / "x.log").write_text("outside")

    with pytest.raises(LogRefused) as refused:
        logs.open("invoice", SESSION, "raw", path)
    assert refused.value.code == "path-outside"


def test_names_of_sessions_do_not_lead_out_either(logs):
    for agent, session in (("..", ".."), ("invoice", "../../../secrets"), ("", SESSION)):
        with pytest.raises(LogRefused):
            logs.open(agent, session, "raw", "credential_key")


def test_what_is_no_file_is_not_read(folder, logs):
    os.mkfifo(folder / "pipe")
    (folder / "folder").mkdir()
    for name in ("pipe", "folder"):
        with pytest.raises(LogRefused) as refused:
            logs.open("invoice", SESSION, "raw", name)
        assert refused.value.code == "unreadable"
    with pytest.raises(FileNotFoundError):
        logs.open("invoice", SESSION, "raw", "absent.log")


def test_logs_are_opened_by_their_names(folder, logs, tmp_path):
    for name in ("details.jsonl", "tool_logs.jsonl", "run.log"):
        (folder / name).write_text(name)
    (tmp_path / "home/event_logs/today.jsonl").write_text("events")
    wanted = {("details", ""): "details.jsonl", ("tools", ""): "tool_logs.jsonl"}
    for (log, path), text in (
        wanted | {("raw", "run.log"): "run.log", ("raw", "event_logs/today.jsonl"): "events"}
    ).items():
        descriptor = logs.open("invoice", SESSION, log, path)
        assert os.read(descriptor, 100).decode() == text
        os.close(descriptor)


def said(log, entry, **configured):
    content = entry if isinstance(entry, bytes) else msgspec.json.encode(entry)
    redaction = Redaction()
    redaction.use(RedactionPart(**configured))
    return shown(log, Line(0, len(content), content), redaction)


def test_what_configuration_keeps_in_is_shown_to_nobody_who_looks():
    words = {"words": ["quandt"], "shapes": ["KD-######"]}
    call = {"tool_name": "search", "is_error": False}
    entry = {"node_id": "ask Quandt", "error": "no KD-123456", "trace_id": "quandt1", "tool_calls": [call]}

    assert said("raw", b"bill QUANDT for KD-123456", **words) == "bill [redacted] for [redacted]"
    assert said("raw", b"bill Quandt", withhold=["goals"]) == "[11 bytes that configuration keeps in]"
    assert msgspec.json.decode(said("tools", entry, **words)) == {
        "node_id": "ask [redacted]",
        "error": "no [redacted]",
        "trace_id": "quandt1",
        "tool_calls": [call],
    }
    assert msgspec.json.decode(said("tools", entry, withhold=["nodes", "error-lines", "tools"])) == {
        "trace_id": "quandt1",
        "tool_calls": [{"is_error": False, "withheld": 1}],
        "withheld": 2,
    }


def test_of_l2_and_l3_the_listed_fields_leave_and_no_others():
    tools = said(
        "tools",
        {
            "node_id": "risk",
            "llm_text": "CANARY-1",
            "verdict_feedback": "CANARY-2",
            "stacktrace": "CANARY-3",
            "unheard_of": "CANARY-4",
            "error": "boom at /home/CANARY-5/x.py",
            "tool_calls": [
                {"tool_name": "search", "tool_input": "CANARY-6", "result": {"a": "CANARY-7"}, "is_error": True}
            ],
        },
    )

    assert "CANARY" not in tools
    assert msgspec.json.decode(tools) == {
        "node_id": "risk",
        "error": "boom at [path]",
        "tool_calls": [{"tool_name": "search", "is_error": True, "withheld": 2}],
        "withheld": 4,
    }
    assert "CANARY" not in said("details", {"node_id": "a", "stacktrace": "CANARY", "memory": {"x": "CANARY"}})
    assert said("details", b'{"half": ') == "[9 bytes that are no entry]"


def test_a_raw_line_leaves_as_text_without_secrets():
    assert said("raw", b"key=ok Bearer abcdefgh12345678\x1b[31m \xff\x00") == "key=ok [secret] [31m \ufffd "
    assert "s3cret" not in said("raw", b"password: s3cret")
    long = said("raw", b"\xff" * LINE_BYTES)
    assert long.endswith(LEFT_OUT)
    assert len(long.encode()) <= LINE_BYTES


@pytest.mark.parametrize("unit", ["a", "/a ", "token", "a:// ", "' /", "-----BEGIN ", "Aa1", "pass"])
def test_no_line_takes_long_to_redact(unit):
    line = (unit * LINE_BYTES)[:LINE_BYTES].encode()
    before = time.process_time()
    said("raw", line)
    assert time.process_time() - before < 1.0


class Other:
    """The control plane's side: takes so much and no more, and may be away."""

    def __init__(self, grants=(), lost=0):
        self.chunks, self.credits, self.lost = [], list(grants), lost

    async def bring(self, tail, chunk):
        if self.lost:
            self.lost -= 1
            return Granted(number=chunk.number - 1, credit=CHUNK_BYTES, live=True)
        self.chunks.append(chunk)
        credit = self.credits.pop(0) if self.credits else CHUNK_BYTES
        return Granted(number=chunk.number, credit=max(credit, 0), live=credit >= 0)


def tail(**given):
    facts = {"tenant": "acme", "runtime": "rt_x", "tail": "tail_x", "agent": "invoice", "session": SESSION}
    return Tail(**{**facts, "log": "raw", "path": "run.log", "not_after": "2026-01-01T00:30:00Z", **given})


async def test_a_part_is_sent_as_credit_allows_and_every_line_once(folder, logs, monkeypatch):
    monkeypatch.setattr("runtime_agent.logs.tails.AGAIN_S", 0.0)
    lines = [f"{number:05d} " + "word " * 200 for number in range(300)]
    (folder / "run.log").write_text("\n".join(lines) + "\nhalf")
    other = Other(grants=[0, 0, 10_000], lost=2)

    await Sending(other, tail(follow=False), Redaction()).all_of(logs)

    assert [line for chunk in other.chunks for line in chunk.lines] == [*lines, "half"]
    assert [chunk.number for chunk in other.chunks] == list(range(1, len(other.chunks) + 1))
    assert [chunk.weight() <= most for chunk, most in zip(other.chunks[1:], [0, 0, 10_000], strict=False)] == [True] * 3
    assert (other.chunks[-1].ended, other.chunks[-1].next) == ("complete", (folder / "run.log").stat().st_size - 4)


async def test_what_is_sent_is_what_may_be_shown(folder, logs):
    (folder / "run.log").write_text("Quandt: Bearer abcdefgh12345678\n")
    redaction = Redaction()
    redaction.use(RedactionPart(words=["quandt"]))
    other = Other()

    await Sending(other, tail(follow=False), redaction).all_of(logs)

    assert [chunk.lines for chunk in other.chunks] == [["[redacted]: Bearer [secret]".replace("Bearer ", "")]]


async def test_a_tail_goes_on_until_nobody_looks(folder, logs):
    (folder / "run.log").write_text("one\n")
    other = Other(grants=[-1])

    with pytest.raises(Over):
        await Sending(other, tail(), Redaction()).all_of(logs)
    assert [chunk.lines for chunk in other.chunks] == [["one"]]


async def test_no_more_is_sent_than_was_asked_for(folder, logs):
    (folder / "run.log").write_text("12345\n" * 100)
    other = Other()

    await Sending(other, tail(most=23), Redaction()).all_of(logs)

    assert [(chunk.lines, chunk.ended, chunk.next) for chunk in other.chunks] == [(["12345"] * 4, "cap-reached", 24)]


@pytest.mark.parametrize(("given", "code"), [({"path": "absent.log"}, "not-found"), ({"path": "../x"}, "path-outside")])
async def test_what_cannot_be_shown_is_said_to_be_so(logs, given, code):
    other = Other()
    await Sending(other, tail(follow=False, **given), Redaction()).all_of(logs)
    assert [chunk.ended for chunk in other.chunks] == [code]
