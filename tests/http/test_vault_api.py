"""Operators see how it stands with the keys and have them replaced; nobody sees a key."""

import base64
from datetime import timedelta
from uuid import UUID

import pytest

from controlplane.chores import keys as chore
from controlplane.domain import keys, tenants
from controlplane.domain.keys import Context, TenantSealed
from controlplane.domain.permissions import FRESH_FOR
from controlplane.domain.webhooks import endpoints
from controlplane.kit.ids import text_id
from controlplane.kit.wakeups import InMemory
from tests.conftest import KEYRING
from tests.make import SHELL

REST = timedelta(seconds=0)


@pytest.fixture
async def operator(make):
    return await make.operator()


@pytest.fixture
def call(client, operator):
    async def call(method, path, headers=None, **given):
        return await client.request(method, f"/v1/operator/vault{path}", headers=headers or operator.headers, **given)

    return call


@pytest.fixture
async def acme(make, db, clock):
    tenant = await make.tenant("acme")
    async with db.tenant(tenant.tenant_id) as tx:
        await endpoints.create(tx, SHELL, "https://hooks.example.com/in")
    clock.forward(timedelta(seconds=1))
    return tenant


async def test_what_is_shown_is_what_there_is_and_never_a_key(call, acme):
    answer = await call("GET", "/")

    shown = answer.json()
    assert shown["keeper"] == {**shown["keeper"], "kind": "keyring", "configured": "test", "works": True, "problem": ""}
    [master] = shown["masters"]
    assert (master["name"], master["state"], master["at_hand"]) == ("test", "current", True)
    assert master["data_keys"] > 0
    assert {"webhook"} <= {kind["kind"] for kind in shown["kinds"]}
    for key in (*KEYRING.keys.values(), KEYRING.pepper):
        assert key.hex() not in answer.text
        assert base64.b64encode(key).decode() not in answer.text


async def test_a_rotation_is_asked_for_done_by_a_chore_and_stands_in_the_tenants_log(call, client, db, make, acme):
    asked = await call("POST", "/rotations", json={"kind": "data", "tenant": "acme", "within_s": 3600})
    assert asked.status_code == 202, asked.text
    assert (asked.json()["step"], asked.json()["tenant"]) == ("waiting", text_id("ten", acme.tenant_id))

    await chore.rotate(db, REST, InMemory())

    done = (await call("GET", f"/rotations/{asked.json()['id']}")).json()
    assert (done["step"], done["percent"], done["records"]) == ("done", 100, 1)
    events = await client.get("/v1/tenants/acme/audit-events?limit=20", headers=await make.api_key(acme))
    actions = [event["action"] for event in events.json()["data"]]
    assert {"keys.rotated", "keys.destroyed", "keys.replaced", "keys.rotation-asked"} <= set(actions)
    assert (await call("GET", "/rotations")).json()["data"][0]["id"] == done["id"]


@pytest.mark.parametrize(
    ("wanted", "code"),
    [
        ({"kind": "rewrap", "tenant": "acme"}, "rotation-of-nobody"),
        ({"kind": "data", "tenant": "nobody"}, "not-found"),
        ({"kind": "data", "tenant": text_id("ten", UUID(int=7))}, "not-found"),
        ({"kind": "master"}, "master-key-not-new"),
        ({"kind": "emergency"}, "master-key-not-new"),
        ({"kind": "data", "within_s": 1}, "validation-failed"),
    ],
)
async def test_what_cannot_be_is_refused_with_the_reason(call, acme, wanted, code):
    answer = await call("POST", "/rotations", json=wanted)

    assert answer.json()["code"] == code


async def test_the_same_is_not_asked_for_twice(call, acme):
    first = await call("POST", "/rotations", json={"kind": "data"})
    again = await call("POST", "/rotations", json={"kind": "data"})

    assert (again.status_code, again.json()["code"]) == (409, "rotation-open")
    assert again.json()["rotation"] == first.json()["id"]


async def test_it_takes_a_fresh_proof_and_more_than_looking(call, make, clock, operator):
    viewer = await make.operator("viewer")
    assert (await call("GET", "/", viewer.headers)).status_code == 403
    clock.forward(FRESH_FOR + timedelta(seconds=1))

    stale = await call("POST", "/rotations", json={"kind": "rewrap"})

    assert stale.json()["code"] == "reauthentication-required"
    assert (await call("GET", "/")).status_code == 200


async def test_the_page_shows_it_and_asks_for_it(client, operator, db, acme):
    asked = await client.post(
        "/console/vault/rotations", headers=operator.headers, data={"kind": "data", "tenant": "acme"}
    )
    again = await client.post(
        "/console/vault/rotations", headers=operator.headers, data={"kind": "data", "tenant": "acme"}
    )
    waiting = (await client.get("/console/vault", headers=operator.headers)).text
    await chore.rotate(db, REST, InMemory())
    done = (await client.get("/console/vault", headers=operator.headers)).text

    assert asked.headers["location"] == "/console/vault"
    assert "These keys are being rotated already" in again.text
    assert "waiting" in waiting
    assert "Data keys" in done
    assert "destroyed" in done.lower()
    assert 'href="/console/vault"' in (await client.get("/console/tenants", headers=operator.headers)).text


async def test_who_may_only_look_at_tenants_is_not_led_to_the_vault(client, make):
    viewer = await make.operator("viewer")

    assert 'href="/console/vault"' not in (await client.get("/console/tenants", headers=viewer.headers)).text
    assert (await client.get("/console/vault", headers=viewer.headers)).status_code == 403


async def test_the_credentials_of_a_suspended_tenant_are_not_unwrapped(client, operator, db, acme, monkeypatch):
    """As every kind is held that opens doors outside; the secrets of webhooks stand for them here."""
    for module in (keys, keys.data):
        monkeypatch.setattr(module, "HELD", frozenset({"webhook"}))
    context = Context("webhooks", "here")
    async with db.tenant(acme.tenant_id) as tx:
        sealed = await keys.seal(tx, "webhook-secret", b"token", context)
        await tenants.rename(tx, SHELL, "Acme")

    async def unseal():
        async with db.tenant(acme.tenant_id) as tx:
            return await keys.unseal(tx, "webhook-secret", sealed, context)

    assert await unseal() == b"token"
    await client.post("/v1/operator/tenants/acme/suspend", headers=operator.headers, json={})
    assert await chore.forget_stale(db) == 1
    with pytest.raises(TenantSealed):
        await unseal()
    await client.post("/v1/operator/tenants/acme/resume", headers=operator.headers)
    assert await unseal() == b"token"
