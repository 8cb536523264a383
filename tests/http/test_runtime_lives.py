"""The life of a runtime's identity: copies are noticed, keys are replaced, and one that has to go sends what is left."""

from datetime import timedelta

import msgspec
import pytest
from msgspec import Struct
from msgspec.structs import replace

from controlplane.db import schema as t
from controlplane.domain import rekeying
from controlplane.domain.join_calls import LATEST
from runtime_agent import identity as identities
from runtime_agent.wire.heartbeat import Pulse
from runtime_agent.wire.join import AUDIENCE
from tests.http.agents import TOKEN, code
from tests.http.lessees import Lessee
from tests.logs import session

BEAT, KEY = "/v1/runtime/heartbeat", "/v1/runtime/key"
A, B, C = "nonce of the one", "nonce of the other", "nonce of the third"


class Event(Struct, frozen=True):
    action: str


@pytest.fixture
async def owner(make, tenant):
    return await make.api_key(tenant)


async def told(db, tenant):
    async with db.tenant(tenant.tenant_id) as tx:
        return [row.action for row in await tx.all(Event, tx.select(t.audit_events).order_by(t.audit_events.c.seq))]


async def calls(agent, nonce):
    """As a copy with this identity does: with the join state that it has."""
    return await agent.post(TOKEN, agent.asks_for_a_token(nonce=nonce))


async def locked(agent):
    """Two copies have called."""
    await calls(agent, A)
    return await calls(agent, B)


def at(tenant, agent, act=""):
    return f"/v1/tenants/{tenant.slug}/runtimes/{agent.answer.runtime}{act}"


async def asked(client, owner, tenant, agent, act, **body):
    reply = await client.post(at(tenant, agent, act), headers=owner, json=body if body or act == "/release" else None)
    assert reply.status_code == 200, reply.text
    return reply.json()


async def flags(agent):
    return msgspec.json.decode((await agent.post(BEAT, agent.beat())).content, type=Pulse).flags


# --------------------------------------------------------------------------------------------------------- copies


async def test_an_old_join_state_locks_out_both_copies_and_tokens_already_given(agent, client, owner, db, tenant):
    assert code(await locked(agent)) == (403, "runtime-locked")

    assert code(await agent.post(BEAT, agent.beat())) == (403, "runtime-locked")
    assert code(await calls(agent, A)) == (403, "runtime-locked")
    shown = (await client.get(at(tenant, agent), headers=owner)).json()
    assert (shown["state"], "copies" in shown["state_reason"]) == ("locked", True)
    assert (await told(db, tenant)).count("runtime.locked") == 1


async def test_a_locked_runtime_leases_nothing(agent):
    lessee = Lessee(agent)
    await locked(agent)

    assert code(await lessee.post("/v1/runtime/leases", {"connection": None})) == (403, "runtime-locked")


async def test_after_a_release_the_first_to_call_goes_on_and_the_other_locks_it_again(agent, client, owner, db, tenant):
    await locked(agent)
    shown = await asked(client, owner, tenant, agent, "/release")
    assert (shown["state"], shown["locked_at"]) == ("silent", None)

    agent.token = (await calls(agent, B)).json()["access_token"]
    assert (await agent.post(BEAT, agent.beat())).status_code == 200
    assert code(await calls(agent, C)) == (403, "runtime-locked")
    assert (await told(db, tenant)).count("runtime.released") == 1


async def test_a_lost_answer_after_a_release_comes_again(agent, client, owner, tenant):
    await locked(agent)
    await asked(client, owner, tenant, agent, "/release")

    first = (await calls(agent, B)).json()["join_state"]

    assert (await calls(agent, B)).json()["join_state"] == first


async def test_as_many_old_join_states_as_were_allowed_are_let_through_and_each_is_told(
    agent, client, owner, db, tenant
):
    await asked(client, owner, tenant, agent, "/release", recoveries=1)
    await calls(agent, A)

    recovered = await calls(agent, B)

    assert recovered.status_code == 200
    assert code(await agent.post(BEAT, agent.beat())) == (401, "authentication-required"), "the other copy's token"
    assert code(await calls(agent, C)) == (403, "runtime-locked")
    assert (await told(db, tenant)).count("runtime.recovered") == 1


async def test_a_join_state_beyond_ours_is_a_database_that_went_back(agent, app, db, tenant):
    ahead = app.state.access_tokens.join_state(agent.answer.runtime_id, 40)

    reply = await agent.post(TOKEN, agent.asks_for_a_token(join_state=ahead))

    count = app.state.access_tokens.count_in(reply.json()["join_state"], agent.answer.runtime_id)
    assert (reply.status_code, count) == (200, 41)


async def test_a_call_that_was_long_on_its_way_locks_nobody(agent, db, tenant):
    early = agent.asks_for_a_token(nonce=A)
    for nonce in (A, B):
        agent.answer = replace(agent.answer, join_state=(await calls(agent, nonce)).json()["join_state"])

    late = await agent.post(TOKEN, early)

    assert code(late) == (409, "token-call-overtaken")
    assert (await calls(agent, C)).status_code == 200
    assert "runtime.locked" not in await told(db, tenant)


async def test_a_late_call_uses_up_neither_a_release_nor_a_recovery(agent, client, owner, db, tenant):
    early = agent.asks_for_a_token(nonce=A)
    for nonce in (A, B):
        agent.answer = replace(agent.answer, join_state=(await calls(agent, nonce)).json()["join_state"])
    await asked(client, owner, tenant, agent, "/release", recoveries=1)

    assert code(await agent.post(TOKEN, early)) == (409, "token-call-overtaken")

    first = agent.asks_for_a_token(nonce=C, join_state=early["join_state"])
    second = agent.asks_for_a_token(nonce="nonce of a fourth", join_state=early["join_state"])
    assert [(await agent.post(TOKEN, said)).status_code for said in (first, second)] == [200, 200]
    assert (await told(db, tenant)).count("runtime.recovered") == 1


async def test_what_a_restored_database_has_forgotten_is_late_for_a_while_and_then_a_copy(agent, app, clock):
    def showing(count, nonce):
        state = app.state.access_tokens.join_state(agent.answer.runtime_id, count)
        return agent.post(TOKEN, agent.asks_for_a_token(join_state=state, nonce=nonce))

    await showing(40, A)

    assert code(await showing(20, B)) == (409, "token-call-overtaken")
    clock.forward(LATEST)
    assert code(await showing(20, C)) == (403, "runtime-locked")


async def test_two_programs_that_take_turns_in_the_heartbeats_are_two_copies(agent, clock):
    async def beats(boot, second):
        return await agent.post(BEAT, agent.beat(boot_id=boot, wall_ms=second * 1000))

    one, other = identities.UUID(int=1), identities.UUID(int=2)
    assert (await beats(one, 10)).status_code == 200
    assert (await beats(other, 20)).status_code == 200, "started again"
    assert (await beats(one, 15)).status_code == 200, "on its way for long"
    assert (await beats(other, 30)).status_code == 200

    await beats(one, 40)

    assert code(await beats(other, 50)) == (403, "runtime-locked")


async def test_whoever_may_only_look_releases_nobody(agent, client, make, tenant):
    viewer = await make.api_key(tenant, "viewer")

    for act in ("release", "rotate-key", "decommission"):
        reply = await client.post(at(tenant, agent, f"/{act}"), headers=viewer, json={} if act == "release" else None)
        assert code(reply) == (403, "permission-denied")


async def test_of_one_that_is_gone_nothing_is_asked(agent, client, owner, tenant):
    await client.delete(at(tenant, agent), headers=owner)

    for act in ("release", "rotate-key", "decommission"):
        reply = await client.post(at(tenant, agent, f"/{act}"), headers=owner, json={} if act == "release" else None)
        assert code(reply) == (409, "runtime-gone")


# ----------------------------------------------------------------------------------------------------------- keys


def new_key(agent, key, **changed):
    now = int(agent.clock().timestamp())
    claims = {"aud": f"{AUDIENCE}/key", "iat": now, "exp": now + 60, "sub": str(agent.answer.runtime_id)}
    return {"public_key": key.public_key(), "proof": key.signed(claims | changed)}


async def rotated(agent):
    fresh = identities.fresh("http://test")
    reply = await Lessee(agent).post(KEY, new_key(agent, fresh))
    assert reply.status_code == 200, reply.text
    return fresh


async def test_a_runtime_is_known_by_the_key_that_it_has_made(agent, client, owner, db, tenant):
    await asked(client, owner, tenant, agent, "/rotate-key")
    assert await flags(agent) == ["ROTATE_KEY"]

    agent.identity = await rotated(agent)

    assert code(await agent.post(BEAT, agent.beat())) == (401, "authentication-required"), "given to the key before"
    agent.token = (await calls(agent, A)).json()["access_token"]
    assert await flags(agent) == []
    assert (await client.get(at(tenant, agent), headers=owner)).json()["key_since"]
    assert (await told(db, tenant))[-2:] == ["runtime.key-wanted", "runtime.key-rotated"]


async def test_the_key_before_counts_for_ten_minutes_and_names_no_other(agent, clock):
    await rotated(agent)
    agent.token = (await calls(agent, A)).json()["access_token"]
    old = Lessee(agent)

    usual = await old.post("/v1/runtime/leases", {"connection": "con_" + "0" * 26})
    other = await old.post(KEY, new_key(agent, identities.fresh("x")))

    assert usual.status_code == 404
    assert code(other) == (401, "signature-invalid")
    clock.forward(rekeying.OVERLAP + timedelta(seconds=1))
    assert code(await calls(agent, B)) == (401, "assertion-invalid")


async def test_nobody_is_known_by_a_key_that_they_do_not_hold(agent):
    mine, theirs = identities.fresh("x"), identities.fresh("x")

    for said in (
        new_key(agent, mine) | {"public_key": theirs.public_key()},
        new_key(agent, mine, aud=AUDIENCE),
        new_key(agent, mine, sub="somebody else"),
    ):
        assert code(await Lessee(agent).post(KEY, said)) == (401, "assertion-invalid")
    unsigned = await agent.post(KEY, new_key(agent, mine))
    assert code(unsigned) == (401, "signature-invalid")


# -------------------------------------------------------------------------------------------------------- leaving


async def test_one_that_has_to_go_is_told_until_it_has_gone(agent, client, owner, db, tenant):
    await asked(client, owner, tenant, agent, "/decommission")
    await asked(client, owner, tenant, agent, "/decommission")

    assert await flags(agent) == ["DRAIN"]
    assert (await told(db, tenant)).count("runtime.leave-wanted") == 1


async def test_what_it_had_not_sent_when_it_went_is_named(agent, client, owner, tenant):
    log = await agent.log()
    log.write(*map(session, range(1, 6)))
    await agent.send(log, 1, 3)

    bye = await agent.post("/v1/runtime/bye", {"epoch": log.epoch, "last_seq": 5, "head": log.head(5).hex()})

    assert bye.json() == {"complete": False}
    shown = (await client.get(at(tenant, agent), headers=owner)).json()
    [loss] = shown["ledger"]["lost"]
    assert (loss["first_seq"], loss["last_seq"], loss["reason"]) == (4, 5, "left-unsent")
    assert (shown["state"], shown["state_reason"]) == ("revoked", "left with records unsent")
