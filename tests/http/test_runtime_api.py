"""The runtimes' door: who gets in, with what, and what each wrong thing is answered with."""

from datetime import timedelta
from hashlib import sha256
from uuid import UUID

import msgspec
import pytest
from msgspec import Struct

from controlplane.db import schema as t
from controlplane.domain import join_tokens, runtimes, tenants
from controlplane.domain.audit import Actor
from controlplane.kit.ids import parse_id
from runtime_agent import identity as identities
from runtime_agent.wire import PROTOCOL, chain
from runtime_agent.wire.heartbeat import Backlog, Heartbeat, Pulse
from runtime_agent.wire.join import AUDIENCE, Enrolled, TokenAnswer
from runtime_agent.wire.sync import Ack, Diff, Hello, Missing, Welcome
from tests.logs import Log, checkpoint, run, session
from tests.make import SHELL

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
        proof = {
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


class RuntimeRow(Struct, frozen=True):
    state: str
    state_reason: str


@pytest.fixture
async def tenant(make):
    return await make.tenant()


@pytest.fixture
async def agent(client, clock, make, tenant):
    """An agent that has joined."""
    agent = Agent(client, clock)
    reply = await agent.enroll(await make.join_token(tenant))
    assert reply.status_code == 201, reply.text
    return agent


def code(reply):
    return reply.status_code, reply.json()["code"]


async def state(db, tenant, agent):
    async with db.tenant(tenant.tenant_id) as tx:
        [row] = await tx.all(RuntimeRow, tx.select(t.runtimes).where(t.runtimes.c.id == agent.answer.runtime_id))
    return row.state


async def revoke(db, tenant, agent):
    async with db.tenant(tenant.tenant_id) as tx:
        await runtimes.revoke(tx, Actor(kind="shell", id="tests"), agent.answer.runtime_id)


# ------------------------------------------------------------------------------------------------------- joining


async def test_a_join_token_lets_one_runtime_in(client, clock, make, agent, tenant):
    assert (agent.answer.tenant, agent.answer.project, agent.answer.name) == (tenant.slug, "default", "vpc-1")
    assert parse_id("rt", agent.answer.runtime) == agent.answer.runtime_id


async def test_two_runtimes_of_one_name_get_two_names(client, clock, make, agent, tenant):
    second = Agent(client, clock)

    await second.enroll(await make.join_token(tenant))

    assert second.answer.name == "vpc-1-2"


async def test_a_lost_answer_comes_again_and_costs_no_second_use(client, clock, make, tenant):
    token = await make.join_token(tenant)
    agent = Agent(client, clock)
    await agent.enroll(token)
    first = agent.answer

    await agent.enroll(token)

    assert agent.answer.runtime_id == first.runtime_id


async def test_each_join_token_that_opens_nothing_says_why(client, clock, make, db, tenant):
    used, expired, revoked = [await make.join_token(tenant) for _ in range(3)]
    await Agent(client, clock).enroll(used)
    async with db.tenant(tenant.tenant_id) as tx:
        for held in await join_tokens.listing(tx, after=None, limit=10):
            if held.hint.endswith(revoked[-4:]):
                await join_tokens.revoke(tx, SHELL, held.id)

    assert code(await Agent(client, clock).enroll(used)) == (401, "join-token-used-up")
    assert code(await Agent(client, clock).enroll(revoked)) == (401, "join-token-revoked")
    clock.forward(timedelta(hours=2))
    assert code(await Agent(client, clock).enroll(expired)) == (401, "join-token-expired")
    for unknown in ("", "ec_jt_nonsense", used[:-1] + ("A" if used[-1] != "A" else "B"), "ec_sk_" + used[6:]):
        assert code(await Agent(client, clock).enroll(unknown)) == (401, "join-token-unknown")


async def test_whoever_does_not_hold_the_key_does_not_join(client, clock, make):
    token, thief = await make.join_token(), Agent(client, clock)

    for changed in (
        {"proof": identities.fresh("x").signed({"aud": f"{AUDIENCE}/enroll"})},
        {"proof": thief.identity.signed({"aud": AUDIENCE})},
        {"proof": "nonsense"},
        {"public_key": identities.fresh("x").public_key()},
        {"sealing_key": identities.fresh("x").public_sealing_key()},
    ):
        assert code(await thief.enroll(token, **changed)) == (401, "assertion-invalid")
    assert (await thief.enroll(token)).status_code == 201, "none of the attempts spent the token"


async def test_a_suspended_tenant_lets_nobody_in_and_says_so(client, clock, make, db, tenant):
    token = await make.join_token(tenant)
    async with db.tenant(tenant.tenant_id) as tx:
        await tenants.suspend(tx, SHELL, "unpaid")

    assert code(await Agent(client, clock).enroll(token)) == (403, "tenant-suspended")


# -------------------------------------------------------------------------------------------------- access tokens


async def test_the_runtimes_own_key_gets_a_token_that_works(agent):
    reply = await agent.post(TOKEN, agent.asks_for_a_token())

    answer = msgspec.json.decode(reply.content, type=TokenAnswer)
    agent.token = answer.access_token
    assert answer.expires_in <= 600
    assert (await agent.hello()).epoch == 1


async def test_the_same_nonce_gets_the_same_join_state_again(agent):
    first = (await agent.post(TOKEN, agent.asks_for_a_token())).json()["join_state"]
    again = (await agent.post(TOKEN, agent.asks_for_a_token())).json()["join_state"]

    assert first == again


async def test_an_old_join_state_is_written_into_the_audit_log(agent, db, tenant):
    await agent.post(TOKEN, agent.asks_for_a_token())

    reply = await agent.post(TOKEN, agent.asks_for_a_token(nonce="another copy of this disk"))

    assert reply.status_code == 200
    async with db.tenant(tenant.tenant_id) as tx:
        actions = [row.action for row in await tx.all(Event, tx.select(t.audit_events))]
    assert "runtime.join-state-conflict" in actions


class Event(Struct, frozen=True):
    action: str


async def test_a_wrong_assertion_is_refused_however_it_is_wrong(agent):
    stranger = identities.fresh("x")
    forged = agent.asks_for_a_token() | {"client_assertion": stranger.signed({"sub": str(agent.answer.runtime_id)})}
    unsigned = agent.asks_for_a_token()
    unsigned["client_assertion"] = unsigned["client_assertion"].rpartition(".")[0] + "."
    for said in (
        forged,
        unsigned,
        agent.asks_for_a_token(aud="/v1/tenants"),
        agent.asks_for_a_token(iss="somebody else"),
        agent.asks_for_a_token(sub=str(UUID(int=1))),
        agent.asks_for_a_token(sub="nobody"),
        agent.asks_for_a_token() | {"client_assertion": "a.b"},
    ):
        assert code(await agent.post(TOKEN, said)) == (401, "assertion-invalid")


async def test_a_clock_that_is_far_off_is_told_the_time(agent, clock):
    late = int(clock().timestamp()) + 3600

    reply = await agent.post(TOKEN, agent.asks_for_a_token(iat=late, exp=late + 60))

    assert code(reply) == (401, "clock-skewed")
    assert reply.json()["server_ms"] == int(clock().timestamp() * 1000)


async def test_an_access_token_ends_after_ten_minutes(agent, clock):
    clock.forward(timedelta(minutes=10, seconds=1))

    assert code(await agent.post("/v1/runtime/heartbeat", agent.beat())) == (401, "authentication-required")


async def test_no_other_token_opens_the_runtimes_door(agent, make, tenant):
    key = (await make.api_key(tenant))["authorization"].removeprefix("Bearer ")
    for token in ("", "nonsense", agent.answer.join_state, agent.asks_for_a_token()["client_assertion"], key):
        agent.token = token
        assert code(await agent.post("/v1/runtime/heartbeat", agent.beat())) == (401, "authentication-required")


async def test_a_runtimes_token_opens_no_other_door(agent, client, tenant):
    mine = {"authorization": f"Bearer {agent.token}"}

    for path in (f"/v1/tenants/{tenant.slug}/runtimes", "/v1/operator/tenants", "/v1/me"):
        assert (await client.get(path, headers=mine)).status_code == 401


async def test_revocation_does_not_wait_for_the_token_to_end(agent, db, tenant):
    await revoke(db, tenant, agent)

    assert code(await agent.post("/v1/runtime/heartbeat", agent.beat())) == (403, "revoked")
    assert code(await agent.post(TOKEN, agent.asks_for_a_token())) == (403, "revoked")


# --------------------------------------------------------------------------------------------------------- the log


async def test_a_batch_is_acknowledged_with_the_chains_head(agent):
    log = await agent.log()
    log.write(session(1), run(1), checkpoint(1))

    reply = await agent.send(log, 1, 3)

    ack = msgspec.json.decode(reply.content, type=Ack)
    assert (reply.status_code, ack.acked, ack.head) == (200, 3, log.head(3).hex())


async def test_each_wrong_header_is_named(agent):
    log = await agent.log()
    log.write(session(1))
    for name, value in {
        "sync-store": "here",
        "sync-epoch": "-1",
        "sync-first": "0",
        "sync-prev": "abc",
        "sync-count": "many",
        "content-encoding": "gzip",
    }.items():
        reply = await agent.send(log, 1, 1, **{name: value})
        assert code(reply) == (400, "sync-header-invalid"), name
        assert name in reply.json()["detail"].lower()


async def test_the_door_answers_with_the_protocols_codes(agent):
    log = await agent.log()
    log.write(*map(session, range(1, 6)))
    await agent.send(log, 1, 2)

    gap = await agent.send(log, 4, 5)
    assert (code(gap), gap.json()["expected"]) == ((409, "gap"), 3)
    assert code(await agent.send(log, 3, 3, **{"sync-epoch": "7"})) == (409, "fenced")
    assert code(await agent.send(log, 3, 3, **{"sync-store": str(UUID(int=1))})) == (412, "store-changed")
    assert code(await agent.send(log, 3, 3, **{"sync-prev": "0" * 64})) == (409, "diverged")
    assert code(await agent.send(log, 3, 3, **{"sync-count": "501"})) == (413, "too-large")
    assert code(await agent.send(log, 3, 3, **{"sync-protocol": "0"})) == (400, "sync-header-invalid")
    assert code(await agent.send(log, 3, 3, body=b"x")) == (400, "digest-mismatch")
    assert (await agent.send(log, 3, 3, body=bytes((1 << 20) + 2))).status_code == 413


async def test_a_bad_record_is_named_and_what_came_before_it_is_kept(agent):
    log = await agent.log()
    log.write(session(1), b"{", session(3))

    reply = await agent.send(log, 1, 3)

    assert code(reply) == (400, "record-malformed")
    assert {name: reply.json()[name] for name in ("seq", "acked", "head")} == {
        "seq": 2,
        "acked": 1,
        "head": log.head(1).hex(),
    }


async def test_diff_says_what_is_missing(agent):
    log = await agent.log()
    log.write(session(1))
    await agent.send(log, 1, 1)
    known = UUID(msgspec.json.decode(log.lines[0])["record_id"])

    reply = await agent.post("/v1/runtime/sync/diff", Diff(record_ids=[known, UUID(int=9)]))

    assert msgspec.json.decode(reply.content, type=Missing).missing == [UUID(int=9)]


# --------------------------------------------------------------------------------------------------- the heartbeat


async def test_a_heartbeat_is_answered_with_the_servers_own_cursor(agent, clock):
    log = await agent.log()
    log.write(session(1))
    await agent.send(log, 1, 1)

    reply = await agent.post("/v1/runtime/heartbeat", agent.beat(epoch=1, last_seq=1))

    pulse = msgspec.json.decode(reply.content, type=Pulse)
    assert (pulse.epoch, pulse.acked, pulse.head) == (1, 1, log.head(1).hex())
    assert pulse.server_ms == int(clock().timestamp() * 1000)


async def test_a_heartbeat_turns_the_runtimes_state(agent, db, tenant):
    assert await state(db, tenant, agent) == "silent"

    await agent.post("/v1/runtime/heartbeat", agent.beat())
    assert await state(db, tenant, agent) == "connected"

    await agent.post("/v1/runtime/heartbeat", agent.beat(backlog=Backlog(records=5, oldest_age_s=61)))
    assert await state(db, tenant, agent) == "lagging"


async def test_goodbye_ends_the_access_and_says_whether_the_log_is_complete(agent, db, tenant):
    log = await agent.log()
    log.write(session(1))
    await agent.send(log, 1, 1)

    reply = await agent.post("/v1/runtime/bye", {"epoch": 1, "last_seq": 1, "head": log.head(1).hex()})

    assert reply.json() == {"complete": True}
    assert await state(db, tenant, agent) == "revoked"
    assert code(await agent.post("/v1/runtime/heartbeat", agent.beat())) == (403, "revoked")
