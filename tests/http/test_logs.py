"""Logs on demand at the doors: who may look, what the agent is told, and that one hears what it brings."""

import asyncio
import json
import os
from contextlib import asynccontextmanager

import asyncpg
import pytest

from controlplane.db import schema as t
from controlplane.domain import audit, projects
from controlplane.domain.grants import Limit
from controlplane.domain.logs import LEASE
from controlplane.domain.runtimes import revoke
from controlplane.http import looking
from controlplane.kit.ids import RuntimeId, text_id
from runtime_agent.wire.logs import CHUNK_BYTES, MOST_TAILS
from tests.http.agents import Agent, code
from tests.http.test_console_live import Stream
from tests.make import SHELL, bearer
from tests.rows import Rows
from tests.runtimes import Joined


@pytest.fixture
async def runtime(db, tenant, agent):
    await agent.post("/v1/runtime/heartbeat", agent.beat())
    async with db.tenant(tenant.tenant_id) as tx:
        project = await projects.named(tx, projects.DEFAULT)
    return Joined(tenant.tenant_id, project.id, RuntimeId(agent.answer.runtime_id))


@pytest.fixture
async def logs(db, tenant, runtime):
    session_id = await Rows(db).session(runtime)
    return f"/v1/tenants/{tenant.slug}/sessions/{text_id('ses', session_id)}/logs"


@pytest.fixture
async def key(make, tenant):
    return await make.api_key(tenant)


@pytest.fixture
async def other(client, clock, make, tenant):
    """An agent of the same tenant."""
    other = Agent(client, clock)
    await other.enroll(await make.join_token(tenant))
    return other


class Viewer(Stream):
    """Somebody who looks: the events of a tail as they come."""

    async def events(self):
        body = b""
        while True:
            message, self._first = self._first or await self._next(), {}
            body += message.get("body", b"")
            while b"\r\n\r\n" in body:
                event, _, body = body.partition(b"\r\n\r\n")
                fields = dict(line.split(": ", 1) for line in event.decode().splitlines() if not line.startswith(":"))
                if "event" in fields:
                    yield fields["event"], json.loads(fields["data"])
            if not message.get("more_body", False):
                return

    async def event(self):
        async for event in self.events():
            return event
        return None


@pytest.fixture
def looks(app):
    @asynccontextmanager
    async def opened(path, headers):
        viewer = Viewer(app, path, headers)
        try:
            await viewer.open()
            yield viewer
        finally:
            await viewer.close()

    return opened


@pytest.fixture
async def holding(database):
    """The tables in which some row has the words, as text or as bytes."""
    connection = await asyncpg.connect(os.environ["TEST_SUPERUSER_URL"].rpartition("/")[0] + f"/{database}")

    async def found(words):
        shapes = f"%{words}%", f"%{words.encode().hex()}%"
        return [
            table.name
            for table in t.metadata.sorted_tables
            if await connection.fetchval(
                f"SELECT EXISTS (SELECT FROM {table.name} r WHERE r::text LIKE ANY ($1))", shapes
            )
        ]

    yield found
    await connection.close()


async def poll(agent, tails="-", **given):
    answer = await agent.client.get("/v1/runtime/poll", params={"tails": tails, **given}, headers=bearer(agent.token))
    return answer.json()["tails"]


async def bring(agent, tail, number=1, **said):
    chunk = {"number": number, "offset": 0, "next": 9, "size": 9, **said}
    return await agent.post(f"/v1/runtime/logs/{tail}", chunk)


async def test_lines_reach_who_looks_and_the_agent_is_told_when_they_go(agent, logs, key, looks, client, tenant):
    waiting = asyncio.ensure_future(poll(agent, wait=20))
    async with looks(f"{logs}/details/tail", key) as viewer:
        [ask] = await waiting
        tail = ask["tail"]["tail"]
        answer = await bring(agent, tail, lines=["one", "two"])

        assert answer.json() == {"number": 1, "credit": CHUNK_BYTES, "live": True}
        events = viewer.events()
        assert (await anext(events))[0] == "opened"
        assert await anext(events) == ("lines", {"offset": 0, "next": 9, "size": 9, "lines": ["one", "two"]})
        waiting = asyncio.ensure_future(poll(agent, tail, wait=20))
        await asyncio.sleep(0)

    async with asyncio.timeout(5):
        assert await waiting == []
    assert code(await bring(agent, tail, 2, lines=["three"])) == (409, "tail-ended")
    [recorded] = (await client.get(f"/v1/tenants/{tenant.slug}/audit-events?action=log.opened", headers=key)).json()[
        "data"
    ]
    assert (recorded["target"]["kind"], recorded["facts"]["log"]) == ("session", "details")


async def test_a_part_is_fetched_now_and_said_whole(agent, logs, key, client):
    asked = asyncio.ensure_future(client.get(f"{logs}/raw?path=run.log&offset=4&limit=100", headers=key))
    [ask] = await poll(agent, wait=20)
    tail = ask["tail"]["tail"]
    await bring(agent, tail, lines=["two"], offset=4)
    await bring(agent, tail, 2, lines=["three"], next=13, size=20, ended="complete")

    part = (await asked).json()

    assert (ask["tail"]["path"], ask["tail"]["offset"], ask["tail"]["most"]) == ("run.log", 4, 100)
    assert part == {
        "log": "raw",
        "offset": 4,
        "next": 13,
        "size": 20,
        "complete": True,
        "gap": "",
        "lines": ["two", "three"],
    }


async def test_an_agent_that_shows_nothing_says_why(agent, logs, key, client):
    asked = asyncio.ensure_future(client.get(f"{logs}/tools", headers=key))
    [ask] = await poll(agent, wait=20)
    await bring(agent, ask["tail"]["tail"], ended="not-allowed")

    answer = await asked
    assert code(answer) == (409, "log-refused")
    assert answer.json()["reason"] == "not-allowed"


@pytest.mark.parametrize("path", ["../secrets/key", "/etc/passwd", "a/../../b", "a//b", "a\\b", "a%00b", ""])
async def test_a_path_that_leads_out_is_refused(logs, key, client, path):
    assert code(await client.get(f"{logs}/raw?path={path}", headers=key)) == (400, "log-path-unfit")


async def test_who_may_not_look_does_not(make, tenant, logs, client, db, runtime):
    for role, status in (("viewer", 403), ("auditor", 403)):
        assert (await client.get(f"{logs}/details", headers=await make.api_key(tenant, role))).status_code == status
    elsewhere = await make.limited_key(tenant, "developer", Limit(labels={"zone": "elsewhere"}))
    assert (await client.get(f"{logs}/details", headers=elsewhere)).status_code == 404
    stranger = await make.api_key(await make.tenant())
    assert (await client.get(f"{logs}/details", headers=stranger)).status_code == 404


async def test_what_there_is_not_is_not_found(logs, key, client):
    assert code(await client.get(f"{logs}/prompts", headers=key)) == (404, "not-found")
    absent = logs.replace(logs.split("/")[5], "ses_" + "0" * 26)
    assert code(await client.get(f"{absent}/details", headers=key)) == (404, "not-found")


async def test_a_runtime_that_cannot_be_asked_is_said_to_be_so(db, tenant, runtime, logs, key, client):
    async with db.tenant(tenant.tenant_id) as tx:
        silent = {"state": "silent", "state_reason": "3 heartbeats missed"}
        await tx.run(tx.update(t.runtimes).where(t.runtimes.c.id == runtime.id).values(**silent))
        audit.record(tx, SHELL, "runtime.silent", ("runtime", text_id("rt", runtime.id)))
    answer = await client.get(f"{logs}/details", headers=key)
    assert code(answer) == (409, "runtime-unreachable")
    assert "runtime-agent run" in answer.json()["hint"]

    async with db.tenant(tenant.tenant_id) as tx:
        await revoke(tx, SHELL, runtime.id)
    assert code(await client.get(f"{logs}/details", headers=key)) == (409, "runtime-gone")


async def test_an_agent_that_does_not_take_it_up_is_not_waited_for(agent, logs, key, client, looks, monkeypatch):
    monkeypatch.setattr(looking, "UNANSWERED_S", 0.01)

    assert code(await client.get(f"{logs}/details", headers=key)) == (504, "tail-unanswered")
    async with looks(f"{logs}/details/tail", key) as viewer:
        last = [event async for event in viewer.events()][-1]
    assert last[1]["code"] == "unanswered"


async def test_only_so_many_look_at_once(logs, key, client, looks, agent):
    async with (
        looks(f"{logs}/details/tail", key),
        looks(f"{logs}/details/tail", key),
        looks(f"{logs}/tools/tail", key),
        looks(f"{logs}/tools/tail", key),
    ):
        assert len(await poll(agent)) == MOST_TAILS
        assert code(await client.get(f"{logs}/details", headers=key)) == (429, "too-many-tails")


async def test_an_agent_that_sends_more_than_its_credit_is_cut_off(agent, logs, key, looks):
    async with looks(f"{logs}/details/tail", key) as viewer:
        [ask] = await poll(agent, wait=5)
        tail = ask["tail"]["tail"]
        whole = ["x" * 1023] * (CHUNK_BYTES // 1024)
        assert code(await bring(agent, tail, lines=[*whole, "x" * 9999])) == (400, "validation-failed")
        assert code(await bring(agent, tail, 3, lines=["out of order"])) == (409, "credit-exceeded")
        assert [event async for event in viewer.events()][-1][1]["code"] == "credit-exceeded"


async def test_another_runtimes_tail_is_nobodys(logs, key, looks, agent, other):
    async with looks(f"{logs}/details/tail", key) as viewer:
        [ask] = await poll(agent, wait=5)
        assert await poll(other) == []
        assert code(await bring(other, ask["tail"]["tail"], lines=["forged"])) == (409, "tail-ended")
        await bring(agent, ask["tail"]["tail"], lines=["true"], ended="complete")

        said = [data["lines"] for name, data in [event async for event in viewer.events()] if name == "lines"]
    assert said == [["true"]]


async def test_a_viewer_of_whom_nothing_is_heard_any_more_looks_no_longer(agent, logs, key, looks, clock):
    async with looks(f"{logs}/details/tail", key):
        [ask] = await poll(agent, wait=5)
        clock.forward(LEASE)

        assert code(await bring(agent, ask["tail"]["tail"], lines=["late"])) == (409, "tail-ended")
        assert await poll(agent) == []


async def test_no_table_holds_a_line_that_is_looked_at(agent, logs, key, looks, holding):
    async with looks(f"{logs}/raw/tail?path=run.log", key) as viewer:
        [ask] = await poll(agent, wait=5)
        await bring(agent, ask["tail"]["tail"], lines=["quite-a-marker"])
        events = viewer.events()
        assert [await anext(events), await anext(events)][1][1]["lines"] == ["quite-a-marker"]
        assert await holding("quite-a-marker") == []
        assert "log_tails" in await holding("run.log")
    assert await holding("quite-a-marker") == []


async def test_who_loses_the_permission_stops_seeing(logs, key, looks, monkeypatch, client, tenant):
    monkeypatch.setattr(looking, "RENEW_S", 0.0)
    async with looks(f"{logs}/details/tail", key) as viewer:
        [its] = (await client.get(f"/v1/tenants/{tenant.slug}/api-keys", headers=key)).json()["data"]
        await client.delete(f"/v1/tenants/{tenant.slug}/api-keys/{its['id']}", headers=key)
        assert [event async for event in viewer.events()][-1][1]["code"] == "over"
