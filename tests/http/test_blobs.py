"""The blob lane: check, put, commit, and each wrong chunk refused with its own code."""

from hashlib import sha256

import msgspec
import pytest
from msgspec import Struct

from controlplane.db import schema as t
from controlplane.domain.content import chunks
from runtime_agent.wire.content import MAX_CHUNK_BYTES, Chunk, Content
from runtime_agent.wire.heartbeat import Pulse
from tests.http.agents import Agent, code
from tests.logs import checkpoint

LANE = "/v1/runtime/sync/blobs"
ONE, TWO = b"the first part", b"and the second"


class ChunkRow(Struct, frozen=True):
    state: str


def named(content):
    return Chunk(sha256=sha256(content).hexdigest(), size=len(content))


def held(*parts, n=1, **given):
    """A checkpoint that is made of these."""
    whole = b"".join(parts)
    facts = {"policy": "plain", "size": len(whole), "digest": sha256(whole).hexdigest()}
    return checkpoint(n, content=Content(chunks=[named(part) for part in parts], **(facts | given)))


async def check(agent, *parts, direct=True):
    return await agent.post(f"{LANE}/check", {"chunks": [named(part) for part in parts], "direct": direct})


async def put(agent, part, body=None, name=None):
    headers = {"authorization": f"Bearer {agent.token}", "content-type": "application/octet-stream"}
    name = name or named(part).sha256
    return await agent.client.put(f"{LANE}/{name}", headers=headers, content=part if body is None else body)


async def commit(agent, *parts):
    return await agent.post(f"{LANE}/commit", {"chunks": [named(part).sha256 for part in parts]})


def states(reply):
    assert reply.status_code == 200, reply.text
    return [each["state"] for each in reply.json()["chunks"]]


@pytest.fixture
async def owner(make, tenant):
    return await make.api_key(tenant)


async def allow(client, tenant, owner, policy="plain", **more):
    address = f"/v1/tenants/{tenant.slug}/projects/default/content-policy"
    reply = await client.put(address, headers=owner, json={"policy": policy, **more})
    assert reply.status_code == 200, reply.text
    return reply.json()


@pytest.fixture
async def log(client, agent, tenant, owner):
    """Of an agent whose project takes plain content, and that has told of a checkpoint of two parts."""
    await allow(client, tenant, owner)
    log = await agent.log()
    log.write(held(ONE, TWO))
    assert (await agent.send(log, 1, 1)).status_code == 200
    return log


async def test_a_chunk_is_checked_put_and_committed_once(agent, log):
    assert states(await check(agent, ONE, TWO)) == ["put", "put"]
    assert (await put(agent, ONE)).status_code == 200
    assert (await put(agent, ONE)).status_code == 200, "the answer was lost"
    assert (await commit(agent, ONE)).json() == {"chunks": 1}
    assert (await commit(agent, ONE)).json() == {"chunks": 1}, "the answer was lost"

    assert states(await check(agent, ONE, TWO)) == ["have", "put"]


async def test_what_no_checkpoint_is_made_of_is_not_wanted(agent, log):
    assert states(await check(agent, b"something else")) == ["unwanted"]
    assert code(await put(agent, b"something else")) == (404, "chunk-not-offered")


async def test_each_wrong_chunk_is_refused_with_its_own_code(agent, log, client, clock, make):
    await check(agent, ONE, TWO)

    assert code(await put(agent, ONE, body=ONE[:-1])) == (400, "chunk-truncated")
    assert code(await put(agent, ONE, body=ONE + b"!")) == (413, "chunk-too-long")
    assert code(await put(agent, ONE, body=TWO[: len(ONE)].ljust(len(ONE)))) == (400, "chunk-hash-wrong")
    assert code(await put(agent, ONE, name="0" * 64)) == (404, "chunk-not-offered")
    assert code(await put(agent, ONE, name="A" * 64)) == (404, "not-found")
    assert (await put(agent, ONE, body=bytes(MAX_CHUNK_BYTES + 2))).status_code == 413
    assert code(await commit(agent, TWO)) == (409, "chunk-missing")

    await put(agent, ONE)
    await commit(agent, ONE)
    assert code(await put(agent, ONE)) == (409, "chunk-committed")

    stranger = Agent(client, clock)
    other = await make.tenant()
    await stranger.enroll(await make.join_token(other))
    await allow(client, other, await make.api_key(other))
    assert states(await check(stranger, ONE)) == ["unwanted"]
    assert code(await put(stranger, ONE)) == (404, "chunk-not-offered")
    assert code(await commit(stranger, ONE)) == (404, "chunk-not-offered")


async def test_what_was_put_right_into_the_store_is_looked_at_before_it_counts(agent, log, app, tenant):
    await check(agent, ONE, TWO)
    name = chunks.name_of(tenant.tenant_id, sha256(ONE).digest())
    await app.state.blobs.put(name, TWO[: len(ONE)].ljust(len(ONE)))

    assert code(await commit(agent, ONE)) == (400, "chunk-hash-wrong")
    assert code(await commit(agent, ONE)) == (409, "chunk-missing"), "it was deleted there"

    await app.state.blobs.put(name, ONE)
    reply = await commit(agent, ONE, TWO)
    assert code(reply) == (409, "chunk-missing")
    assert reply.json()["sha256"] == named(TWO).sha256
    assert states(await check(agent, ONE, TWO)) == ["have", "put"], "those before the bad one are committed"


async def test_nothing_comes_in_where_only_metadata_may_leave(agent, log, client, tenant, owner):
    await check(agent, ONE)
    await allow(client, tenant, owner, "metadata")

    assert code(await check(agent, ONE)) == (403, "content-not-allowed")
    assert code(await put(agent, ONE)) == (403, "content-not-allowed")


async def test_a_heartbeat_tells_what_the_project_takes(agent, client, tenant, owner):
    async def told():
        reply = await agent.post("/v1/runtime/heartbeat", agent.beat())
        return msgspec.json.decode(reply.content, type=Pulse).content

    assert (await told()).policy == "metadata"

    decided = await allow(client, tenant, owner, "sealed", public_key=agent.identity.public_sealing_key())

    content = await told()
    assert (content.policy, content.suite, content.key) == ("sealed", 1, decided["public_key"])
    assert (await agent.hello()).content == content


async def test_a_chunk_that_is_being_deleted_is_asked_about_again_later(agent, log, db, tenant):
    await check(agent, ONE)
    async with db.tenant(tenant.tenant_id) as tx:
        await tx.run(tx.update(t.chunks).values(state="condemned"))

    assert states(await check(agent, ONE)) == ["later"]
    assert code(await put(agent, ONE)) == (409, "chunk-condemned")
    assert code(await commit(agent, ONE)) == (409, "chunk-condemned")


async def test_a_policy_takes_a_key_to_which_something_can_be_sealed(client, tenant, owner):
    address = f"/v1/tenants/{tenant.slug}/projects/default/content-policy"
    for said, refusal in (
        ({"policy": "sealed"}, "content-key-missing"),
        ({"policy": "sealed", "public_key": "AAAA"}, "content-key-invalid"),
    ):
        assert code(await client.put(address, headers=owner, json=said)) == (400, refusal)
    assert (await client.get(address, headers=owner)).json()["policy"] == "metadata"
