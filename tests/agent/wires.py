"""An agent's way to the whole control plane, in one process."""

import httpx
import msgspec

from runtime_agent import identity as identities
from tests.http.agents import Agent
from tests.http.lessees import Lessee


class Wire(httpx.ASGITransport):
    """The way to the app, on which somebody counts what succeeds, and may sit."""

    def __init__(self, app):
        super().__init__(app)
        self.paths, self.twist = [], None

    async def handle_async_request(self, request):
        answer = await super().handle_async_request(request)
        if answer.status_code == httpx.codes.OK:
            self.paths.append(request.url.path)
        if self.twist is None or "/leases" not in request.url.path:
            return answer
        return httpx.Response(answer.status_code, content=self.twist(await answer.aread()), headers=answer.headers)

    def leased(self):
        return [path.rpartition("/")[2] for path in self.paths if "/runtime/leases" in path]


async def joined(client, clock, join_token, folder):
    """The identity of a runtime that has joined, in the home *folder*."""
    agent = Agent(client, clock)
    assert (await agent.enroll(join_token)).status_code == 201
    known = msgspec.structs.replace(Lessee(agent).identity, join_state=agent.answer.join_state)
    folder.chmod(0o700)
    identities.save(folder, known)
    return known
