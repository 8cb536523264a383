"""Naive local times in zones whose clocks jump."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runtime_agent.sources import UnknownZone, zone_of
from runtime_agent.sources.engine.times import Times, compact, raw

BERLIN = Times(zone=ZoneInfo("Europe/Berlin"), latest=datetime(2030, 1, 1, tzinfo=UTC))


def test_a_naive_time_is_read_in_the_zone_of_the_source() -> None:
    assert BERLIN.local("2026-07-01T12:00:00.5") == datetime(2026, 7, 1, 10, 0, 0, 500_000, tzinfo=UTC)


def test_an_aware_time_keeps_its_own_offset() -> None:
    assert BERLIN.local("2026-07-01T12:00:00+05:45") == datetime(2026, 7, 1, 6, 15, tzinfo=UTC)


def test_a_time_that_the_clock_shows_twice_is_the_first_unless_something_came_before_it() -> None:
    first = BERLIN.local("2026-10-25T02:30:00")
    second = BERLIN.local("2026-10-25T02:30:00", not_before=datetime(2026, 10, 25, 0, 50, tzinfo=UTC))

    assert first == datetime(2026, 10, 25, 0, 30, tzinfo=UTC)
    assert second == datetime(2026, 10, 25, 1, 30, tzinfo=UTC)


def test_a_time_that_the_clock_skips_is_read_as_if_it_had_not_jumped() -> None:
    assert BERLIN.local("2026-03-29T02:30:00") == datetime(2026, 3, 29, 1, 30, tzinfo=UTC)


def test_an_earlier_time_that_is_not_ambiguous_is_left_as_it_is() -> None:
    at = BERLIN.local("2026-07-01T12:00:00", not_before=datetime(2026, 7, 1, 11, tzinfo=UTC))

    assert at == datetime(2026, 7, 1, 10, tzinfo=UTC)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "yesterday",
        "2026-13-01T00:00:00",
        "2026-02-30T00:00:00",
        "0001-01-01T00:00:00",
        "9999-12-31T23:59:59",
        "1999-12-31T23:59:59",
        "2031-01-01T00:00:00",
        "2026-07-01T12:00:00+99:00",
        "2026-07-01",
        "2026-07-01T12:00:00" + "0" * 100,
        None,
        17,
        float("nan"),
        [],
    ],
)
def test_what_is_no_instant_of_a_session_is_none(text: object) -> None:
    assert BERLIN.local(text) is None
    assert BERLIN.utc(text) is None


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=80))
def test_any_text_is_an_instant_or_none(text: str) -> None:
    assert BERLIN.local(text) is None or raw(text) == text
    assert BERLIN.named(compact(text)) is None or compact(text)


@settings(max_examples=200, deadline=None)
@given(st.datetimes(min_value=datetime(2001, 1, 1), max_value=datetime(2029, 1, 1)))
def test_reading_a_time_back_is_off_by_no_more_than_the_clock_jumped(told: datetime) -> None:
    at = BERLIN.local(told.isoformat())

    assert at is not None
    assert abs(at.astimezone(ZoneInfo("Europe/Berlin")).replace(tzinfo=None) - told) <= timedelta(hours=1)


def test_the_last_time_in_an_id_counts() -> None:
    assert compact("cp_node_start_import_20200101_000000_20261109_134125") == "20261109_134125"


def test_a_zone_that_the_machine_does_not_know_is_refused_by_name() -> None:
    assert zone_of("") is None
    assert zone_of("utc") is UTC
    for name in ("Mars/Olympus", "../../etc/passwd", "x\0y"):
        with pytest.raises(UnknownZone):
            zone_of(name)
