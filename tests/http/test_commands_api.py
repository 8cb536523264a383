"""Commands and approvals at the doors: who may ask for what, and what a runtime gets to hear of it."""

import asyncio

import pytest

from controlplane.domain import commands, projects
from controlplane.domain.grants import Limit
from controlplane.domain.runtimes import revoke
from controlplane.kit.ids import RuntimeId, parse_id, text_id
from tests.http.agents import Agent, code
from tests.make import SHELL, bearer
from tests.rows import Rows
from tests.runtimes import Joined

ASKS = {"status": "waiting", "waiting_for": "human_approval", "current_node": "risk_review"}


@pytest.fixture
async def runtime(db, tenant, agent):
    async with db.tenant(tenant.tenant_id) as tx:
        project = await projects.named(tx, projects.DEFAULT)
    return Joined(tenant.tenant_id, project.id, RuntimeId(agent.answer.runtime_id))


async def poll(agent, **given):
    return await agent.client.get("/v1/runtime/poll", params=given, headers=bearer(agent.token))


async def test_from_asking_to_the_receipt(api, agent, db, tenant):
    asked = await api("POST", "/commands", {"kind": "rescan", "runtime": agent.answer.runtime})
    assert asked.status_code == 201
    assert asked.json()["state"] == "queued"

    [order] = (await poll(agent)).json()["orders"]
    acknowledged = await agent.post("/v1/runtime/commands/ack", {"commands": [order["command"]["command"]]})

    assert acknowledged.json() == {"void": []}
    shown = (await api("GET", f"/commands/{asked.json()['id']}")).json()
    assert (shown["state"], shown["delivered_at"]) == ("delivered", "2026-01-01T00:00:00.000Z")
    assert (await api("GET", "/commands?state=delivered")).json()["data"] == [shown]
    assert code(await api("POST", f"/commands/{shown['id']}/cancel")) == (409, "command-under-way")


async def test_who_waits_hears_of_a_command_at_once(api, agent):
    waiting = asyncio.ensure_future(poll(agent, wait=20))
    await asyncio.sleep(0)
    await api("POST", "/commands", {"kind": "rescan", "runtime": agent.answer.runtime})

    async with asyncio.timeout(5):
        assert len((await waiting).json()["orders"]) == 1


async def test_a_heartbeat_tells_that_commands_wait(api, agent):
    await api("POST", "/commands", {"kind": "drain", "runtime": agent.answer.runtime})

    assert (await agent.post("/v1/runtime/heartbeat", agent.beat())).json()["cmds_waiting"] == 1


@pytest.mark.parametrize(
    "said",
    [
        {"kind": "approve", "session": "ses_" + "0" * 26},
        {"kind": "reboot", "runtime": "rt_" + "0" * 26},
        {"kind": "rescan", "runtime": "rt_" + "0" * 26, "comment": "x" * 1001},
    ],
)
async def test_what_is_no_command_is_refused(api, said):
    assert code(await api("POST", "/commands", said)) == (400, "validation-failed")


@pytest.mark.parametrize(
    "said",
    [
        {"kind": "rescan"},
        {"kind": "pause", "runtime": "rt_" + "0" * 26},
        {"kind": "drain", "runtime": "rt_" + "0" * 26, "session": "ses_" + "0" * 26},
    ],
)
async def test_a_command_names_what_it_is_for_and_nothing_else(api, said):
    assert code(await api("POST", "/commands", said)) == (400, "command-misdirected")


async def test_a_revoked_runtime_hears_nothing_more(api, agent, db, tenant):
    await api("POST", "/commands", {"kind": "rescan", "runtime": agent.answer.runtime})
    async with db.tenant(tenant.tenant_id) as tx:
        await revoke(tx, SHELL, RuntimeId(agent.answer.runtime_id))

    assert code(await poll(agent)) == (403, "revoked")
    assert code(await agent.post("/v1/runtime/commands/ack", {"commands": []})) == (403, "revoked")


async def test_another_tenants_runtime_cannot_be_asked(api, make, client, clock):
    other = Agent(client, clock)
    await other.enroll(await make.join_token(await make.tenant()))

    assert code(await api("POST", "/commands", {"kind": "rescan", "runtime": other.answer.runtime})) == (
        404,
        "not-found",
    )


async def test_an_approval_is_seen_decided_told_and_on_record(api, runtime, db, agent):
    assert (await api("GET", "/approvals")).json() == {"data": [], "page": {"next_cursor": None, "has_more": False}}
    session_id = await Rows(db).session(runtime, **ASKS)
    [asks] = (await api("GET", "/approvals")).json()["data"]
    assert (asks["id"], asks["state"], asks["node"]) == (text_id("apr", session_id), "waiting", "risk_review")

    done = (await api("POST", f"/approvals/{asks['id']}/approve", {"comment": "fine"})).json()

    assert (done["state"], done["decision"]["kind"], done["decision"]["comment"]) == ("decided", "approve", "fine")
    [order] = (await poll(agent)).json()["orders"]
    assert (order["command"]["kind"], order["command"]["comment"]) == ("approve", "fine")
    again = await api("POST", f"/approvals/{asks['id']}/approve", {})
    assert code(again) == (409, "approval-decided")
    assert again.json()["command"] == done["decision"]["id"]
    recorded = (await api("GET", "/audit-events?action=approval.approved")).json()["data"]
    assert [each["target"]["id"] for each in recorded] == [text_id("ses", session_id)]
    told = (await api("GET", "/events?types=approval.approved,command.created")).json()["data"]
    assert {each["type"] for each in told} == {"approval.approved", "command.created"}


async def test_deciding_takes_a_permission_and_looking_another(api, make, tenant, runtime, db):
    path = f"/approvals/{text_id('apr', await Rows(db).session(runtime, **ASKS))}/reject"
    for role, status in (("viewer", 403), ("auditor", 403), ("developer", 200)):
        key = await make.api_key(tenant, role)

        assert (await api("GET", "/approvals", headers=key)).status_code == 200
        assert (await api("POST", path, {}, headers=key)).status_code == status


async def test_who_sees_some_runtimes_only_sees_their_commands_and_approvals_only(api, make, tenant, runtime, db):
    session_id = await Rows(db).session(runtime, **ASKS)
    asked = (await api("POST", f"/approvals/{text_id('apr', session_id)}/reject", {})).json()["decision"]["id"]
    elsewhere = await make.limited_key(tenant, "developer", Limit(labels={"zone": "elsewhere"}))

    for path in ("/commands", "/approvals"):
        assert (await api("GET", path, headers=elsewhere)).json()["data"] == []
    assert (await api("GET", f"/commands/{asked}", headers=elsewhere)).status_code == 404
    path = f"/approvals/{text_id('apr', session_id)}/approve"
    assert (await api("POST", path, {}, headers=elsewhere)).status_code == 404
    async with db.tenant(tenant.tenant_id) as tx:
        assert (await commands.get(tx, parse_id("cmd", asked))).kind == "reject"
