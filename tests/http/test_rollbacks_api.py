"""Rolling back at the doors: what is no rollback, who may ask, and what content the runtime gets back."""

import base64
from datetime import timedelta
from uuid import UUID

import pytest

from controlplane.chores.content import collect_content
from controlplane.kit.ids import text_id
from tests.http.agents import Agent, code
from tests.http.test_blobs import allow
from tests.http.test_contents import BEFORE, Lane, document
from tests.make import bearer


@pytest.fixture
async def owner(make, tenant):
    return await make.api_key(tenant)


@pytest.fixture
async def lane(client, agent, tenant, owner):
    await allow(client, tenant, owner, "plain")
    made = Lane(client, agent, tenant, owner)
    await made.tell(1, document(BEFORE))
    return made


@pytest.fixture
async def row(lane):
    [row] = await lane.shown()
    return row


@pytest.fixture
def ask(client, lane, row):
    async def ask(headers=None, **given):
        said = {"kind": "rollback", "session": row["session"], "checkpoint": row["id"], **given}
        said = {name: value for name, value in said.items() if value is not None}
        path = f"/v1/tenants/{lane.tenant.slug}/commands"
        return await client.post(path, json=said, headers=headers or lane.owner)

    return ask


async def fetched(agent, row):
    return await agent.client.get(f"/v1/runtime/checkpoints/{row['id']}/content", headers=bearer(agent.token))


async def accepted(agent, asked):
    assert asked.status_code == 201, asked.text
    await agent.post("/v1/runtime/commands/ack", {"commands": [asked.json()["id"]]})


@pytest.mark.parametrize(
    "given",
    [
        {"checkpoint": None},
        {"kind": "pause"},
        {"kind": "undo"},
        {"session": None},
        {"runtime": "rt_" + "0" * 26},
    ],
)
async def test_what_is_no_rollback_is_refused(ask, given):
    assert code(await ask(**given)) == (400, "command-misdirected")


async def test_a_checkpoint_has_a_name_that_can_be_one(ask):
    assert code(await ask(checkpoint="x" * 41)) == (400, "validation-failed")


async def test_a_checkpoint_that_nobody_knows_is_not_there(ask):
    for checkpoint in (text_id("cp", UUID(int=5)), "cp_x", "ses_" + "0" * 26):
        assert code(await ask(checkpoint=checkpoint)) == (404, "not-found")


async def test_who_may_only_look_rolls_nothing_back(ask, make, lane):
    assert (await ask(headers=await make.api_key(lane.tenant, "viewer"))).status_code == 403
    assert code(await ask(kind="undo", checkpoint=None)) == (409, "nothing-to-undo")


async def test_a_runtime_gets_back_what_it_once_sent_for_a_rollback_that_it_has_and_for_nothing_else(lane, row, ask):
    await lane.bring(1)
    assert code(await fetched(lane.agent, row)) == (404, "not-found")
    asked = await ask()
    assert code(await fetched(lane.agent, row)) == (404, "not-found")
    await accepted(lane.agent, asked)

    found = (await fetched(lane.agent, row)).json()

    assert [base64.b64decode(body) for body in found["bodies"]] == lane.bodies[1]
    [order] = (await lane.agent.client.get("/v1/runtime/poll", headers=bearer(lane.agent.token))).json()["orders"]
    assert order["command"]["place"]["digest"] == found["content"]["digest"]


async def test_another_runtime_of_the_tenant_gets_nothing(lane, row, ask, client, clock, make):
    await lane.bring(1)
    await accepted(lane.agent, await ask())
    other = Agent(client, clock)
    await other.enroll(await make.join_token(lane.tenant))

    assert code(await fetched(other, row)) == (404, "not-found")


async def test_what_is_not_all_here_yet_is_not_given_out(lane, row, ask):
    await accepted(lane.agent, await ask())

    assert code(await fetched(lane.agent, row)) == (409, "content-incomplete")


@pytest.fixture
def collect(db, app, clock):
    async def collect():
        clock.forward(timedelta(days=91))
        return await collect_content(db, app.state.blobs)

    return collect


async def test_what_a_rollback_goes_back_to_is_not_pruned_before_it_is_done(lane, row, ask, collect):
    await lane.bring(1)
    await accepted(lane.agent, await ask())

    assert await collect() == 0
