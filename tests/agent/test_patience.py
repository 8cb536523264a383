"""An agent that is asked for patience: with what it is asked for, and no more."""

import asyncio
import contextlib
from uuid import uuid4

import httpx
import pytest

from runtime_agent import daemon
from runtime_agent.agent import Post, opened
from runtime_agent.http import Unreachable
from runtime_agent.outbox import inbox
from runtime_agent.settings import Settings
from runtime_agent.wire.commands import Command
from tests.agent.reference import ReferenceServer
from tests.agent.rig import Clock, joined


class Crowded(httpx.AsyncBaseTransport):
    """A control plane that takes no more logs for now, and is about to end."""

    def __init__(self):
        self.server = ReferenceServer()

    async def handle_async_request(self, request):
        if request.url.path.startswith("/v1/runtime/sync"):
            return httpx.Response(429, headers={"retry-after": "10"}, json={"code": "rate-limited", "status": 429})
        if request.url.path == "/v1/runtime/poll":
            return httpx.Response(200, json={"store_id": str(self.server.store_id), "orders": [], "again_ms": 60_000})
        return self.server.answer(request)


@pytest.fixture
async def agent(tmp_path):
    post = Post(tmp_path, Settings(), joined(tmp_path))
    async with opened(post, Clock(), Crowded()) as agent:
        yield agent


async def test_a_log_that_has_to_wait_holds_up_no_heartbeat(agent):
    await agent.send()

    assert 9 < agent.log_pace.wait_s() <= 20
    assert agent.pace.wait_s() == 0
    assert await agent.beat() is not None


async def test_a_replica_that_ends_is_left_alone_for_a_random_part_of_what_it_asks(agent):
    agent.take_commands(lambda: None, lambda: None)

    waits = []
    for _ in range(3):
        agent.commands_pace._not_before = 0.0
        await agent.obey()
        waits.append(agent.commands_pace.wait_s())

    assert len(set(waits)) == 3
    assert max(waits) <= 60


async def test_a_command_that_needs_the_control_plane_goes_on_once_that_answers(agent, monkeypatch):
    monkeypatch.setattr(daemon, "HOME_MISSING_S", 0.01)
    its, tries, done = daemon.Daemon(agent), iter((Unreachable("no route"), None)), asyncio.Event()

    async def roll_back(command):
        if error := next(tries):
            raise error
        done.set()
        return "back"

    agent.commands.doers, agent.commands.allowed = {"rollback": roll_back}, frozenset({"rollback"})
    asked = Command(
        tenant="acme",
        runtime=agent.post.identity.runtime,
        command="cmd_" + "0" * 26,
        number=1,
        kind="rollback",
        not_after="2100-01-01T00:00:00.000Z",
    )
    inbox.keep(agent.outbox, uuid4(), [asked])
    inbox.confirm(agent.outbox, [asked.command], [])

    loop = asyncio.create_task(its._carry_out())
    async with asyncio.timeout(5):
        await done.wait()
    loop.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await loop
    its.close()
