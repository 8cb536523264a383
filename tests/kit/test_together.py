"""Questions that come at about the same time."""

import asyncio

import pytest

from controlplane.kit.together import Together


async def test_those_who_ask_at_once_are_answered_by_one_call_each_with_its_own():
    calls = []

    async def doubled(numbers):
        calls.append(len(numbers))
        await asyncio.sleep(0)
        return [2 * number for number in numbers]

    together = Together(doubled, most=3)

    assert await asyncio.gather(*(together.ask(n) for n in range(5))) == [0, 2, 4, 6, 8]
    assert calls == [3, 2]


async def test_whoever_leaves_and_whatever_fails_leaves_the_next_call_alone():
    async def picky(numbers):
        if 0 in numbers:
            raise ValueError("nothing comes of nothing")
        return numbers

    together = Together(picky, most=2)
    gone = asyncio.ensure_future(together.ask(1))
    tries = [asyncio.ensure_future(together.ask(n)) for n in (2, 0, 3, 4)]
    await asyncio.sleep(0)
    gone.cancel()

    found = await asyncio.gather(*tries, return_exceptions=True)

    assert [type(each) for each in found] == [int, ValueError, ValueError, int]
    with pytest.raises(ValueError, match="nothing"):
        await together.ask(0)
