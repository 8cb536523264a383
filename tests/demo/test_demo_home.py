"""The generated home: always the same, never somebody else's, and alive."""

import json
import os
import signal
import subprocess
import sys
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random

import pytest

from controlplane.demo.alive import HANDFUL, Mover
from controlplane.demo.home import NotOurs, Shape, is_complete, write_home
from runtime_agent.sources import open_source
from runtime_agent.wire.records import SessionState

NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)


class Clock:
    def __init__(self) -> None:
        self.at = NOW

    def __call__(self) -> datetime:
        return self.at

    def forward(self, seconds: float) -> None:
        self.at += timedelta(seconds=seconds)


def statuses(home: Path, now: datetime) -> dict[str, str]:
    """Status of every session, as the agent reads it."""
    source = open_source("engine", home, UTC)
    found = {}
    for unit in source.discover():
        for draft in source.read(unit.key, now=now, seen=None).records:
            if isinstance(draft.record, SessionState):
                found[unit.key] = draft.record.status
    return found


def move(home: Path, clock: Clock, seconds: float, seed: int = 1) -> Mover:
    """Live through *seconds* in no time."""
    mover = Mover(home, zone=UTC, now=clock, dice=Random(seed))
    until = clock.at + timedelta(seconds=seconds)
    while clock.at < until:
        clock.forward(mover.step() + 0.001)
    return mover


def test_the_same_shape_is_the_same_home_byte_for_byte(tmp_path: Path) -> None:
    shape = Shape(sessions=40, zone=UTC)
    truths = [write_home(tmp_path / name, shape, now=NOW) for name in ("one", "two")]

    one, two = (
        {
            path.relative_to(tmp_path / name): path.read_bytes()
            for path in (tmp_path / name).rglob("*")
            if path.is_file()
        }
        for name in ("one", "two")
    )

    assert one == two
    assert truths[0] == truths[1]


def test_a_home_has_something_of_everything(tmp_path: Path) -> None:
    truth = write_home(tmp_path / "home", Shape(sessions=250, zone=UTC), now=NOW)

    assert set(truth.statuses) == {
        "succeeded",
        "failed",
        "cancelled",
        "waiting/human_approval",
        "waiting/resume",
        "lost",
    }
    assert len(truth.agents) == 8
    assert truth.cost_lines > 0
    ids = Counter(
        (path.parent, row["checkpoint_id"])
        for path in (tmp_path / "home").rglob("index.json")
        for row in json.loads(path.read_text())["checkpoints"]
    )
    assert max(ids.values()) > 1


def test_every_session_of_a_home_is_one_that_a_reader_finds(tmp_path: Path) -> None:
    """Seed 5 has one that crashed before it wrote anything: its folder is empty, and it is no session."""
    truth = write_home(tmp_path / "home", Shape(sessions=100, seed=5, zone=UTC), now=NOW)

    folders = sum(1 for _ in (tmp_path / "home" / "agents").glob("*/sessions/*"))

    assert len(truth.sessions) < folders
    assert set(statuses(tmp_path / "home", NOW)) == set(truth.sessions)


def test_a_folder_that_is_not_ours_is_left_alone(tmp_path: Path) -> None:
    precious = tmp_path / "agents" / "mine" / "state.json"
    precious.parent.mkdir(parents=True)
    precious.write_text("precious")

    with pytest.raises(NotOurs):
        write_home(tmp_path, Shape(sessions=1), now=NOW)

    assert precious.read_text() == "precious"


def test_a_home_that_was_not_finished_is_written_anew(tmp_path: Path) -> None:
    home = tmp_path / "home"
    write_home(home, Shape(sessions=5, seed=1, zone=UTC), now=NOW)
    (home / "demo.json").write_text('{"complete": false}')
    assert not is_complete(home)

    truth = write_home(home, Shape(sessions=5, seed=2, zone=UTC), now=NOW)

    assert is_complete(home)
    assert set(statuses(home, NOW)) == set(truth.sessions)


def test_a_handful_moves_and_comes_to_its_ends(tmp_path: Path) -> None:
    home, clock = tmp_path / "home", Clock()
    write_home(home, Shape(sessions=0, zone=UTC), now=NOW)

    mover = move(home, clock, 1800)

    assert 0 < len(mover.moving) <= HANDFUL
    found = Counter(statuses(home, clock.at).values())
    assert found["succeeded"] > 20
    assert found["running"] > 0


def test_what_moved_goes_on_in_the_next_process(tmp_path: Path) -> None:
    home, clock = tmp_path / "home", Clock()
    write_home(home, Shape(sessions=0, zone=UTC), now=NOW)
    under_way = move(home, clock, 300).moving
    clock.forward(60)

    later = move(home, clock, 1800, seed=2)

    assert under_way
    ended = statuses(home, clock.at)
    assert not [key for key in under_way if key not in later.moving and ended[key] == "running"]
    assert [key for key in under_way if ended[key] == "succeeded"]


def test_a_session_that_died_in_the_middle_of_a_write_stays_as_it_is(tmp_path: Path) -> None:
    home, clock = tmp_path / "home", Clock()
    write_home(home, Shape(sessions=0, zone=UTC), now=NOW)
    (first, *_) = move(home, clock, 60).moving
    state = home / "agents" / first.replace("/", "/sessions/") / "state.json"
    state.write_bytes(b"")

    later = move(home, clock, 60, seed=2)

    assert first not in later.moving
    assert state.read_bytes() == b""


def test_the_program_writes_moves_and_stops_when_told(tmp_path: Path) -> None:
    home = tmp_path / "home"
    command = [sys.executable, "-m", "controlplane.demo", str(home), "--sessions", "3", "--zone", "UTC"]
    subprocess.run([*command, "--still"], check=True, timeout=60)
    assert is_complete(home)

    running = subprocess.Popen(command)
    try:
        while not json.loads((home / "demo.json").read_text())["moving"]:
            assert running.poll() is None
        os.kill(running.pid, signal.SIGTERM)
        assert running.wait(timeout=30) == 0
    finally:
        running.kill()
        running.wait()


def test_the_program_refuses_a_folder_of_somebody_else(tmp_path: Path) -> None:
    (tmp_path / "diary.txt").write_text("")

    refused = subprocess.run(
        [sys.executable, "-m", "controlplane.demo", str(tmp_path)], capture_output=True, text=True, timeout=60
    )

    assert refused.returncode == 1
    assert "choose another folder" in refused.stderr
