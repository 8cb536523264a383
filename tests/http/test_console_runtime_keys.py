"""The console's page about keys of runtimes that cannot sign, used without JavaScript."""

import re

import pytest

from controlplane.kit.ids import text_id
from tests.http.agents import Agent
from tests.http.browsing import Browser
from tests.make import bearer


@pytest.fixture
async def tenant(make):
    return await make.tenant()


@pytest.fixture
async def keys(client, clock, make, tenant):
    agent = Agent(client, clock)
    assert (await agent.enroll(await make.join_token(tenant))).status_code == 201
    return f"/runtime-keys/{text_id('rt', agent.answer.runtime_id)}"


@pytest.fixture
async def owner(client, make, tenant):
    return Browser(client, tenant, await make.person(tenant, "owner"))


async def test_a_key_is_made_shown_once_and_opens_what_the_tenant_has_let_it(client, owner, keys):
    assert "They open nothing" in await owner.text(keys)
    made = await owner.post(keys, days="30")
    [secret] = set(re.findall(r"ec_rk_\w{36}", made.text))
    assert (await client.get("/v1/credentials", headers=bearer(secret))).status_code == 403

    await owner.post("/settings/unsealed-reads", to="on")

    assert (await client.get("/v1/credentials", headers=bearer(secret))).status_code == 200
    assert "may fetch credentials unsealed" in await owner.text("/settings")
    again = await owner.text(keys)
    assert not re.search(r"ec_rk_\w{36}", again)
    assert "They open nothing" not in again


async def test_one_is_rotated_and_revoked_there(client, owner, keys):
    await owner.post("/settings/unsealed-reads", to="on")
    first = await owner.post(keys, days="30")
    [rotate] = re.findall(r'action="[^"]*(/runtime-keys/[^"]+/rotate)"', first.text)
    second = await owner.post(rotate)
    [secret] = set(re.findall(r"ec_rk_\w{36}", second.text))
    assert (await client.get("/v1/credentials", headers=bearer(secret))).status_code == 200

    for revoke in re.findall(r'action="[^"]*(/runtime-keys/[^"]+/revoke)"', second.text):
        await owner.post(revoke)

    assert (await client.get("/v1/credentials", headers=bearer(secret))).status_code == 401
