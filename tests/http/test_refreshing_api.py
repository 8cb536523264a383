"""Asking for the next token, at the door."""

from datetime import timedelta

import pytest

from controlplane.domain import audit
from controlplane.domain.vault.standing import NeedsReauth
from controlplane.kit.ids import text_id
from tests.domain.vault.begun import typed
from tests.refreshing.rig import Rig
from tests.refreshing.strict import serving


@pytest.fixture
async def strict():
    async with serving() as server:
        yield server


@pytest.fixture
async def rig(db, make, strict):
    rig = await Rig(db, make, strict, replay="generic-oauth2").connect()
    yield rig
    await rig.close()


@pytest.fixture
async def ask(client, make, rig):
    async def ask(role="admin", tenant=None):
        tenant = tenant or rig.tenant
        key = await make.api_key(tenant, role)
        return await client.post(f"/v1/tenants/{tenant.slug}/connections/{text_id('con', rig.id)}/refresh", headers=key)

    return ask


async def test_whoever_may_gets_the_next_token_and_that_stands_in_the_log(ask, rig, strict, clock):
    clock.forward(timedelta(minutes=2))

    answer = await ask()
    again = await ask()

    assert (answer.status_code, answer.json()["cred_version"]) == (200, 2)
    assert (again.json()["cred_version"], strict.calls) == (2, 1), "there has just been one"
    assert answer.json()["failing"] == {"kind": None, "count": 0}
    assert answer.json()["next_refresh_at"]
    assert rig.grant.refresh not in answer.text
    async with rig.db.tenant(rig.tenant_id) as tx:
        acts = [event.action for event in await audit.listing(tx, limit=9)]
    assert acts.count("connection.refreshed") == 1
    assert acts.count("connection.refresh_asked") == 2


async def test_whoever_may_only_look_may_not_ask(ask):
    assert (await ask("viewer")).status_code == 403


async def test_another_tenants_connection_is_not_there(ask, make):
    assert (await ask(tenant=await make.tenant())).status_code == 404


async def test_a_grant_that_is_dead_is_told(ask, rig):
    rig.grant.die()

    answer = await ask()

    assert (answer.status_code, answer.json()["code"]) == (409, NeedsReauth.code)
    assert answer.json()["reason"] == "invalid_grant"


async def test_a_provider_that_is_down_is_waited_for(ask, rig, strict):
    strict.faults = ["status:503"]

    answer = await ask()

    assert (answer.status_code, answer.json()["code"], answer.json()["kind"]) == (
        503,
        "connection-refresh-failing",
        "transient",
    )
    assert int(answer.headers["retry-after"]) >= 1


async def test_what_was_typed_in_is_not_refreshed(ask, rig):
    async with rig.db.tenant(rig.tenant_id) as tx:
        rig.id = (await typed(tx)).id

    answer = await ask()

    assert (answer.status_code, answer.json()["code"]) == (409, "connection-not-refreshable")
