"""How many are let in at once."""

import asyncio

import pytest

from controlplane.kit.admission import LONGEST_S, PATIENCE_S, Line, TooManyWait, Turns, Turnstile


class Seconds:
    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


async def order(turns, *names):
    """In which order those of *names* had their turn who all came while one was inside."""
    had, inside = [], asyncio.Event()

    async def one(name):
        async with turns.turn(name):
            if name == "first":
                await inside.wait()
            had.append(name)

    tasks = []
    for name in ("first", *names):
        tasks.append(asyncio.ensure_future(one(name)))
        await asyncio.sleep(0)
    inside.set()
    await asyncio.gather(*tasks)
    return had[1:]


def test_those_of_one_second_come_in_and_each_other_one_is_told_a_time_of_its_own():
    clock = Seconds()
    turnstile = Turnstile(per_s=10, clock=clock)

    waits = [turnstile.enter() for _ in range(13)]

    assert waits == pytest.approx([0.0] * 10 + [0.1, 0.2, 0.3])
    clock.now += 0.1
    assert (turnstile.enter(), turnstile.enter() > 0) == (0.0, True)


def test_nobody_is_told_to_stay_away_so_long_that_they_would_be_missed():
    line = Line(Seconds())

    assert max(line.place(1.0) for _ in range(50)) == LONGEST_S


async def test_one_of_each_name_has_its_turn_after_the_other():
    assert await order(Turns(1, most_waiting=10), "a", "a", "a", "b", "c") == ["a", "b", "c", "a", "a"]


async def test_a_crowd_is_turned_away_beyond_its_share_and_a_newcomer_waits():
    turns = Turns(1, most_waiting=4)
    async with turns.turn("first"):
        crowd = [asyncio.ensure_future(turns.turn("a").__aenter__()) for _ in range(4)]
        await asyncio.sleep(0)
        with pytest.raises(TooManyWait) as many:
            await turns.turn("a").__aenter__()
        newcomer = asyncio.ensure_future(turns.turn("b").__aenter__())
        await asyncio.sleep(0)

        assert many.value.wait_s > 0
        assert not newcomer.done()
        for each in (*crowd, newcomer):
            each.cancel()


async def test_of_those_who_are_turned_away_each_is_told_a_later_time_as_far_as_is_said():
    turns = Turns(1, most_waiting=1, clock=lambda: 100.0, first_guess_s=20.0, longest_s=35.0)
    waits = []
    async with turns.turn("a"), asyncio.TaskGroup() as group:
        waiting = group.create_task(turns.turn("a").__aenter__())
        await asyncio.sleep(0)
        for _ in range(3):
            with pytest.raises(TooManyWait) as refused:
                await turns.turn("a").__aenter__()
            waits.append(refused.value.wait_s)
        waiting.cancel()

    assert waits == [20.0, 35.0, 35.0]


async def test_nobody_waits_longer_than_whoever_calls_does():
    turns = Turns(1, most_waiting=100, first_guess_s=PATIENCE_S / 3)
    async with turns.turn("a"), asyncio.TaskGroup() as group:
        waiting = [group.create_task(turns.turn("a").__aenter__()) for _ in range(3)]
        await asyncio.sleep(0)

        with pytest.raises(TooManyWait):
            await turns.turn("a").__aenter__()
        for each in waiting:
            each.cancel()


async def test_who_leaves_while_waiting_keeps_nobody_from_their_turn():
    turns = Turns(1, most_waiting=10)
    async with turns.turn("first"):
        gone = asyncio.ensure_future(turns.turn("a").__aenter__())
        stays = asyncio.ensure_future(turns.turn("b").__aenter__())
        await asyncio.sleep(0)
        gone.cancel()
    await asyncio.wait_for(stays, 5)

    with pytest.raises(asyncio.CancelledError):
        await gone
