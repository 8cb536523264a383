"""The runtimes' door: the log and the heartbeat, and what each wrong thing is answered with."""

from datetime import timedelta
from uuid import UUID

import asyncpg
import msgspec
from msgspec import Struct

from controlplane.db import schema as t
from controlplane.kit.clock import rfc3339
from runtime_agent.wire.heartbeat import Backlog, Pulse
from runtime_agent.wire.sync import Ack, Diff, Missing
from tests.http.agents import code
from tests.logs import checkpoint, run, session


class RuntimeRow(Struct, frozen=True):
    state: str
    state_reason: str


async def state(db, tenant, agent):
    async with db.tenant(tenant.tenant_id) as tx:
        [row] = await tx.all(RuntimeRow, tx.select(t.runtimes).where(t.runtimes.c.id == agent.answer.runtime_id))
    return row.state


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


async def test_what_a_runtime_says_is_shown_at_once_whether_it_has_been_written_or_not(
    agent, client, clock, make, tenant
):
    owner = await make.api_key(tenant)
    await agent.post("/v1/runtime/heartbeat", agent.beat())
    clock.forward(timedelta(minutes=5))
    await agent.post("/v1/runtime/heartbeat", agent.beat(wall_ms=300_000))

    shown = (await client.get(f"/v1/tenants/{tenant.slug}/runtimes/{agent.answer.runtime}", headers=owner)).json()

    assert shown["ledger"]["last_heard_at"] == rfc3339(clock())


async def test_a_heartbeat_that_says_nothing_new_writes_nothing(agent, admin_url):
    connection = await asyncpg.connect(admin_url)
    touched = "SELECT r.xmin::text, c.xmin::text FROM runtimes r, sync_cursors c"
    await agent.post("/v1/runtime/heartbeat", agent.beat())
    before = await connection.fetch(touched)

    for wall_ms in range(5):
        assert (await agent.post("/v1/runtime/heartbeat", agent.beat(wall_ms=wall_ms))).status_code == 200

    assert await connection.fetch(touched) == before
    assert await connection.fetchval("SELECT count(*) FROM runtime_reports") == 0
    await connection.close()
