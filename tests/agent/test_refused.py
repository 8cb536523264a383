"""What the server refused: said again when it changed, when the clock was wrong, and now and then; never in a loop."""

from datetime import datetime, timedelta
from pathlib import Path

import msgspec
import pytest

from runtime_agent.clock import to_us
from runtime_agent.outbox import quarantine
from runtime_agent.scan import Scanner
from runtime_agent.touched import Touched
from runtime_agent.wire.records import AnyRecord, SessionState
from tests.agent.homes import NOW, SessionFolder, checkpoint, engine, naive, state
from tests.agent.rig import Rig

CONTENT = {"session", "run", "checkpoint", "cost"}


@pytest.fixture
def folder(rig: Rig, tmp_path: Path) -> SessionFolder:
    """A session with one record of each kind."""
    rig.clock.now = NOW
    made = SessionFolder(tmp_path / "engine")
    made.state()
    made.summary()
    made.index([checkpoint("node_start", "intake", NOW - timedelta(minutes=50))])
    made.lines("cost_attribution.jsonl", [{"entry_id": "e1", "timestamp": naive(NOW)}])
    return made


@pytest.fixture
def scanner(rig: Rig, folder: SessionFolder, tmp_path: Path) -> Scanner:
    return Scanner(rig.outbox, engine(tmp_path / "engine"), rig.clock, Touched())


def refusing(rig: Rig) -> None:
    """Have the server take nothing but notes."""
    rig.server.poison = lambda line: None if b'"kind":"quarantine"' in line else "record-absurd-time"


def accepting(rig: Rig) -> None:
    rig.server.poison = lambda line: None


def arrived(rig: Rig) -> list[str]:
    return [line["kind"] for line in rig.server.lines() if line["kind"] in CONTENT]


def test_what_was_refused_is_said_again_when_the_clock_turns_out_to_have_been_ahead(rig: Rig, scanner: Scanner) -> None:
    rig.clock.forward(days=3)
    refusing(rig)
    scanner.everything()
    assert rig.settle()
    assert arrived(rig) == []

    rig.clock.now = NOW + timedelta(minutes=1)
    accepting(rig)
    scanner.everything()
    assert rig.settle()

    assert sorted(arrived(rig)) == sorted(CONTENT)
    assert scanner.everything().read == 0


def test_what_was_refused_is_not_said_again_at_every_look(rig: Rig, folder: SessionFolder, scanner: Scanner) -> None:
    refusing(rig)
    scanner.everything()
    rig.settle()
    for minute in range(5):
        rig.clock.forward(minutes=1)
        (folder.path / "state.json").touch()
        folder.write("logs/more.txt", b"%d" % minute)
        assert scanner.everything().records == 0

    assert quarantine.count(rig.outbox) == len(CONTENT)


def test_what_was_refused_is_said_again_after_a_week_and_once(rig: Rig, scanner: Scanner) -> None:
    refusing(rig)
    scanner.everything()
    rig.settle()
    accepting(rig)
    rig.clock.forward(days=7, seconds=1)

    first, second = scanner.everything(), scanner.everything()

    assert (first.records, second.read) == (len(CONTENT), 0)


def test_other_content_is_said_at_once_and_at_its_own_time(rig: Rig, folder: SessionFolder, scanner: Scanner) -> None:
    def told(at: datetime) -> dict[str, str]:
        return {"started_at": naive(NOW - timedelta(hours=1)), "updated_at": naive(at)}

    folder.state(state("active", timestamps=told(NOW + timedelta(hours=20))))
    refusing(rig)
    scanner.everything()
    rig.settle()
    accepting(rig)
    folder.state(state("completed", timestamps=told(NOW)))

    scanner.everything()
    rig.settle()

    [session] = [line for line in rig.server.lines() if line["kind"] == "session"]
    assert datetime.fromisoformat(session["changed_at"]) == NOW


def test_nothing_is_ordered_after_a_time_that_cannot_be(rig: Rig, folder: SessionFolder, scanner: Scanner) -> None:
    """A server that took what a clock ahead said is no reason to go on in that year."""
    rig.clock.forward(days=400)
    later = {"started_at": naive(NOW), "updated_at": naive(NOW + timedelta(days=400))}
    folder.state(state("active", timestamps=later))
    scanner.everything()
    rig.clock.now = NOW
    folder.state(state("completed"))

    scanner.everything()

    said = [msgspec.json.decode(line, type=AnyRecord) for (line,) in rig.outbox.rows("SELECT line FROM log")]
    assert [one.changed_at <= NOW for one in said if isinstance(one, SessionState)] == [False, True]


def test_what_was_said_after_the_refused_keeps_its_place(rig: Rig, folder: SessionFolder, scanner: Scanner) -> None:
    scanner.everything()
    told = {"started_at": naive(NOW - timedelta(hours=1)), "updated_at": naive(NOW)}
    folder.state(state("failed", timestamps=told))
    scanner.everything()
    rig.server.poison = lambda line: "record-invalid" if b'"status":"succeeded"' in line else None
    rig.settle()

    rows = rig.outbox.rows("SELECT changed_us FROM entities WHERE kind = 'session'")
    assert rows == [(to_us(NOW),)]
    assert rig.outbox.rows("SELECT kind FROM refused WHERE kind = 'session'") == []


@pytest.mark.parametrize("kind", sorted(CONTENT))
def test_each_kind_is_found_again_by_its_line(rig: Rig, scanner: Scanner, kind: str) -> None:
    scanner.everything()
    rig.server.poison = lambda line: "record-invalid" if b'"kind":"%s"' % kind.encode() in line else None
    rig.settle()

    assert rig.outbox.rows("SELECT kind FROM refused") == [(kind,)]
