"""Derived ids: the published vectors, and what must never depend on what."""

import re
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from controlplane.domain.sync.identities import Identities, stamp_ms
from controlplane.kit.ids import born_at, text_id

PAGE = Path(__file__).parents[3] / "docs/reference/derived-ids.md"
TENANT, RUNTIME = (UUID(f"019b76da-a800-7000-8000-00000000000{n}") for n in (1, 2))
SESSION = "session_20261109_134125_40151023"

names = st.text(st.characters(codec="utf-8", exclude_characters="\x1f"), min_size=1, max_size=40)


def test_the_published_vectors_hold():
    ids, agent = Identities(TENANT, RUNTIME), "invoice_review"
    checkpoint = ("cp_node_start_intake_20261109_134125", "2026-11-09T13:41:25.485440")

    made = {
        text_id("agt", ids.agent(agent)),
        text_id("ses", ids.session(agent, SESSION)),
        text_id("run", ids.run(agent, SESSION, "2026-11-09T13:41:25.986131+00:00")),
        text_id("cp", ids.checkpoint(agent, SESSION, *checkpoint)),
        str(ids.cost(datetime(2026, 11, 9, 13, 41, 26, tzinfo=UTC), "ce_0001")),
    }

    assert made == set(re.findall(r"`([a-z]+_[0-9a-z]{26}|[0-9a-f-]{36})` \|$", PAGE.read_text(), re.MULTILINE))


def test_a_session_is_born_when_its_name_says():
    born = datetime(2026, 11, 9, 13, 41, 25, tzinfo=UTC)

    assert born_at(Identities(TENANT, RUNTIME).session("any", SESSION)) == born
    assert born_at(Identities(TENANT, RUNTIME).run("any", SESSION, "later")) == born


def test_a_name_without_a_time_takes_the_runtimes():
    for name in ("nightly", "session_20269999_999999_1", "session_2026"):
        assert stamp_ms(name) is None
        assert born_at(Identities(TENANT, RUNTIME).session("any", name)) == born_at(RUNTIME)


@given(names, names)
def test_the_same_name_is_the_same_thing_and_in_no_other_place(agent, session):
    here, again = Identities(TENANT, RUNTIME), Identities(TENANT, RUNTIME)

    assert here.session(agent, session) == again.session(agent, session)
    assert here.session(agent, session) != Identities(TENANT, TENANT).session(agent, session)
    assert here.session(agent, session) != Identities(RUNTIME, RUNTIME).session(agent, session)
    assert here.session(agent, session).version == 7
