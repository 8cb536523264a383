"""Folders that are deleted file by file, under the eyes of an agent that reads in between."""

import shutil
from datetime import timedelta

import msgspec
import pytest

from runtime_agent.outbox import cursor
from runtime_agent.scan import Scanner
from runtime_agent.sources import STALE_AFTER
from runtime_agent.touched import Touched
from runtime_agent.wire.records import SessionState
from tests.agent.homes import KEY, NOW, SessionFolder, checkpoint, engine, of_kind, only, state
from tests.agent.rig import Rig

PARTS = ("state.json", "logs/summary.json", "logs", "checkpoints")


@pytest.fixture
def folder(tmp_path):
    folder = SessionFolder(tmp_path / "engine")
    folder.state()
    folder.summary()
    folder.index([checkpoint("node_start", "intake", NOW - timedelta(hours=1))])
    return folder


def take_away(folder, part):
    path = folder.path / part
    shutil.rmtree(path) if path.is_dir() else path.unlink()


@pytest.mark.parametrize("part", PARTS)
def test_what_is_left_of_a_folder_that_is_being_deleted_is_no_state_of_its_session(folder, tmp_path, part):
    source = engine(tmp_path / "engine")
    whole = source.read(KEY, now=NOW, seen=None)
    take_away(folder, part)

    reading = source.read(KEY, now=NOW, seen=whole.seen)
    again = source.read(KEY, now=NOW, seen=reading.seen)

    assert only(whole, SessionState).status == "succeeded"
    assert of_kind(reading, SessionState) == of_kind(again, SessionState) == []
    assert reading.again
    assert again.again


def test_what_somebody_took_away_long_ago_is_done_without(folder, tmp_path):
    source = engine(tmp_path / "engine")
    whole = source.read(KEY, now=NOW, seen=None)
    take_away(folder, "logs/summary.json")

    early = source.read(KEY, now=NOW, seen=whole.seen)
    late = source.read(KEY, now=NOW + STALE_AFTER + timedelta(seconds=1), seen=early.seen)
    later = source.read(KEY, now=NOW + STALE_AFTER + timedelta(seconds=2), seen=late.seen)

    assert [early.again, late.again, later.again] == [True, False, False]
    assert only(later, SessionState).status == "succeeded"


@pytest.mark.parametrize("half", ["state.json", "logs"])
def test_a_session_that_ran_is_lost_though_its_folder_was_seen_half_deleted(tmp_path, half):
    rig = Rig(tmp_path / "agent")
    folder = SessionFolder(tmp_path / "engine")
    folder.state(state("active"))
    folder.write("logs/details.jsonl", b"")
    now = NOW - timedelta(minutes=59)
    scanner = Scanner(rig.outbox, engine(tmp_path / "engine"), lambda: now, Touched())
    scanner.everything()
    take_away(folder, half)
    scanner.everything()
    shutil.rmtree(folder.path)

    scanner.everything()

    lines = [msgspec.json.decode(line) for (line,) in rig.outbox.rows("SELECT line FROM log ORDER BY seq")]
    assert [line["status"] for line in lines] == ["running", "lost"]
    assert cursor.units_known(rig.outbox) == 0
    rig.close()
