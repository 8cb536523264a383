"""The other side of the runtimes' door."""

from hashlib import sha256
from uuid import UUID

import msgspec

from runtime_agent import identity as identities
from runtime_agent.wire import PROTOCOL, chain
from runtime_agent.wire.heartbeat import Heartbeat
from runtime_agent.wire.join import AUDIENCE, Enrolled
from runtime_agent.wire.sync import Hello, Welcome
from tests.logs import Log

ENROLL, TOKEN = "/v1/runtime/enroll", "/v1/runtime/token"


class Agent:
    """The other side of the door, as our own agent speaks."""

    def __init__(self, client, clock):
        self.client, self.clock = client, clock
        self.identity = identities.fresh("http://test")
        self.answer = None
        self.token = ""

    async def post(self, path, said, **headers):
        headers = {"content-type": "application/json", "authorization": f"Bearer {self.token}"} | headers
        return await self.client.post(path, content=msgspec.json.encode(said), headers=headers)

    async def enroll(self, join_token, **changed):
        now = int(self.clock().timestamp())
        proof = {
            "iat": now,
            "exp": now + 60,
            "aud": f"{AUDIENCE}/enroll",
            "token_sha256": sha256(join_token.encode()).hexdigest(),
            "sealing_key": self.identity.public_sealing_key(),
        }
        said = {
            "join_token": join_token,
            "public_key": self.identity.public_key(),
            "sealing_key": self.identity.public_sealing_key(),
            "proof": self.identity.signed(proof),
            "name": "vpc-1",
        }
        reply = await self.post(ENROLL, said | changed)
        if reply.is_success:
            self.answer = msgspec.json.decode(reply.content, type=Enrolled)
            self.token = self.answer.access_token
        return reply

    def asks_for_a_token(self, nonce="0123456789abcdef", join_state=None, **changed):
        now = int(self.clock().timestamp())
        runtime = str(self.answer.runtime_id)
        claims = {"iss": runtime, "sub": runtime, "aud": AUDIENCE, "iat": now, "exp": now + 60, "jti": "1"}
        return {
            "client_assertion": self.identity.signed(claims | changed),
            "join_state": self.answer.join_state if join_state is None else join_state,
            "nonce": nonce,
        }

    async def hello(self):
        runtime_id = self.answer.runtime_id
        head = chain.origin(runtime_id, 0).hex()
        said = Hello(epoch=0, first_retained=1, last_seq=0, acked=0, head=head, boot_id=UUID(int=1))
        reply = await self.post("/v1/runtime/sync/hello", said)
        return msgspec.json.decode(reply.content, type=Welcome)

    async def log(self):
        welcome = await self.hello()
        return Log(self.answer.runtime_id, welcome.store_id, welcome.epoch)

    async def send(self, log, first, last, **changed):
        place, body = log.batch(first, last)
        headers = {
            "authorization": f"Bearer {self.token}",
            "content-encoding": "zstd",
            "content-digest": place.digest,
            "sync-store": str(place.store_id),
            "sync-epoch": str(place.epoch),
            "sync-first": str(place.first),
            "sync-prev": place.prev.hex(),
            "sync-count": str(place.count),
            "sync-protocol": str(PROTOCOL),
        }
        body = changed.pop("body", body)
        return await self.client.post("/v1/runtime/sync/log", content=body, headers=headers | changed)

    def beat(self, **changed):
        facts = {"boot_id": UUID(int=1), "epoch": 1, "last_seq": 0, "head": "0" * 64, "acked": 0, "wall_ms": 0}
        return Heartbeat(**(facts | changed))


def code(reply):
    return reply.status_code, reply.json()["code"]
