"""Polls over a WebSocket in the agent: taken while it works, left alone for a while when it does not."""

import asyncio
from uuid import UUID

import msgspec
import pytest

from runtime_agent.channel import AGAIN_S, SELDOM_S, Channel
from runtime_agent.http import Unreachable
from runtime_agent.sockets import Closed, Cut
from runtime_agent.wire.channel import GOING, OVER, Asking
from runtime_agent.wire.commands import Orders

STORE = UUID(int=7)
TAIL = "tail_" + "0" * 26


class Server:
    """Answers polls, and remembers which."""

    def __init__(self):
        self.http = self.tokens = self
        self.url, self.polls = "https://cp.example", []

    async def current(self):
        return "token"

    async def poll(self, *asked):
        self.polls.append(asked)
        return Orders(store_id=STORE, orders=[], again_ms=1)


class Socket:
    """Does with each question what *fates* say: answers it, swallows it, or closes with a code."""

    def __init__(self, *fates):
        self.fates, self.asked, self.hung_up = list(fates), [], False

    async def send(self, text):
        self.asked.append(msgspec.json.decode(text, type=Asking))

    async def receive(self):
        fate = self.fates.pop(0) if self.fates else "answer"
        if fate == "swallow":
            await asyncio.Event().wait()
        if fate == "cut":
            raise Cut("cut")
        if isinstance(fate, int):
            raise Closed("closed", fate)
        return msgspec.json.encode(Orders(store_id=STORE, orders=[])) if fate == "answer" else fate

    async def close(self):
        self.hung_up = True


class Line:
    """A channel, and what is at its other end: each opening takes the next socket; None: it is refused."""

    def __init__(self, *sockets):
        self.sockets, self.dialled, self.now, self.server = list(sockets), [], 0.0, Server()
        self.channel = Channel(
            self.server, self.dial, monotonic=lambda: self.now, roll=lambda: 0.5, within_s=(0.05, 0.1)
        )

    async def dial(self, url, headers):
        self.dialled.append((url, headers["Authorization"]))
        socket = self.sockets.pop(0) if self.sockets else None
        if socket is None:
            raise Closed("HTTP 403")
        return socket

    async def poll(self, wait_s=25):
        """Whether it went over the WebSocket."""
        before = len(self.server.polls)
        await self.channel.poll(STORE, 3, wait_s, 4, (TAIL,))
        return len(self.server.polls) == before


async def test_it_is_asked_over_the_socket_and_the_first_question_waits_for_nothing():
    socket = Socket()
    line = Line(socket)

    assert [await line.poll(), await line.poll()] == [True, True]

    assert [asking.wait for asking in socket.asked] == [0, 25]
    assert socket.asked[1] == Asking(store=STORE, after=3, wait=25, config=4, tails=[TAIL])
    assert line.dialled == [("wss://cp.example/v1/runtime/channel", "Bearer token")]
    await line.channel.close()
    assert socket.hung_up


@pytest.mark.parametrize("fate", ["swallow", 1006, 4403, b"<html>", "{}"])
async def test_whatever_becomes_of_it_the_question_is_asked_by_a_poll(fate):
    for fates in ([fate], ["answer", fate]):
        line = Line(Socket(*fates))
        went = [await line.poll() for _ in fates]

        assert went[-1] is False
        assert line.server.polls == [(STORE, 3, 25, 4, (TAIL,))]
        assert not line.channel.is_open


async def test_one_that_is_cut_off_counts_as_a_poll_that_breaks_so_that_a_herd_comes_back_spread_out():
    line = Line(Socket("answer", "cut"))
    await line.poll()

    with pytest.raises(Unreachable):
        await line.poll()

    assert not await line.poll()


async def test_it_is_tried_again_later_and_ever_more_seldom():
    line, waited = Line(), []
    for _ in range(8):
        tried = len(line.dialled)
        await line.poll()
        assert len(line.dialled) == tried + 1
        before = line.now
        while len(line.dialled) == tried + 1:
            line.now += 5
            await line.poll()
        waited.append(line.now - before)
        line.now += 1e6

    assert waited[0] == AGAIN_S * 1.5
    assert waited[1] > waited[0]
    assert max(waited) <= SELDOM_S * 1.5


async def test_what_worked_for_a_while_is_tried_again_soon():
    line = Line(None, None, Socket("answer", "answer", 1006), Socket())
    for _ in range(2):
        await line.poll()
        line.now += 1e6
    assert [await line.poll() for _ in range(3)] == [True, True, False]

    line.now += AGAIN_S * 1.5

    assert await line.poll()


@pytest.mark.parametrize("code", [GOING, OVER])
async def test_what_ends_as_it_should_is_opened_again_at_once(code):
    line = Line(Socket("answer", code), Socket())

    assert [await line.poll() for _ in range(3)] == [True, False, True]


async def test_where_there_is_no_such_thing_polls_do():
    line = Line()
    line.channel = Channel(line.server, None)

    assert not await line.poll()
    assert not line.dialled


async def test_an_answer_that_nobody_waited_for_is_not_taken_for_the_next():
    socket = Socket("answer", "swallow")
    line = Line(socket, Socket())
    await line.poll()
    left = asyncio.ensure_future(line.poll())
    await asyncio.sleep(0.01)
    left.cancel()
    await asyncio.gather(left, return_exceptions=True)

    assert await line.poll()
    assert len(socket.asked) == 2
