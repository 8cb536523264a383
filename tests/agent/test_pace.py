"""Leaving the server alone: arithmetic, and one pace for all loops."""

from hypothesis import given
from hypothesis import strategies as st

from runtime_agent import backoff
from runtime_agent.pace import Pace

ROLLS = st.floats(0, 1, exclude_max=True)


class Rolls:
    """Chance, as the test chooses it, and a clock that it moves."""

    def __init__(self, *rolls):
        self.now, self._rolls = 0.0, list(rolls)

    def monotonic(self):
        return self.now

    def roll(self):
        return self._rolls.pop(0) if self._rolls else 0.5

    def pace(self):
        return Pace(monotonic=self.monotonic, roll=self.roll)


def test_windows_double_up_to_64_seconds():
    assert [backoff.window_s(attempt) for attempt in (1, 2, 3, 7, 8, 100)] == [1, 2, 4, 64, 64, 64]


@given(st.lists(ROLLS, min_size=1, max_size=20))
def test_every_retry_falls_inside_its_own_window(rolls):
    at, begins, last = 0.0, 0.0, 0.0
    for attempt, roll in enumerate(rolls, start=1):
        at += backoff.delay_s(attempt, last, roll)
        width = backoff.window_s(attempt)
        assert begins - 1e-6 <= at <= begins + width + 1e-6
        begins, last = begins + width, roll


@given(ROLLS, st.floats(0, 600))
def test_a_busy_server_is_given_what_it_asked_for_and_at_most_twice_that(roll, asked):
    assert asked <= backoff.admitted_s(asked, roll) <= 2 * asked


def test_a_lost_connection_waits_a_part_of_the_fleets_window_first():
    chance = Rolls(0.5)
    pace = chance.pace()
    pace.answered()
    pace.window_ms = 40_000

    pace.failed()

    assert pace.wait_s() == 20.0


def test_a_server_that_never_answered_is_tried_in_growing_windows():
    chance = Rolls(0.5, 0.5, 0.5)
    pace, waits = chance.pace(), []
    for _ in range(3):
        pace.failed()
        waits.append(pace.wait_s())
        chance.now += waits[-1]

    assert waits == [0.5, 0.5 + 1.0, 1.0 + 2.0]


def test_two_calls_that_fail_together_count_once():
    chance = Rolls(0.5, 0.9)
    pace = chance.pace()

    pace.failed()
    pace.failed()

    assert pace.wait_s() == 0.5


def test_a_busy_server_is_not_a_lost_one():
    pace = Rolls(0.25).pace()

    pace.busy(10.0)

    assert pace.connected is True
    assert pace.wait_s() == 12.5


def test_an_answer_ends_the_counting_and_a_refusal_makes_asking_rare():
    chance = Rolls(0.0, 0.0)
    pace = chance.pace()
    pace.failed()
    pace.answered()
    assert pace.wait_s() == 0.0

    pace.refused()

    assert pace.wait_s() == backoff.SLOW_S
