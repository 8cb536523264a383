"""Configuration in the agent: tried beside the last good one, taken back where it does not do, never more than allowed."""

from datetime import UTC, datetime
from hashlib import sha256
from uuid import UUID

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from msgspec.structs import replace

from runtime_agent import joining
from runtime_agent.agent import Post, opened
from runtime_agent.configuration import files, trying
from runtime_agent.configuration.fetching import ConfigForged, checked
from runtime_agent.configuration.redaction import Redacted, Redaction
from runtime_agent.configuration.taking import configured
from runtime_agent.configuration.trying import MOST_STARTS, Trial
from runtime_agent.identity import encoded
from runtime_agent.settings import Settings
from runtime_agent.wire.config import Desired, Document, Effective, RedactionPart
from runtime_agent.wire.records import CostLine, Error, NodeVisit, SessionState
from tests.agent.rig import joined

STORE, OTHER = UUID(int=1), UUID(int=2)
NOW = datetime(2026, 1, 1, tzinfo=UTC)
KEY = Ed25519PrivateKey.from_private_bytes(bytes(32))


def desired(generation, document, store=STORE, **changed):
    text = document if isinstance(document, str) else msgspec.json.encode(document).decode()
    its = Effective(
        tenant="acme",
        runtime="rt_reference",
        store_id=store,
        generation=generation,
        hash=sha256(text.encode()).hexdigest(),
        document=text,
    )
    its = replace(its, **changed)
    return Desired(effective=its, key="k1", signature=encoded(KEY.sign(its.signed())))


class Program:
    """A start of the program, as far as configuration goes."""

    def __init__(self, home):
        self.home, self.now, self.taken = home, 0.0, []
        self.trial = Trial(home, self.taken.append, lambda: self.now)
        self.trial.start()

    def works(self):
        """As long as it takes to prove anything."""
        self.trial.looked = self.trial.heard = True
        self.now += 31
        return self.trial.prove(30)

    def has(self, name):
        path = self.home / "configuration/current" / name
        return path.read_text() if path.exists() else None

    @property
    def said(self):
        its = self.trial.standing()
        return its.status, its.generation, its.applied


@pytest.fixture
def home(tmp_path):
    joined(tmp_path)
    return tmp_path


def prompt(text):
    return {"prompts": {"greeting": {"text": text, "version": 1}}}


def good(home):
    program = Program(home)
    program.trial.offer(desired(1, prompt("one")))
    assert program.works()
    return program


def test_a_configuration_counts_at_once_and_is_the_good_one_once_it_has_proved_itself(home):
    program = Program(home)
    program.trial.offer(desired(1, prompt("one")))

    assert program.said == ("applying", 1, 0)
    assert program.has("prompts/greeting.md") == "one"
    program.now += 31
    assert not program.trial.prove(30)  # nothing was looked at, nobody was heard from
    assert program.works()
    assert program.said == ("applied", 1, 1)
    assert Program(home).said == ("applied", 1, 1)
    assert [each.prompts["greeting"].text for each in program.taken[1:]] == ["one"]


def test_a_bug_while_it_is_tried_takes_it_back(home):
    program = good(home)
    program.trial.offer(desired(2, prompt("two")))
    program.trial.refuse("a bug: ValueError")

    assert program.said == ("failed", 2, 1)
    assert program.trial.standing().error == "a bug: ValueError"
    assert program.has("prompts/greeting.md") == "one"
    program.trial.offer(desired(2, prompt("two")))
    assert program.said == ("failed", 2, 1)
    program.trial.offer(desired(3, prompt("one")))
    assert program.works()
    assert program.said == ("applied", 3, 3)


def test_a_program_that_dies_of_it_again_and_again_goes_back_by_itself(home):
    good(home).trial.offer(desired(2, prompt("two")))

    starts = [Program(home) for _ in range(MOST_STARTS)]

    assert [each.said for each in starts] == [("applying", 2, 1), ("applying", 2, 1), ("failed", 2, 1)]
    assert starts[-1].has("prompts/greeting.md") == "one"
    assert "died 3 times" in Program(home).trial.standing().error


def test_stopping_it_as_one_does_says_nothing_about_it(home):
    good(home).trial.offer(desired(2, prompt("two")))
    for _ in range(2 * MOST_STARTS):
        program = Program(home)
        program.trial.stopped()

    assert program.said == ("applying", 2, 1)


def test_what_is_older_than_what_counts_is_left_alone_unless_another_database_says_it(home):
    program = good(home)
    program.trial.offer(desired(5, prompt("five")))
    assert program.works()

    program.trial.offer(desired(4, prompt("four")))
    assert program.said == ("applied", 5, 5)
    program.trial.offer(desired(1, prompt("restored"), store=OTHER))

    assert program.works()
    assert program.said == ("applied", 1, 1)
    assert program.has("prompts/greeting.md") == "restored"


@pytest.mark.parametrize(
    "document",
    [
        {"plugins": {"../../../evil": {"version": "1"}}},
        {"prompts": {"..": {"text": "x"}}},
        {"skills": {"/etc/cron.d/x": {"text": "x"}}},
        {"skills": {"a/b": {"text": "x"}}},
        {"prompts": {"a": {"text": 5}}},
        {"agent": {"scan_interval_s": 0}},
        "[]",
        "{",
    ],
)
def test_a_hostile_document_fails_and_leaves_everything_as_it_was(home, document):
    program = good(home)
    before = sorted(path for path in home.rglob("*") if path.is_file())
    program.trial.offer(desired(2, document))

    assert program.said == ("failed", 2, 1)
    assert program.has("prompts/greeting.md") == "one"
    assert sorted(path for path in home.rglob("*") if path.is_file()) == before


def test_what_cannot_be_written_fails_with_the_reason(home):
    (home / files.FOLDER).write_text("in the way")
    program = Program(home)
    program.trial.offer(desired(1, prompt("one")))

    assert program.said == ("failed", 1, 0)
    assert "FileExistsError" in program.trial.standing().error


def test_where_nothing_proved_itself_yet_what_a_failed_one_keeps_in_stays_in(home):
    (home / files.FOLDER).write_text("in the way")
    program = Program(home)
    program.trial.offer(desired(1, {"redaction": {"words": ["Quandt"]}, **prompt("one")}))

    for each in (program, Program(home)):
        assert each.said == ("failed", 1, 0)
        assert (each.taken[-1].redaction.words, each.taken[-1].prompts) == (["Quandt"], {})


def test_whoever_leaves_and_joins_as_another_begins_without(home):
    good(home)

    joining.forget(home)

    assert Program(home).said == ("none", 0, 0)
    assert Program(home).has("prompts/greeting.md") is None


def test_what_somebody_changes_there_is_told_and_left_as_it_is(home):
    program = good(home)
    current = home / "configuration/current"
    assert program.trial.standing().drift == []
    (current / "prompts/greeting.md").write_text("mine")
    (current / "plugins").mkdir()
    (current / "plugins/own.json").write_text("{}")

    assert program.trial.standing().drift == ["plugins/own.json", "prompts/greeting.md"]
    assert program.has("prompts/greeting.md") == "mine"
    assert trying.seen(home).drift == ["plugins/own.json", "prompts/greeting.md"]
    assert Program(home).has("prompts/greeting.md") == "mine"
    program.trial.offer(desired(2, prompt("two")))
    assert (program.has("prompts/greeting.md"), program.has("plugins/own.json")) == ("two", None)


def test_only_what_the_control_plane_signed_for_this_runtime_is_looked_at(home):
    identity = replace(joined(home), lease_keys={"k1": encoded(KEY.public_key().public_bytes_raw())})
    fit = desired(1, prompt("one"))
    assert checked(identity, fit) == fit

    for forged in (
        replace(fit, key="k2"),
        replace(fit, effective=replace(fit.effective, generation=9)),
        desired(1, prompt("one"), runtime="rt_other"),
        desired(1, prompt("one"), tenant="other"),
        desired(1, prompt("one"), hash="0" * 64),
    ):
        with pytest.raises(ConfigForged):
            checked(identity, forged)


def test_no_document_widens_what_this_machine_allows():
    own = Settings(content="sealed", content_kib_s=100)
    wide = msgspec.convert({"content": {"policy": "plain"}, "agent": {"content_kib_s": 900}}, Document)
    narrow = msgspec.convert({"content": {"policy": "metadata"}, "agent": {"content_kib_s": 9}}, Document)

    assert configured(own, wide) == own
    assert (configured(own, narrow).content, configured(own, narrow).content_kib_s) == ("metadata", 9)
    assert configured(own, Document()) == own


def test_what_is_redacted_leaves_nowhere_and_ids_stay():
    said = SessionState(
        record_id=STORE,
        occurred_at=NOW,
        agent="quandt_agent",
        session="s1",
        changed_at=NOW,
        status="failed",
        started_at=NOW,
        goal="bill QUANDT",
        path=["ask Quandt", "pay"],
        visits={"ask Quandt": 1, "pay": 2},
        attention=["KD-123456 is late"],
        error=Error(name="QuandtError", line="no KD-123456 at Quandt, KD-12345"),
        nodes=[NodeVisit(node="ask Quandt", error=Error(name="E", line="KD-999999"))],
    )
    redaction = Redaction()
    redaction.use(RedactionPart(words=["quandt"], shapes=["KD-######"], withhold=["goals"]))

    found = redaction.of(said)

    assert (found.agent, found.session, found.goal) == ("quandt_agent", "s1", None)
    assert found.error == Error(name="[redacted]Error", line="no [redacted] at [redacted], KD-12345")
    assert found.visits == {"ask [redacted]": 1, "pay": 2}
    text = msgspec.json.encode(replace(found, agent="")).decode().lower()
    assert "quandt" not in text
    assert "kd-123456" not in text
    assert "kd-999999" not in text


def test_what_is_withheld_is_not_there_at_all():
    cost = CostLine(
        record_id=STORE, occurred_at=NOW, agent="a", session="s", entry="e", spent_at=NOW, model="gpt", tool="t"
    )
    redaction = Redaction()
    redaction.use(RedactionPart(withhold=["models", "tools"]))

    assert (redaction.of(cost).model, redaction.of(cost).tool) == (None, None)


async def test_a_program_is_as_its_configuration_says_from_its_first_moment(home, tmp_path):
    good(home).trial.offer(
        desired(
            2,
            {
                "agent": {"scan_interval_s": 5, "content_kib_s": 9, "log_level": "warning"},
                "content": {"policy": "metadata"},
                "redaction": {"words": ["quandt"]},
            },
        )
    )
    own = Settings(content="plain", sources=[f"engine:{tmp_path / 'engine'}"])

    async with opened(Post(home, own, joined(home))) as agent:
        its = agent.post.settings
        assert (its.scan_interval_s, its.content_kib_s, its.content) == (5, 9, "metadata")
        assert agent.taker.settings.content == "metadata"
        assert agent.redaction.text("for Quandt") == "for [redacted]"
        assert isinstance(agent.scanners[0].source, Redacted)
        agent.trial.refuse("a bug")
        assert agent.post.settings.content == "plain"
        assert agent.redaction.text("for Quandt") == "for Quandt"
