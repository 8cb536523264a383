"""A whole home: what is found in it, what it sums up to, and what is noticed when it changes."""

import os
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from zoneinfo import ZoneInfo

import msgspec
import pytest

from controlplane.demo.home import Shape, Truth, write_home
from runtime_agent.sources import Draft, Source, UnknownSource, open_source, parse, vanished
from runtime_agent.wire.records import MAX_RECORD_BYTES, AnyRecord, CheckpointSeen, CostLine, RunState, SessionState
from tests.agent.homes import AGENT, KEY, NAME, NOW, SessionFolder, engine, only, read, state, summary

decode = msgspec.json.Decoder(AnyRecord).decode


@pytest.fixture(params=["UTC", "America/St_Johns", "Asia/Kathmandu"])
def machine_zone(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setenv("TZ", request.param)
    time.tzset()
    yield request.param
    monkeypatch.undo()
    time.tzset()


def everything(source: Source, now: datetime = NOW) -> list[Draft]:
    """Every draft of the home; fails if anything is unreadable."""
    drafts = []
    for unit in source.discover():
        reading = source.read(unit.key, now=now, seen=None)
        assert not reading.again
        assert reading.troubles == []
        drafts += reading.records
    return drafts


def counted(drafts: list[Draft]) -> Truth:
    """What the records say, in the generator's words."""
    found = Truth()
    for draft in drafts:
        record = decode(msgspec.json.encode(draft.record))
        match record:
            case SessionState():
                found.agents.add(record.agent)
                status = f"{record.status}/{record.waiting_for}" if record.waiting_for else record.status
                found.sessions[f"{record.agent}/{record.session}"] = status
                found.input_tokens += record.input_tokens
                found.output_tokens += record.output_tokens
                found.logged_input_tokens += record.logged_input_tokens
                found.logged_output_tokens += record.logged_output_tokens
            case RunState():
                found.runs += 1
            case CheckpointSeen():
                found.checkpoints[record.type] += 1
            case CostLine():
                found.cost_lines += 1
                found.micro_usd += record.micro_usd
    return found


def test_a_home_is_read_to_the_last_token_whatever_the_machines_zone(tmp_path: Path, machine_zone: str) -> None:
    truth = write_home(tmp_path / "home", Shape(sessions=150, zone=UTC), now=NOW)

    assert counted(everything(open_source("engine", tmp_path / "home", UTC))) == truth


@pytest.mark.parametrize("zone", ["America/New_York", "Australia/Lord_Howe"])
def test_a_home_written_in_another_zone_sums_up_the_same_across_the_jump_of_its_clocks(
    tmp_path: Path, zone: str
) -> None:
    now = datetime(2026, 11, 5, tzinfo=UTC)
    truth = write_home(tmp_path / "home", Shape(sessions=150, seed=3, zone=ZoneInfo(zone)), now=now)

    assert counted(everything(open_source("engine", tmp_path / "home", ZoneInfo(zone)), now)) == truth


def test_the_machines_zone_holds_where_none_is_set(tmp_path: Path, machine_zone: str) -> None:
    truth = write_home(tmp_path / "home", Shape(sessions=50), now=NOW)

    assert counted(everything(open_source("engine", tmp_path / "home", None))) == truth


def test_reading_twice_says_the_same_in_every_byte(tmp_path: Path) -> None:
    write_home(tmp_path / "home", Shape(sessions=50, zone=UTC), now=NOW)
    source = engine(tmp_path / "home")

    first, second = everything(source), everything(source, NOW + timedelta(days=1))

    assert [(one.kind, one.key, one.digest()) for one in first] == [(one.kind, one.key, one.digest()) for one in second]
    assert len({(one.kind, one.key) for one in first}) == len(first)


def test_states_are_told_from_facts(tmp_path: Path) -> None:
    write_home(tmp_path / "home", Shape(sessions=60, zone=UTC), now=NOW)

    kinds = Counter((draft.kind, draft.state) for draft in everything(engine(tmp_path / "home")))

    assert set(kinds) == {("session", True), ("run", True), ("checkpoint", False), ("cost", False)}


def test_no_record_is_longer_than_a_line_may_be(tmp_path: Path) -> None:
    folder = SessionFolder(tmp_path)
    long = "\N{GREEK SMALL LETTER OMEGA}" * 200
    nodes = [f"{number}{long}" for number in range(1500)]
    folder.state(state(progress={"path": nodes, "node_visit_counts": dict.fromkeys(nodes, 1)}))
    folder.summary(summary(node_path=nodes, attention_reasons=[long * 4] * 30))
    folder.lines("details.jsonl", [{"node_id": node, "error": long * 4, "exit_status": "failure"} for node in nodes])

    reading = read(tmp_path)

    assert only(reading, SessionState).nodes_omitted > 1000
    assert all(len(msgspec.json.encode(draft.record)) <= MAX_RECORD_BYTES for draft in reading.records)
    assert only(reading, RunState).path[-1].startswith("1499")


def test_a_change_of_any_file_that_matters_changes_the_fingerprint(tmp_path: Path) -> None:
    folder = SessionFolder(tmp_path)
    folder.state()
    source = engine(tmp_path)
    before = source.fingerprint(KEY)

    for change in (
        lambda: folder.state(state("failed")),
        lambda: folder.summary(),
        lambda: folder.lines("details.jsonl", [{}]),
        lambda: folder.lines("tool_logs.jsonl", [{}]),
        lambda: folder.lines("cost_attribution.jsonl", [{}]),
        lambda: folder.index([]),
        lambda: folder.checkpoint({"checkpoint_id": "cp_node_start_intake_20261120_110000"}),
    ):
        change()
        after = source.fingerprint(KEY)
        assert after not in (None, before)
        before = after


def test_conversations_and_data_change_nothing(tmp_path: Path) -> None:
    folder = SessionFolder(tmp_path)
    folder.state()
    source = engine(tmp_path)
    before = source.fingerprint(KEY)

    folder.write("conversations/parts/0000000000.json", {"content": "secret"})
    folder.write("data/adapt.md", b"secret")

    assert source.fingerprint(KEY) == before
    assert [unit.fingerprint for unit in source.discover()] == [before]


def test_a_changed_path_leads_to_its_session(tmp_path: Path) -> None:
    source = engine(tmp_path)
    session = f"{tmp_path}/agents/{AGENT}/sessions/{NAME}"

    assert source.unit_of(f"{session}/state.json") == KEY
    assert source.unit_of(f"{session}/logs/details.jsonl") == KEY
    assert source.unit_of(session) == KEY
    for other in (
        f"{session}/state.json.tmp",
        f"{session}/state.json.lock",
        f"{session}/conversations/cursor.json",
        f"{session}/data/adapt.md",
        f"{tmp_path}/agents/{AGENT}",
        f"{tmp_path}/agents/{AGENT}/runs/r1/x.json",
        f"{tmp_path}/credentials/credentials/anthropic.enc",
        "/elsewhere",
    ):
        assert source.unit_of(other) is None


def test_a_home_behind_a_link_is_watched_under_its_real_name(tmp_path: Path) -> None:
    (tmp_path / "real" / "agents").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "real")
    source = engine(tmp_path / "link")

    assert source.unit_of(f"{tmp_path}/real/agents/{AGENT}/sessions/{NAME}/state.json") == KEY
    assert source.unit_of(f"{tmp_path}/link/agents/{AGENT}/sessions/{NAME}/state.json") == KEY


def test_legacy_folders_and_what_is_no_session_are_passed_over(tmp_path: Path) -> None:
    SessionFolder(tmp_path).state()
    for legacy in ("runs/r1", "summaries", "indexes/by_status", "runtime_logs/runs/r1"):
        (tmp_path / "agents" / AGENT / legacy).mkdir(parents=True)
    (tmp_path / "agents" / AGENT / "sessions" / "notes.txt").write_text("")
    (tmp_path / "agents" / AGENT / "sessions" / ".cache").mkdir()
    (tmp_path / "agents" / "agent_without_sessions").mkdir()

    assert [unit.key for unit in engine(tmp_path).discover()] == [KEY]


def test_links_and_names_that_cannot_be_sent_are_counted_and_not_followed(tmp_path: Path) -> None:
    folder = SessionFolder(tmp_path / "home")
    folder.state()
    sessions = folder.path.parent
    (tmp_path / "elsewhere").mkdir()
    (sessions / "session_20261120_110000_11111111").symlink_to(tmp_path / "elsewhere")
    (sessions / "session_\n_20261120").mkdir()
    (sessions / "session_\u202egnp").mkdir()
    os.mkdir(os.fsencode(sessions) + b"/session_\xff")
    source = engine(tmp_path / "home")

    assert [unit.key for unit in source.discover()] == [KEY]
    assert [trouble.code for trouble in source.check().troubles] == ["folder-refused"]
    assert source.check().troubles[0].line.startswith("4 ")
    with pytest.raises(FileNotFoundError):
        source.read(f"{AGENT}/session_20261120_110000_11111111", now=NOW, seen=None)
    for hostile in ("../x", f"{AGENT}/..", f"{AGENT}/../../..", "x", ""):
        with pytest.raises(FileNotFoundError):
            source.read(hostile, now=NOW, seen=None)


def test_a_home_that_is_gone_says_so_and_lets_nothing_be_concluded(tmp_path: Path) -> None:
    missing = engine(tmp_path / "missing")

    assert [trouble.code for trouble in missing.check().troubles] == ["home-missing"]
    assert missing.watch_paths() == []
    with pytest.raises(FileNotFoundError):
        list(missing.discover())


def test_an_empty_folder_may_be_a_disk_that_is_not_mounted(tmp_path: Path) -> None:
    source = engine(tmp_path)

    assert [trouble.code for trouble in source.check().troubles] == ["home-not-engine"]
    with pytest.raises(FileNotFoundError):
        list(source.discover())


def test_a_new_home_without_agents_is_well(tmp_path: Path) -> None:
    (tmp_path / "configuration.json").write_text("{}")
    source = engine(tmp_path)

    assert source.check().troubles == []
    assert list(source.discover()) == []
    assert source.watch_paths() == [tmp_path]


def test_a_file_in_the_place_of_the_home_is_named(tmp_path: Path) -> None:
    (tmp_path / "home").write_text("")

    assert [trouble.code for trouble in engine(tmp_path / "home").check().troubles] == ["home-not-a-folder"]


@contextmanager
def as_somebody_else() -> Iterator[None]:
    """Root reads everything, whatever the modes say."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.fixture
def open_home() -> Iterator[Path]:
    """A home where everybody may enter what a test makes."""
    closing = os.umask(0o022)
    with TemporaryDirectory() as path:
        os.chmod(path, 0o755)
        yield Path(path)
    os.umask(closing)


def test_what_may_not_be_read_is_a_trouble_and_nothing_of_it_is_gone(open_home: Path) -> None:
    folder = SessionFolder(open_home)
    folder.state().chmod(0)
    closed = SessionFolder(open_home, "closed").path.parent
    closed.chmod(0)
    source, found = engine(open_home), []

    with as_somebody_else():
        reading = source.read(KEY, now=NOW, seen=None)
        elsewhere = source.read(f"closed/{NAME}", now=NOW, seen=None)
        health = source.check()
        with pytest.raises(PermissionError):
            found.extend(source.discover())
    closed.chmod(0o755)

    for one in (reading, elsewhere):
        assert one.again
        assert [trouble.code for trouble in one.troubles] == ["file-unreadable"]
        assert one.records == []
    assert [trouble.code for trouble in health.troubles] == ["agent-unreadable"]
    assert health.agents == 2


def test_a_folder_that_vanished_while_running_is_lost_and_any_other_is_left_alone(tmp_path: Path) -> None:
    at = NOW - timedelta(minutes=59)
    folder = SessionFolder(tmp_path)
    folder.state(state("active"))
    running = only(read(tmp_path, now=at), SessionState)
    folder.state(state("completed"))
    ended = only(read(tmp_path, now=at), SessionState)

    gone = vanished(running)

    assert gone is not None
    assert (gone.status, gone.changed_at, gone.source_status) == ("lost", running.changed_at, "active")
    assert vanished(ended) is None


def test_a_source_is_named_by_kind_and_path() -> None:
    environ = {"HOME": "/home/ada", "ENGINE_HOME": "/srv/engine"}

    assert parse("engine:/data/x", environ) == ("engine", Path("/data/x"))
    assert parse("engine:~/.hive", environ) == ("engine", Path("/home/ada/.hive"))
    assert parse("engine", environ) == ("engine", Path("/srv/engine"))
    assert parse("engine:", {"HOME": "/home/ada"}) == ("engine", Path("/home/ada/.engine"))
    for wrong in ("sagewai:/x", "/x", "", "engine:\0"):
        with pytest.raises(UnknownSource):
            parse(wrong, environ)
    with pytest.raises(UnknownSource, match="agentx"):
        open_source("agentx", Path("/x"), None)
