"""Bundles of logs: what is in them, what is said of them, and what a home or a disk can do to who makes one."""

import hashlib
import json
import os
import resource
import threading
from datetime import UTC, timedelta
from pathlib import Path
from zipfile import ZipFile

import pytest

from runtime_agent.collecting import FOLDER, KEPT_FOR, LEFT_FREE_BYTES, Collector, Shelf, of_logs
from runtime_agent.configuration.redaction import Redaction
from runtime_agent.logs.bundling import Stopped
from runtime_agent.sources.acting import Failed
from runtime_agent.sources.engine.logs import EngineLogs
from runtime_agent.wire.commands import Collecting, Command
from tests.agent.homes import AGENT, NAME, NOW, SessionFolder

ALL = ("details", "tools", "raw")
NODE = {"node_id": "intake", "success": True, "latency_ms": 5, "stacktrace": "canary in a stack"}
STEP = {"node_id": "intake", "verdict": "ACCEPT", "llm_text": "canary in a prompt", "tool_calls": []}


class Killed(BaseException):
    """What a signal 9 is to a program: nothing after it happens."""


class Fatal(Redaction):
    """Kills who reads the third line."""

    seen = 0

    def text(self, text):
        self.seen += 1
        if self.seen == 3:
            raise Killed
        return text


class Machine:
    def __init__(self, folder, clock=lambda: NOW):
        self.engine, self.home, self.clock = folder / "engine", folder / "agent", clock
        self.home.mkdir(mode=0o700)
        self.kept = self.home / FOLDER

    def session(self, name=NAME, touched=NOW - timedelta(minutes=1)):
        folder = SessionFolder(self.engine, name=name)
        folder.lines("details.jsonl", [NODE, NODE], tail=b'{"node_id": "half')
        folder.lines("tool_logs.jsonl", [STEP])
        folder.write("logs/run.log", b"started with password=hunter2\nended\n")
        for path in (folder.path / "logs").iterdir():
            os.utime(path, (touched.timestamp(),) * 2)
        return folder.path / "logs"

    def collect(self, its, redaction=None, stop=None, **shelf):
        shelf = Shelf(self.home, **{"free": lambda _: 1 << 40, **shelf})
        collector = Collector(shelf, EngineLogs(self.engine), redaction or Redaction(), UTC, self.clock)
        return collector.collect(its, stop or threading.Event())

    def files(self):
        return sorted(os.listdir(self.kept))


@pytest.fixture
def machine(tmp_path):
    return Machine(tmp_path)


def command(logs=ALL, number=1, agent=AGENT, session=NAME, **window):
    words = {"tenant": "acme", "runtime": "rt_1", "number": number, "not_after": ""}
    wanted = Collecting(logs=list(logs), **{name: at.isoformat() for name, at in window.items()})
    named = {"kind": "collect-logs", "command": f"cmd_{number:026}", "agent": agent, "session": session}
    return Command(**words, **named, collecting=wanted)


def of_all(**given):
    return command(agent="", session="", **given)


def read(path):
    with ZipFile(path) as bundle:
        return {each.filename: bundle.read(each).decode() for each in bundle.infolist()}


def test_a_bundle_holds_what_may_leave_of_a_sessions_logs_and_is_described(machine):
    machine.session()

    bundle = machine.collect(command())

    path = machine.kept / bundle.name
    assert (bundle.sessions, bundle.files, bundle.lines, bundle.shortened) == (1, 5, 10, 1)
    assert (bundle.bytes, bundle.sha256) == (path.stat().st_size, hashlib.sha256(path.read_bytes()).hexdigest())
    assert (path.stat().st_mode & 0o777, machine.kept.stat().st_mode & 0o777) == (0o600, 0o700)
    within = f"sessions/{AGENT}/{NAME}"
    held = read(path)
    assert json.loads(held[f"{within}/details.jsonl"].splitlines()[0])["node_id"] == "intake"
    assert "canary" not in held[f"{within}/details.jsonl"] + held[f"{within}/tools.jsonl"]
    assert held[f"{within}/files/run.log"] == "started with [secret]\nended\n"
    assert json.loads(held["about.json"])["counts"]["lines"] == 10
    assert "/" not in bundle.name
    assert str(machine.home) not in str(bundle)


def test_a_time_takes_what_was_written_in_it(machine):
    machine.session("session_20261119_100000_00000001", NOW - timedelta(days=1))
    machine.session("session_20261120_110000_00000002")
    machine.session("session_20261120_115930_00000003")
    (machine.engine / "event_logs").mkdir()
    (machine.engine / "event_logs/20261120_115959.jsonl").write_text("{}\n")
    window = {"since": NOW - timedelta(hours=2), "until": NOW - timedelta(minutes=30)}

    young, old = machine.collect(of_all(**window)), machine.collect(of_all(number=2, since=NOW - timedelta(days=2)))

    assert {name.split("/")[2] for name in read(machine.kept / young.name) if "/" in name} == {
        "session_20261120_110000_00000002"
    }
    assert old.sessions == 3
    assert "event_logs/20261120_115959.jsonl" in read(machine.kept / old.name)


def test_nothing_is_read_through_a_link_or_outside_of_the_home(machine, tmp_path):
    logs = machine.session()
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside/run.log").write_text("canary outside\n")
    (logs / "details.jsonl").unlink()
    (logs / "details.jsonl").symlink_to(tmp_path / "outside/run.log")
    (logs / "folder").mkdir()
    os.mkfifo(logs / "pipe")
    (machine.engine / "agents/linked").symlink_to(tmp_path / "outside")
    (logs.parent.parent / "session_20261120_110000_0000000f").symlink_to(tmp_path / "outside")
    (machine.engine / "event_logs").symlink_to(tmp_path / "outside")

    bundle = machine.collect(of_all(since=NOW - timedelta(days=1)))

    held = read(machine.kept / bundle.name)
    assert "canary outside" not in "".join(held.values())
    assert (bundle.sessions, bundle.files) == (1, 3)
    assert bundle.refused == 4, "link, folder, pipe, and the folder of event logs"
    for agent, session in (("..", ".."), (AGENT, "../../../.."), (AGENT, "a/b")):
        with pytest.raises(Failed) as failed:
            machine.collect(command(number=2, agent=agent, session=session))
        assert failed.value.code == "path-outside-home"


def test_the_file_is_written_nowhere_else_either(machine, tmp_path):
    machine.session()
    machine.kept.symlink_to(tmp_path)

    with pytest.raises(Failed) as failed:
        machine.collect(command())

    assert failed.value.code == "unwritable"
    assert not list(tmp_path.glob("*.zip*"))


def test_names_in_a_bundle_lead_nowhere(machine):
    logs = machine.session()
    for name in ("..\\..\\evil.log", "c:evil", b"\xff\xfe".decode("utf-8", "surrogateescape"), "line\nfeed"):
        (logs / name).write_text("x\n")

    held = read(machine.kept / machine.collect(command(["raw"])).name)

    names = [name.rpartition("/")[2] for name in held]
    assert {".._.._evil.log", "c_evil", "__", "line_feed"} < set(names)


def test_what_is_too_much_is_left_out_and_counted_the_oldest_first(machine):
    machine.session("session_20261120_110000_00000001", NOW - timedelta(minutes=9))
    machine.session("session_20261120_110000_00000002", NOW - timedelta(minutes=1))

    bundle = machine.collect(of_all(logs=["raw"], since=NOW - timedelta(days=1)), most=300)

    assert bundle.beyond > 0
    assert "beyond the limit" in str(bundle)
    held = read(machine.kept / bundle.name)
    assert {name.split("/")[2] for name in held if "/" in name} == {"session_20261120_110000_00000002"}
    assert sum(len(text) for name, text in held.items() if "/" in name) <= 300


def test_a_disk_without_room_is_left_alone_and_one_that_fills_up_keeps_nothing(machine):
    logs = machine.session()
    with pytest.raises(Failed) as failed:
        machine.collect(command(), free=lambda _: LEFT_FREE_BYTES)
    assert failed.value.code == "disk-full"

    (logs / "long.log").write_bytes(os.urandom(200_000).hex().encode() + b"\n" + b"\n".join([os.urandom(20)] * 20_000))
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000, before[1]))
    try:
        with pytest.raises(Failed) as failed:
            machine.collect(command())
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert failed.value.code == "disk-full"
    assert machine.files() == []


def test_killed_half_way_it_is_made_anew_and_done_twice_it_is_the_same(machine):
    logs = machine.session()
    with pytest.raises(Killed):
        machine.collect(command(), redaction=Fatal())
    assert machine.files() == [f"logs-cmd_{1:026}.zip.new"]

    made = machine.collect(command())
    (logs / "run.log").write_text("more\n")

    assert machine.collect(command()) == made
    assert machine.files() == [made.name]
    (machine.kept / made.name).write_bytes(b"broken off")
    assert machine.collect(command()).files == made.files


def test_it_ends_with_the_program(machine):
    machine.session()
    stop = threading.Event()
    stop.set()

    with pytest.raises(Stopped):
        machine.collect(command(), stop=stop)

    assert machine.files() == []


def test_bundles_are_kept_for_a_while(machine, tmp_path):
    machine.session()
    made = machine.collect(command())
    shelf = Shelf(machine.home)
    at = NOW.fromtimestamp((machine.kept / made.name).stat().st_mtime, UTC)

    assert shelf.forget(at + KEPT_FOR - timedelta(seconds=1)) == 0
    assert shelf.forget(at + KEPT_FOR + timedelta(seconds=1)) == 1
    assert machine.files() == []
    assert Shelf(Path(tmp_path / "elsewhere")).forget(NOW) == 0


async def test_logs_that_the_machines_owner_does_not_let_be_looked_at_are_not_collected(machine):
    machine.session()
    collector = Collector(Shelf(machine.home), EngineLogs(machine.engine), Redaction(), UTC, machine.clock)
    collect = of_logs(collector, frozenset({"details"}))["collect-logs"]

    with pytest.raises(Failed) as failed:
        await collect(command(["details", "raw"]))

    assert (failed.value.code, "raw" in str(failed.value)) == ("not-allowed", True)
    assert not machine.kept.exists()
