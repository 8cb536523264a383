"""The platform's apps: set up by operators, for every tenant, and their secret is shown to nobody."""

import pytest

from controlplane.domain.audit import Event
from controlplane.domain.vault import apps
from controlplane.kit.ids import parse_id
from tests.domain.test_audit import PLATFORM
from tests.domain.vault.begun import begin
from tests.http.agents import code
from tests.make import SHELL

NEW = {"provider": "github-oauth", "name": "Everybody's", "client_id": "abc", "client_secret": "hush-hush"}


@pytest.fixture
async def call(client, make):
    operator = await make.operator()

    async def call(method, path="", **given):
        match = {"If-Match": "*"} if method in ("PATCH", "DELETE") else {}
        headers = {**operator.headers, **match}
        return await client.request(method, f"/v1/operator/oauth-apps{path}", headers=headers, **given)

    return call


async def test_every_tenant_connects_through_it_and_nobody_sees_its_secret(client, call, make):
    made = await call("POST", json=NEW)
    tenant = await make.tenant()
    key = await make.api_key(tenant)
    base = f"/v1/tenants/{tenant.slug}"

    shared = await client.get(f"{base}/oauth-apps?shared=true", headers=key)
    wanted = {"provider": "github-oauth", "owner_ref": "u-7"}
    begun = await client.post(f"{base}/connect-sessions", headers=key, json=wanted)
    listed = await call("GET")

    assert made.status_code == 201, made.text
    assert [each["id"] for each in shared.json()["data"]] == [made.json()["id"]] == [begun.json()["app"]]
    assert [(each["has_proof"], each["shared"]) for each in listed.json()["data"]] == [(True, True)]
    assert all("hush" not in answer.text for answer in (made, shared, begun, listed))


async def test_its_addresses_are_the_catalogues_and_nobody_elses(call):
    overridden = await call("POST", json={**NEW, "overrides": {"token": "https://elsewhere.example/"}})
    generic = await call("POST", json={**NEW, "provider": "generic-oauth2"})
    elsewhere = await call("POST", json={**NEW, "provider": "gitlab", "variables": {"host": "git.acme.example"}})

    assert overridden.status_code == 400
    assert code(generic) == code(elsewhere) == (400, "oauth-app-unfit")


async def test_a_new_secret_mends_one_that_was_broken(call, db):
    made = (await call("POST", json=NEW)).json()["id"]
    async with db.platform() as tx:
        await apps.broken(tx, SHELL, parse_id("app", made), "invalid_client")
    assert (await call("GET", f"/{made}")).json()["state"] == "broken"

    changed = await call("PATCH", f"/{made}", json={"client_secret": "another"})

    assert (changed.status_code, changed.json()["state"]) == (200, "ok")


async def test_one_that_somebody_connects_through_stays(call, db, make):
    used, unused = [(await call("POST", json=NEW)).json()["id"] for _ in range(2)]
    async with db.tenant((await make.tenant()).tenant_id) as tx:
        await begin(tx, app_id=None, platform_app_id=parse_id("app", used))

    assert code(await call("DELETE", f"/{used}")) == (409, "oauth-app-in-use")
    assert (await call("DELETE", f"/{unused}")).status_code == 204
    assert [each["id"] for each in (await call("GET")).json()["data"]] == [used]


async def test_what_is_done_stands_in_the_platforms_log(call, db):
    made = (await call("POST", json=NEW)).json()["id"]
    await call("PATCH", f"/{made}", json={"name": "Ours"})
    await call("DELETE", f"/{made}")

    async with db.platform() as tx:
        events = await tx.query(Event, PLATFORM)

    done = [event.action for event in events if event.target_id == made]
    assert sorted(done) == ["oauth-app.changed", "oauth-app.created", "oauth-app.deleted"]
