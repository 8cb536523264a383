"""Looking at a home: what is said once, what again, and what a disk or a home in trouble costs."""

import json
from datetime import timedelta

import msgspec
import pytest

from runtime_agent.outbox import DiskFull, cursor
from runtime_agent.scan import Scanner, Stopped
from runtime_agent.sources import Unit, open_source
from runtime_agent.touched import Touched
from runtime_agent.wire.records import AnyRecord
from tests.agent.homes import NAME, NOW, SessionFolder, checkpoint, engine, state, summary


@pytest.fixture
def home(tmp_path):
    made = tmp_path / "engine"
    (made / "agents").mkdir(parents=True)
    return made


@pytest.fixture
def scanner(rig, home):
    rig.clock.now = NOW
    return Scanner(rig.outbox, engine(home), rig.clock, Touched())


def said(rig):
    rows = rig.outbox.rows("SELECT line FROM log ORDER BY epoch, seq")
    return [msgspec.json.decode(line, type=AnyRecord) for (line,) in rows]


def kinds(rig):
    return [json.loads(line)["kind"] for (line,) in rig.outbox.rows("SELECT line FROM log ORDER BY epoch, seq")]


def sessions(rig):
    return [record for record in said(rig) if hasattr(record, "current_node")]


def running(home, **other):
    folder = SessionFolder(home, **other)
    folder.state(state("active", timestamps=lately()))
    return folder


def lately():
    return {
        "started_at": (NOW - timedelta(hours=1)).replace(tzinfo=None).isoformat(),
        "updated_at": (NOW - timedelta(seconds=5)).replace(tzinfo=None).isoformat(),
    }


def full(rig):
    rig.outbox.rows("PRAGMA max_page_count=1")


def space_again(rig):
    rig.outbox.rows("PRAGMA max_page_count=1073741823")


def test_a_finished_session_is_said_once(rig, home, scanner):
    folder = SessionFolder(home)
    folder.state()
    folder.summary()
    folder.checkpoint(checkpoint("node_start", "intake", NOW))

    first, second = scanner.everything(), scanner.everything()

    assert sorted(kinds(rig)) == ["checkpoint", "run", "session"]
    assert (first.read, second.read) == (1, 0)


def test_a_change_is_said_and_nothing_besides(rig, home, scanner):
    folder = SessionFolder(home)
    folder.state()
    folder.summary()
    folder.checkpoint(checkpoint("node_start", "intake", NOW))
    scanner.everything()

    folder.checkpoint(checkpoint("node_complete", "intake", NOW))
    scanner.everything()

    assert kinds(rig)[3:] in (["checkpoint"], ["session", "checkpoint"])


def test_touching_a_file_says_nothing(rig, home, scanner):
    folder = SessionFolder(home)
    path = folder.state()
    scanner.everything()
    path.touch()

    outcome = scanner.everything()

    assert (outcome.read, outcome.records) == (1, 0)


def test_a_new_process_says_nothing_that_was_said(rig, home, scanner):
    SessionFolder(home).state()
    scanner.everything()
    rig.crash()

    outcome = Scanner(rig.outbox, engine(home), rig.clock, Touched()).everything()

    assert (outcome.looked_at, outcome.read) == (1, 0)


def test_only_the_units_named_are_looked_at(rig, home, scanner):
    one, other = SessionFolder(home), SessionFolder(home, agent="other")
    one.state()
    other.state()

    outcome = scanner.some([one.key, "nobody/session_20260101_000000_00000000"])

    assert (outcome.looked_at, outcome.read) == (1, 1)


def test_a_session_that_nobody_touches_any_more_is_lost_though_no_file_changed(rig, home, scanner):
    running(home)
    scanner.everything()
    assert [s.status for s in sessions(rig)] == ["running"]
    assert scanner.overdue().read == 0

    rig.clock.forward(minutes=11)
    scanner.overdue()

    assert [s.status for s in sessions(rig)] == ["running", "lost"]


def test_a_half_written_file_is_read_again_soon_and_ever_more_rarely(rig, home, scanner):
    folder = SessionFolder(home)
    folder.state(b"")
    scanner.everything()
    waits = []
    for _ in range(4):
        due_ms = cursor.next_due_ms(rig.outbox, "engine")
        waits.append(due_ms / 1000 - rig.clock().timestamp())
        rig.clock.forward(seconds=waits[-1] + 0.001)
        scanner.overdue()

    assert waits[0] == pytest.approx(0.1, abs=0.01)
    assert waits == sorted(waits)
    folder.state()
    scanner.everything()
    assert sessions(rig)[-1].status == "succeeded"


def test_a_folder_that_vanished_while_it_ran_is_lost(rig, home, scanner):
    folder = running(home)
    scanner.everything()
    for path in folder.path.iterdir():
        path.unlink()
    folder.path.rmdir()

    outcome = scanner.everything()

    assert outcome.vanished == 1
    assert [s.status for s in sessions(rig)] == ["running", "lost"]
    assert scanner.everything().vanished == 0


def test_a_folder_that_comes_back_is_said_again_and_later_than_its_loss(rig, home, scanner):
    folder = running(home)
    scanner.everything()
    aside = folder.path.rename(home / "aside")
    rig.clock.forward(seconds=1)
    scanner.everything()
    rig.clock.forward(seconds=1)
    aside.rename(folder.path)

    scanner.everything()

    states = sessions(rig)
    assert [s.status for s in states] == ["running", "lost", "running"]
    assert states[2].changed_at >= states[1].changed_at


def test_a_finished_session_may_vanish_unsaid(rig, home, scanner):
    folder = SessionFolder(home)
    path = folder.state()
    scanner.everything()
    path.unlink()
    folder.path.rmdir()

    scanner.everything()

    assert [s.status for s in sessions(rig)] == ["succeeded"]


def test_a_home_that_is_not_there_says_nothing_of_its_sessions(rig, home, scanner):
    running(home)
    scanner.everything()
    home.rename(home.with_name("elsewhere"))

    with pytest.raises(OSError, match="engine"):
        scanner.everything()

    assert [s.status for s in sessions(rig)] == ["running"]


def test_the_time_of_a_state_never_goes_back(rig, home, scanner):
    folder = SessionFolder(home)
    folder.state(state("active", timestamps=lately()))
    scanner.everything()
    back = dict.fromkeys(("started_at", "updated_at"), "2026-11-20T01:00:00")
    folder.state(state("completed", timestamps=back))

    scanner.everything()

    first, second = sessions(rig)
    assert second.status == "succeeded"
    assert second.changed_at >= first.changed_at


def test_a_full_disk_costs_nothing_while_the_files_are_there(rig, home, scanner):
    for number in range(30):
        SessionFolder(home, name=f"session_20261120_1100{number:02}_0a1b2c3d").state()
    full(rig)
    with pytest.raises(DiskFull):
        scanner.everything()
    assert said(rig) == []

    space_again(rig)
    scanner.everything()

    assert kinds(rig) == ["session"] * 30


def test_what_vanished_while_the_disk_was_full_is_confessed(rig, home, scanner):
    folder = SessionFolder(home)
    path = folder.state()
    for number in range(30):
        SessionFolder(home, name=f"session_20261120_1200{number:02}_0a1b2c3d").state()
    full(rig)
    with pytest.raises(DiskFull):
        scanner.everything()
    path.unlink()
    folder.path.rmdir()
    space_again(rig)

    scanner.everything()
    scanner.everything()

    assert kinds(rig) == ["session"] * 30 + ["gap"]
    gap = said(rig)[-1]
    assert (gap.reason, gap.count, gap.first_at) == ("disk-full", 1, NOW)


def test_a_scan_that_is_asked_to_end_keeps_what_it_read_and_goes_on_later(rig, home, scanner):
    for number in range(250):
        SessionFolder(home, name=f"session_20261120_11{number // 60:02}{number % 60:02}_0a1b2c3d").state()

    with pytest.raises(Stopped):
        scanner.everything(lambda outcome: scanner.stop.set())
    kept = len(kinds(rig))
    scanner.stop.clear()
    scanner.everything()

    assert 0 < kept < 250
    assert kinds(rig) == ["session"] * 250


def test_two_homes_with_the_same_sessions_are_one_to_the_memory(rig, home, scanner):
    """A home that moved is not read as new: its sessions are the same."""
    SessionFolder(home).state()
    scanner.everything()
    moved = home.rename(home.with_name("moved"))

    outcome = Scanner(rig.outbox, open_source("engine", moved, None), rig.clock, Touched()).everything()

    assert outcome.vanished == 0
    assert kinds(rig) == ["session"]


def test_what_one_source_saw_is_not_there_for_another(rig, home):
    cursor.note_present(rig.outbox, "engine", [Unit("a/b", b"", "")])
    cursor.note_present(rig.outbox, "other", [Unit("a/b", b"", "")])

    cursor.forget_present(rig.outbox, "engine")

    assert rig.outbox.rows("SELECT source FROM present") == [("other",)]


def test_troubles_of_units_are_kept_until_they_are_read_again(rig, home, scanner):
    folder = SessionFolder(home)
    folder.state(b'{"status": "completed", "progress": [}')
    scanner.everything()
    rig.clock.forward(minutes=30)
    scanner.overdue()
    found = cursor.troubles(rig.outbox)

    folder.state()
    folder.summary(summary())
    scanner.everything()

    assert found
    assert cursor.troubles(rig.outbox) == []
    assert folder.key.endswith(NAME)
