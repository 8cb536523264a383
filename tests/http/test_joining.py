"""Getting in: with a join token once, with the runtime's own key ever after; and what each wrong thing is answered with."""

import asyncio
import base64
from datetime import timedelta
from uuid import UUID

import httpx
import msgspec

from controlplane.domain import join_tokens, runtimes, tenants
from controlplane.domain.audit import Actor
from controlplane.kit.ids import parse_id
from runtime_agent import identity as identities
from runtime_agent import joining
from runtime_agent.http import Http
from runtime_agent.wire.join import AUDIENCE, Facts, TokenAnswer
from tests.http.agents import TOKEN, Agent, code
from tests.make import SHELL


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


async def test_a_large_fleet_of_one_name_gets_in(client, clock, make, tenant):
    token = await make.join_token(tenant, uses=12)
    names = set()
    for _ in range(12):
        agent = Agent(client, clock)
        await agent.enroll(token)
        names.add(agent.answer.name)

    assert len(names) == 12


async def test_a_lost_answer_comes_again_and_costs_no_second_use(client, clock, make, tenant):
    token = await make.join_token(tenant)
    agent = Agent(client, clock)
    await agent.enroll(token)
    first = agent.answer

    await agent.enroll(token)

    assert agent.answer.runtime_id == first.runtime_id


async def test_an_answer_does_not_come_again_once_it_was_used(client, clock, make):
    token = await make.join_token(uses=2)
    agent = Agent(client, clock)
    await agent.enroll(token)
    await agent.post(TOKEN, agent.asks_for_a_token())

    assert code(await agent.enroll(token)) == (409, "key-in-use")


async def test_an_answer_comes_again_only_while_the_token_counts(client, clock, make, db, tenant):
    token = await make.join_token(tenant)
    agent = Agent(client, clock)
    await agent.enroll(token)

    clock.forward(timedelta(hours=2))
    assert code(await agent.enroll(token)) == (401, "join-token-expired")
    async with db.tenant(tenant.tenant_id) as tx:
        [held] = await join_tokens.listing(tx, after=None, limit=1)
        await join_tokens.revoke(tx, SHELL, held.id)
    assert code(await agent.enroll(token)) == (401, "join-token-revoked")


async def test_who_wrote_a_proof_down_cannot_join_with_it_later(client, clock, make):
    token = await make.join_token()
    agent = Agent(client, clock)
    agent.clock = lambda: clock() - timedelta(minutes=4)

    late = await agent.enroll(token)

    assert code(late) == (401, "clock-skewed")
    assert late.json()["server_ms"] == int(clock().timestamp() * 1000)


async def test_an_agent_whose_clock_is_wrong_joins_all_the_same(app, clock, make, tmp_path):
    def wrong():
        return clock() + timedelta(hours=1)

    identity = joining.prepared(tmp_path, "http://test")
    ticket = joining.Ticket(await make.join_token(), "vpc-1", Facts())

    async with Http("http://test", wrong, httpx.ASGITransport(app)) as http:
        joined = await joining.join(http, tmp_path, identity, ticket, wrong)

    assert joined.name == "vpc-1"


async def test_one_place_cannot_try_join_tokens_or_assertions_without_end(app, agent):
    app.state.limiter = OnlyOnce()

    first, second = [await agent.enroll("ec_jt_nonsense") for _ in range(2)]
    third, fourth = [await agent.post(TOKEN, {}) for _ in range(2)]

    assert [first.status_code, second.status_code, third.status_code, fourth.status_code] == [401, 429, 400, 429]


class OnlyOnce:
    def __init__(self):
        self._seen = set()

    async def admit(self, key, rate):
        again = key in self._seen
        self._seen.add(key)
        return 1.0 if again else 0.0


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
        agent.asks_for_a_token() | {"client_assertion": f"e30.{deep(b'[')}.e30"},
        agent.asks_for_a_token() | {"client_assertion": f"{deep(b'[')}.{subject(agent)}.e30"},
        agent.asks_for_a_token() | {"client_assertion": agent.identity.signed({"sub": str(agent.answer.runtime_id)})},
    ):
        assert code(await agent.post(TOKEN, said)) == (401, "assertion-invalid")


def deep(bracket):
    return base64.urlsafe_b64encode(bracket * 1_200).decode()


def subject(agent):
    return agent.asks_for_a_token()["client_assertion"].split(".")[1]


async def test_a_call_that_proves_nothing_does_not_wait_for_the_runtimes_row(agent, db, tenant):
    async with db.tenant(tenant.tenant_id) as tx:
        await runtimes.identify(tx, agent.answer.runtime_id)
        forged = agent.asks_for_a_token(aud="elsewhere")
        async with asyncio.timeout(10):
            assert code(await agent.post(TOKEN, forged)) == (401, "assertion-invalid")


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
