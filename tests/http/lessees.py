"""The other side of leases: a runtime that signs, verifies and opens as our agent does."""

import secrets

import msgspec

from controlplane.domain.vault import policies, statics
from controlplane.domain.vault.policies import NewPolicy
from controlplane.kit.ids import text_id
from controlplane.kit.secret import Secret
from runtime_agent.credentials import signing_headers
from runtime_agent.leases import opened
from runtime_agent.wire.leases import Lease
from tests.domain.vault.begun import SECRET
from tests.make import SHELL

LEASES = "/v1/runtime/leases"


class Lessee:
    def __init__(self, agent):
        self.agent, self.clock = agent, agent.clock
        answer = agent.answer
        self.identity = msgspec.structs.replace(
            agent.identity,
            runtime_id=answer.runtime_id,
            runtime=answer.runtime,
            tenant=answer.tenant,
            lease_keys=answer.lease_keys,
        )

    async def post(self, path, said, *, nonce=None, method="POST", skew_s=0, signed_as=None, **changed):
        """*changed* are headers that go along instead of those that were signed."""
        body = msgspec.json.encode(said)
        nonce = nonce or secrets.token_hex(16)
        created = int(self.clock().timestamp()) + skew_s
        headers = signing_headers(signed_as or self.identity, (method, path, body), nonce, created)
        headers = {name.lower(): value for name, value in headers.items()}
        headers |= {"authorization": f"Bearer {self.agent.token}", "content-type": "application/json"} | changed
        return await self.agent.client.request(method, path, content=body, headers=headers)

    async def ask(self, connection, nonce=None, **said):
        return await self.post(LEASES, {"connection": text_id("con", connection.id), **said}, nonce=nonce)

    async def lease(self, connection, **said):
        """Asked for, verified and opened."""
        nonce = secrets.token_hex(16)
        reply = await self.ask(connection, nonce, **said)
        assert reply.status_code == 200, reply.text
        return self.open(reply, nonce)

    def open(self, reply, nonce):
        return opened(self.identity, msgspec.json.decode(reply.content, type=Lease), nonce, self.clock())


async def typed(db, tenant, value="s3cret-of-acme", **given):
    """A secret that somebody has put in."""
    async with db.tenant(tenant.tenant_id) as tx:
        new = statics.NewStatic(name="hush", fields={"value": Secret(value)}, **given)
        return await statics.create(tx, SHELL, SECRET, new)


async def policy(db, tenant, **given):
    """One that lets every runtime lease everything, unless something else is said."""
    async with db.tenant(tenant.tenant_id) as tx:
        new = {"name": "p", "effect": "allow", "modes": ["lease"], **given}
        return await policies.create(tx, SHELL, NewPolicy(**new))
