"""Polls over a WebSocket: the same answers, and when it is closed, and with which word."""

import asyncio
from datetime import timedelta

import pytest

from controlplane.domain import commands, runtimes
from controlplane.domain.commands import Wanted
from controlplane.http.console.live import Streams
from controlplane.http.runtime_api import admission, channel
from controlplane.kit.ids import RuntimeId
from runtime_agent.wire.channel import FRAME_BYTES, GOING
from tests.http.agents import Agent
from tests.http.dialling import Line
from tests.make import SHELL, bearer


@pytest.fixture
def line(app, agent):
    return Line(app, agent.token)


@pytest.fixture
def ask(db, tenant, agent):
    async def ask(kind="rescan"):
        async with db.tenant(tenant.tenant_id) as tx:
            wanted = Wanted(kind=kind, runtime_id=RuntimeId(agent.answer.runtime_id))
            return await commands.create(tx, SHELL, wanted)

    return ask


@pytest.fixture
def revoke(db, tenant, agent):
    async def revoke():
        async with db.tenant(tenant.tenant_id) as tx:
            await runtimes.revoke(tx, SHELL, RuntimeId(agent.answer.runtime_id))

    return revoke


async def waiting(app):
    """Until somebody there waits for something new."""
    while not app.state.wakeups._listening:  # noqa: ASYNC110 it is about to
        await asyncio.sleep(0)
    await asyncio.sleep(0.05)


async def test_a_question_is_answered_as_a_poll_is_and_then_the_next(agent, line, ask):
    await ask()
    async with line:
        line.say(wait=20)
        first = await line.heard()
        line.say(store=first["store_id"], after=first["orders"][0]["command"]["number"], wait=0)
        second = await line.heard()

    polled = (await agent.client.get("/v1/runtime/poll?tails=-&config=0", headers=bearer(agent.token))).json()
    assert first == polled
    assert [order["command"]["kind"] for order in first["orders"]] == ["rescan"]
    assert len(second["orders"]) == 1, "it was not acknowledged"


async def test_who_waits_hears_at_once_and_meanwhile_holds_no_connection_to_the_database(app, db, line, ask):
    async with line:
        line.say(wait=20)
        await waiting(app)
        assert db._engine.pool.checkedout() == 0

        asked = await ask("drain")

        assert [order["command"]["number"] for order in (await line.heard())["orders"]] == [asked.number]


async def test_a_question_takes_the_place_of_the_one_that_waits(app, line):
    async with line:
        line.say(wait=25)
        await waiting(app)
        line.say(wait=0)

        assert (await line.heard())["orders"] == []


@pytest.mark.parametrize("token", ["", "eyJhbGciOiJFZDI1NTE5In0.e30.c2lnbmF0dXJl"])
async def test_without_a_runtimes_token_it_is_not_opened(app, token):
    async with Line(app, token) as line:
        assert line.refused == (4401, "authentication-required")


async def test_what_it_does_not_know_in_the_address_is_refused(app, agent):
    async with Line(app, agent.token, query="wait=25") as line:
        assert line.refused == (4400, "validation-failed")


async def test_a_runtime_that_is_revoked_is_closed_out_at_once(app, agent, line, revoke):
    async with line:
        line.say(wait=25)
        await waiting(app)

        await revoke()

        assert await line.closed() == (4403, "revoked")
    async with Line(app, agent.token) as again:
        again.say()
        assert await again.closed() == (4403, "revoked")


async def test_it_ends_with_the_token_that_it_was_opened_with(clock, line):
    async with line:
        line.say()
        await line.heard()
        clock.forward(timedelta(minutes=10))
        line.say()

        assert await line.closed() == (4401, "authentication-required")


@pytest.mark.parametrize("frame", ["{", "[]", '{"wait": 51}', '{"tails": ["x"]}', " " * FRAME_BYTES + "{}"])
async def test_what_is_no_question_ends_it(line, frame):
    async with line:
        line.say(frame)

        assert await line.closed() == (4400, "frame-unfit")


async def test_who_asks_nothing_is_not_waited_for(line, monkeypatch):
    monkeypatch.setattr(channel, "QUESTION_WITHIN_S", 0.05)
    async with line:
        assert await line.closed() == (4408, "channel-silent")


async def test_a_runtime_has_one_and_the_newest_counts(app, agent, line):
    async with line:
        line.say(wait=25)
        await waiting(app)
        async with Line(app, agent.token) as newer:
            assert await line.closed() == (4409, "channel-replaced")
            newer.say()
            assert (await newer.heard())["orders"] == []

    assert app.state.open_channels._by_runtime == {}


async def test_a_replica_that_ends_answers_with_a_hint_and_hangs_up(app, line):
    streams = app.state.streams = Streams(drain_s=0.2)
    async with line:
        line.say(wait=25)
        await waiting(app)

        streams.end()

        assert (await line.heard())["again_ms"] == 5_000
        assert await line.closed() == (GOING, "")


async def test_questions_are_let_in_as_polls_are(app, client, clock, make, line, monkeypatch):
    other = Agent(client, clock)
    await other.enroll(await make.join_token(await make.tenant()))
    monkeypatch.setattr(admission, "OF_ONE_TENANT", 2 / admission.POLL.per_s)
    async with line:
        line.say()
        await line.heard()
        line.say()
        assert await line.closed() == (4429, "rate-limited")
    async with Line(app, other.token) as others:
        others.say()
        assert (await others.heard())["orders"] == []


async def test_who_hangs_up_leaves_nothing_behind(app, line):
    async with line:
        line.say(wait=25)
        await waiting(app)
        line.hang_up()
        await asyncio.wait_for(line.task, 5)

    assert app.state.wakeups._listening == {}
    assert app.state.open_channels._by_runtime == {}


async def test_it_is_no_address_for_calls(client, agent):
    answer = await client.get("/v1/runtime/channel", headers=bearer(agent.token))

    assert answer.status_code in (404, 405)
