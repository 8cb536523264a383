"""What the console draws and how it words things: a session over time, bars by status, numbers and durations."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controlplane.domain.checkpoints import Checkpoint
from controlplane.domain.runs import Run
from controlplane.domain.sessions import Count, Detail, Visit, Whole
from controlplane.http.console import histogram, timeline, words

START = datetime(2026, 11, 9, 13, 41, 25, tzinfo=UTC)
NOW = START + timedelta(hours=2)
SOURCE = {
    "id": UUID(int=1),
    "tenant_id": UUID(int=2),
    "tenant": "acme",
    "project": "default",
    "runtime_id": UUID(int=3),
}
OUTCOME = {
    **SOURCE,
    "agent": "invoice_review",
    "system": "engine",
    "source_id": "session_1",
    "source_status": "",
    "waiting_for": None,
    "quality": "clean",
    "attention": [],
    "ended_at": None,
    "duration_ms": None,
    "path": [],
    "steps": 0,
    "retries": 0,
    "input_tokens": 0,
    "output_tokens": 0,
}


def after(seconds):
    return START + timedelta(seconds=seconds)


def session(status="succeeded", changed=60.0, **given):
    return Whole(
        **OUTCOME,
        current_node=None,
        logged_input_tokens=0,
        logged_output_tokens=0,
        detail={},
        status=status,
        started_at=START,
        changed_at=after(changed),
        updated_at=after(changed),
        **given,
    )


def checkpoint(type_, node, seconds):
    return Checkpoint(
        **SOURCE,
        session_id=UUID(int=1),
        agent="invoice_review",
        system="engine",
        source_id="cp",
        type=type_,
        node=node,
        next_node=None,
        clean=True,
        created_at=after(seconds),
    )


def run(seconds, trace):
    return Run(
        **OUTCOME,
        status="succeeded",
        started_at=after(seconds),
        changed_at=after(seconds),
        session_id=UUID(int=1),
        trace=trace,
        execution="",
    )


def visit(node, seconds, **given):
    return Visit(node=node, latency_ms=int(seconds * 1000), **given)


def test_a_visit_begins_where_its_checkpoint_says():
    detail = Detail(nodes=[visit("intake", 2), visit("report", 3)])
    made = [checkpoint("node_start", "intake", 1), checkpoint("node_start", "report", 10)]

    first, second = timeline.place(session(), detail, made, [], NOW)

    assert (first.start, first.end, first.inferred) == (after(1), after(3), False)
    assert (second.start, second.end) == (after(10), after(13))


def test_without_a_checkpoint_a_visit_follows_the_one_before_and_is_marked():
    detail = Detail(nodes=[visit("intake", 2), visit("report", 3)])

    first, second = timeline.place(session(), detail, [], [], NOW)

    assert (first.start, second.start, second.end) == (START, after(2), after(5))
    assert first.inferred
    assert second.inferred


def test_the_second_visit_of_a_node_takes_its_second_start():
    detail = Detail(nodes=[visit("draft", 1), visit("check", 1), visit("draft", 1)])
    made = [checkpoint("node_start", node, n) for node, n in (("draft", 0), ("check", 2), ("draft", 4))]

    placed = timeline.place(session(), detail, made, [], NOW)

    assert [one.start for one in placed] == [START, after(2), after(4)]


def test_visits_that_were_not_sent_take_their_starts_with_them():
    detail = Detail(nodes=[visit("draft", 1)], nodes_omitted=2)
    made = [checkpoint("node_start", "draft", n) for n in (0, 5, 10)]

    [only] = timeline.place(session(), detail, made, [], NOW)

    assert only.start == after(10)


def test_a_resumed_runs_visits_begin_with_the_run():
    detail = Detail(nodes=[visit("intake", 2, trace="a"), visit("report", 3, trace="b")])

    placed = timeline.place(session(), detail, [], [run(0, "a"), run(300, "b")], NOW)

    assert [one.start for one in placed] == [START, after(300)]


@pytest.mark.parametrize(("status", "end"), [("running", NOW), ("lost", after(60)), ("waiting", after(60))])
def test_the_visit_under_way_is_open(status, end):
    detail = Detail(nodes=[visit("intake", 2)])
    made = [checkpoint("node_start", "intake", 0), checkpoint("node_start", "report", 2)]

    *_, last = timeline.place(session(status), detail, made, [], NOW)

    assert (last.visit.node, last.open, last.start, last.end) == ("report", True, after(2), end)


def test_a_pause_between_runs_is_a_wait_and_a_long_one_is_cut_short():
    detail = Detail(nodes=[visit("intake", 10, trace="a"), visit("report", 10, trace="b")])

    drawn = timeline.draw(session(), detail, [], [run(0, "a"), run(3600, "b")], NOW)

    [gap] = drawn.gaps
    assert (gap.wait.start, gap.wait.end, gap.cut) == (after(10), after(3600), True)
    assert gap.width < 20
    assert [label.after_ms for label in drawn.labels] == [0, 10_000, 3_600_000]


def test_what_waits_still_waits_until_now():
    drawn = timeline.draw(session("waiting", changed=5), Detail(nodes=[visit("intake", 5)]), [], [], NOW)

    [gap] = drawn.gaps
    assert (gap.wait.start, gap.wait.end, gap.wait.still) == (after(5), NOW, True)


def test_attempts_of_one_visit_are_stacked():
    detail = Detail(nodes=[visit("draft", 1), visit("draft", 1, attempt=2), visit("check", 1)])

    rows = timeline.draw(session(), detail, [], [], NOW).rows

    assert [(row.node, len(row.bars), row.retries) for row in rows] == [("draft", 2, 1), ("check", 1, 0)]


visits = st.builds(
    visit,
    st.sampled_from(["intake", "draft", "check"]),
    st.floats(0, 10_000),
    attempt=st.integers(1, 3),
    retries=st.integers(0, 5),
    trace=st.sampled_from(["", "a", "b"]),
)
marks = st.builds(
    checkpoint,
    st.sampled_from(["node_start", "node_complete", "pause"]),
    st.sampled_from(["intake", "draft", None]),
    st.floats(-5_000, 50_000),
)


@given(
    st.sampled_from(["running", "waiting", "succeeded", "failed", "lost", "cancelled"]),
    st.lists(visits, max_size=12),
    st.lists(marks, max_size=20),
    st.lists(st.builds(run, st.floats(-100, 50_000), st.sampled_from(["", "a", "b"])), max_size=4),
    st.integers(0, 3),
)
def test_whatever_was_reported_is_drawn_inside_the_picture(status, nodes, made, runs, omitted):
    detail = Detail(nodes=nodes, nodes_omitted=omitted)

    drawn = timeline.draw(session(status), detail, made, runs, NOW)

    assert sum(len(row.bars) for row in drawn.rows) == len(drawn.placed) >= len(nodes)
    for bar in (bar for row in drawn.rows for bar in row.bars):
        assert 0 <= bar.x <= 100
        assert bar.width > 0
        assert bar.x + bar.width <= 100.01
    assert all(0 <= mark.x <= 100 for mark in drawn.marks)
    assert all(0 <= gap.x <= 100 and 0 <= gap.width <= 100 for gap in drawn.gaps)


def test_bars_stand_in_their_buckets_and_add_up():
    hour = timedelta(hours=1)
    counts = [
        Count(tenant="acme", at=START, status="failed", sessions=1),
        Count(tenant="birch", at=START, status="failed", sessions=2),
        Count(tenant="acme", at=START + 2 * hour, status="succeeded", sessions=9),
    ]

    drawn = histogram.draw(counts, START, START + 4 * hour, hour)

    assert [bucket.counts for bucket in drawn.buckets] == [{"failed": 3}, {}, {"succeeded": 9}, {}]
    assert (drawn.peak, drawn.total, drawn.totals["failed"]) == (9, 12, 3)
    assert all(bar.y >= 0 for bucket in drawn.buckets for bar in bucket.bars)


def test_one_failure_among_thousands_can_be_seen():
    counts = [
        Count(tenant="acme", at=START, status=status, sessions=n)
        for status, n in (("succeeded", 99_999), ("failed", 1))
    ]

    [bucket] = histogram.draw(counts, START, START + timedelta(hours=1), timedelta(hours=1)).buckets

    assert all(bar.height >= histogram.SMALLEST for bar in bucket.bars)


@pytest.mark.parametrize(
    ("milliseconds", "said"),
    [
        (None, "—"),
        (0, "0 ms"),
        (480, "480 ms"),
        (12_718, "12.7 s"),
        (59_940, "59.9 s"),
        (59_999, "1 min"),
        (192_000, "3 min 12 s"),
        (8_040_000, "2 h 14 min"),
        (7_200_000, "2 h"),
        (200_000_000, "2 d 7 h"),
    ],
)
def test_durations_read_as_one_says_them(milliseconds, said):
    assert words.duration(milliseconds) == said


@pytest.mark.parametrize(
    ("number", "said"),
    [(0, "0"), (812, "812"), (12_762, "12.8k"), (99_999, "100k"), (999_999, "1.0M"), (1_548_120, "1.5M")],
)
def test_large_numbers_keep_three_figures(number, said):
    assert words.compact(number) == said


@pytest.mark.parametrize(
    ("part", "whole", "said"),
    [(0, 0, "0 %"), (0, 9, "0 %"), (1, 9_999, "1 %"), (9_998, 9_999, "99 %"), (9, 9, "100 %")],
)
def test_a_share_is_never_nothing_or_everything_when_it_is_not(part, whole, said):
    assert words.share(part, whole) == said


@pytest.mark.parametrize(
    ("micro", "said"),
    [(None, "—"), (0, "$0.00"), (18_300, "$0.0183"), (4_890_000, "$4.89"), (1_234_567_890, "$1,234.57")],
)
def test_dollars_show_what_matters(micro, said):
    assert words.usd(micro) == said
