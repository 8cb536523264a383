"""How many runtimes are let in at once, and how they are sent away when a replica ends."""

import asyncio

import msgspec
import pytest

from controlplane.http.console.live import Streams
from controlplane.http.runtime_api import admission
from controlplane.kit.admission import Turns
from runtime_agent.wire.commands import Orders
from runtime_agent.wire.heartbeat import Pulse
from tests.http.agents import TOKEN, Agent, code
from tests.logs import session

BEAT, POLL = "/v1/runtime/heartbeat", "/v1/runtime/poll"


@pytest.fixture
def doors(app):
    return app.state.admission


async def beat(agent):
    return await agent.post(BEAT, agent.beat())


async def poll(agent, wait_s):
    reply = await agent.client.get(f"{POLL}?wait={wait_s}", headers={"authorization": f"Bearer {agent.token}"})
    return msgspec.json.decode(reply.content, type=Orders)


async def test_a_tenants_crowd_is_asked_to_wait_and_another_tenants_runtime_is_not(
    agent, client, clock, make, monkeypatch
):
    other = Agent(client, clock)
    await other.enroll(await make.join_token(await make.tenant()))
    monkeypatch.setattr(admission, "OF_ONE_TENANT", 1 / admission.HEARTBEAT.per_s)

    first, second = await beat(agent), await beat(agent)

    assert first.status_code == 200
    assert code(second) == (429, "rate-limited")
    assert int(second.headers["retry-after"]) >= 1
    assert (await beat(other)).status_code == 200


async def test_in_need_joining_waits_first_and_a_heartbeat_last(agent, doors):
    async def let_in(late_s):
        doors.late_s = late_s
        token = await agent.post(TOKEN, agent.asks_for_a_token(nonce=f"nonce at {late_s} s, long"))
        hello = await agent.post("/v1/runtime/sync/hello", {})
        joined = await agent.enroll("not a token")
        return [reply.status_code != 429 for reply in (joined, hello, token, await beat(agent))]

    assert [await let_in(late_s) for late_s in (2.1, 3.1, 5.1, 10.1)] == [
        [False, True, True, True],
        [False, False, True, True],
        [False, False, False, True],
        [False, False, False, False],
    ]


async def test_a_large_batch_waits_for_others_and_a_small_one_does_not(agent, doors):
    log = await agent.log()
    log.write(*map(session, range(1, admission.LARGE + 3)))
    doors.large = Turns(1, most_waiting=1)
    async with doors.large.turn("somebody else"):
        small = await agent.send(log, 1, 1)
        large = asyncio.ensure_future(agent.send(log, 2, admission.LARGE + 2))
        while not doors.large._waiting:  # noqa: ASYNC110 it is about to
            await asyncio.sleep(0)
        another = await agent.send(log, 2, admission.LARGE + 2)

        assert small.status_code == 200
        assert code(another) == (429, "rate-limited")
        assert not large.done()

    assert (await large).status_code == 200


async def test_a_herd_that_comes_leaves_the_database_to_those_who_are_there(agent, doors):
    doors.coming = Turns(1, most_waiting=1)
    async with doors.coming.turn("somebody else"):
        waits = asyncio.ensure_future(agent.post(TOKEN, agent.asks_for_a_token()))
        while not doors.coming._waiting:  # noqa: ASYNC110 it is about to
            await asyncio.sleep(0)

        assert code(await agent.post(TOKEN, agent.asks_for_a_token())) == (429, "rate-limited")
        assert (await beat(agent)).status_code == 200

    assert (await waits).status_code == 200


async def test_the_window_to_come_back_in_grows_with_the_fleet(agent, doors):
    small = msgspec.json.decode((await beat(agent)).content, type=Pulse).reconnect_window_ms
    doors.talking = 10_000
    large = msgspec.json.decode((await beat(agent)).content, type=Pulse).reconnect_window_ms

    assert (small, large) == (5_000, 50_000)


async def test_a_replica_that_ends_lets_polls_go_with_a_hint_and_takes_no_new_calls(agent, app, client):
    streams = app.state.streams = Streams(drain_s=0.2)
    waiting = asyncio.ensure_future(poll(agent, 25))
    while not app.state.wakeups._listening:  # noqa: ASYNC110 it is about to
        await asyncio.sleep(0)

    streams.end()

    assert ((await waiting).again_ms, (await poll(agent, 25)).again_ms) == (5_000, 5_000)
    assert code(await client.get("/readyz")) == (503, "ending")
    assert (await beat(agent)).status_code == 200
