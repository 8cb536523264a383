"""An agent that is asked for patience: with what it is asked for, and no more."""

import httpx
import pytest

from runtime_agent.agent import Post, opened
from runtime_agent.settings import Settings
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
