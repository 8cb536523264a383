"""The table of statuses, row by row."""

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runtime_agent.sources.engine.status import TABLE, Facts, Standing, run_standing, standing
from runtime_agent.sources.source import STALE_AFTER
from runtime_agent.wire.types import Status, WaitingFor
from tests.agent.homes import NOW

PAUSED = NOW - timedelta(hours=2)
BEFORE = PAUSED - timedelta(minutes=5)
AFTER = PAUSED + timedelta(minutes=5)
FRESH = NOW - STALE_AFTER
STALE = NOW - STALE_AFTER - timedelta(microseconds=1)
BY_USER = "Execution paused by user (SIGINT)"


def facts(**told: Any) -> Facts:
    return Facts(**{"now": NOW, "touched_at": STALE, **told})


@pytest.mark.parametrize(
    ("told", "status", "waiting_for"),
    [
        ({"word": "completed", "outcome": "failure"}, "succeeded", None),
        ({"word": "failed", "outcome": "success"}, "failed", None),
        ({"word": "cancelled", "outcome": "success"}, "cancelled", None),
        ({"word": "pending_human_approval", "outcome": "failure"}, "waiting", "human_approval"),
        ({"word": "paused", "outcome": "success", "summary_started_at": AFTER}, "succeeded", None),
        ({"word": "paused", "outcome": "degraded", "summary_started_at": AFTER}, "succeeded", None),
        ({"word": "paused", "outcome": "failure", "summary_started_at": AFTER}, "failed", None),
        ({"word": "paused", "outcome": "failure", "summary_started_at": AFTER, "error": BY_USER}, "failed", None),
        ({"word": "paused", "outcome": "paused", "summary_started_at": AFTER}, "waiting", "human_approval"),
        ({"word": "paused", "outcome": "success", "summary_started_at": PAUSED}, "waiting", "human_approval"),
        ({"word": "paused", "outcome": "success", "summary_started_at": BEFORE}, "waiting", "human_approval"),
        ({"word": "paused", "outcome": "paused", "summary_started_at": BEFORE, "error": BY_USER}, "waiting", "resume"),
        ({"word": "paused", "error": BY_USER}, "waiting", "resume"),
        ({"word": "paused"}, "waiting", "human_approval"),
        ({"word": "active", "touched_at": FRESH}, "running", None),
        ({"word": "active", "touched_at": FRESH, "outcome": "success"}, "running", None),
        ({"word": "active", "touched_at": STALE}, "lost", None),
        ({"word": "active", "touched_at": STALE, "outcome": "success"}, "lost", None),
        ({"word": "active", "touched_at": None}, "lost", None),
        ({"word": "", "outcome": "success"}, "succeeded", None),
        ({"word": "", "outcome": "degraded"}, "succeeded", None),
        ({"word": "", "outcome": "failure"}, "failed", None),
        ({"word": "", "outcome": "paused"}, "waiting", "human_approval"),
        ({"word": "", "outcome": "paused", "error": BY_USER}, "waiting", "resume"),
        ({"word": "", "touched_at": FRESH}, "running", None),
        ({"word": "", "touched_at": STALE}, "lost", None),
        ({"word": "archived", "outcome": "success"}, "succeeded", None),
    ],
)
def test_every_row_of_the_table_says_what_is_promised(
    told: dict[str, Any], status: Status, waiting_for: WaitingFor | None
) -> None:
    assert standing(facts(paused_at=PAUSED, **told)) == Standing(status, waiting_for)


anything = st.builds(
    Facts,
    word=st.sampled_from(
        ["completed", "failed", "cancelled", "pending_human_approval", "paused", "active", "", "archived"]
    ),
    error=st.sampled_from(["", "boom", "Execution paused by user", BY_USER]),
    paused_at=st.sampled_from([None, PAUSED]),
    outcome=st.sampled_from(["", "success", "degraded", "failure", "paused", "in_progress"]),
    summary_started_at=st.sampled_from([None, BEFORE, PAUSED, AFTER]),
    touched_at=st.sampled_from([None, STALE, FRESH, NOW, NOW + timedelta(hours=1)]),
    now=st.just(NOW),
)


@settings(max_examples=500, deadline=None)
@given(anything)
def test_every_session_fits_exactly_one_row(told: Facts) -> None:
    assert len([row.name for row in TABLE if row.fits(told)]) == 1


@settings(max_examples=300, deadline=None)
@given(anything)
def test_only_what_waits_says_what_for(told: Facts) -> None:
    for found in (standing(told), run_standing(told)):
        assert (found.waiting_for is not None) == (found.status == "waiting")


def test_a_run_that_paused_for_a_human_is_no_success_although_its_summary_says_so() -> None:
    told = facts(word="paused", outcome="success", paused_at=PAUSED, summary_started_at=BEFORE)

    assert run_standing(told) == Standing("waiting", "human_approval")
