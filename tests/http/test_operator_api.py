"""Those who run the service, across tenants."""

from uuid import UUID

import pytest

from controlplane.domain.audit import Event
from controlplane.kit.ids import text_id
from tests.domain.test_audit import PLATFORM
from tests.make import bearer


@pytest.fixture
async def call(client, make):
    operator = await make.operator()

    async def call(method, path, **given):
        given = {"headers": operator.headers, **given}
        return await client.request(method, f"/v1/operator{path}", **given)

    return call


async def test_a_tenant_is_created_with_its_owner(client, db, make, call):
    account = await make.account()

    made = await call("POST", "/tenants", json={"slug": "acme", "name": "Acme", "owner": account.email})

    assert made.status_code == 201, made.text
    owner = await make.signed_in(account)
    me = (await client.get("/v1/me", headers=owner.headers)).json()
    assert [(each["slug"], each["roles"]) for each in me["tenants"]] == [("acme", ["owner"])]
    assert (await client.get("/v1/tenants/acme/users", headers=owner.headers)).status_code == 200


async def test_an_owner_without_an_account_gets_one(call, db):
    made = await call("POST", "/tenants", json={"slug": "acme", "name": "Acme", "owner": "new@example.com"})

    assert made.status_code == 201


async def test_a_refused_tenant_leaves_nothing(call):
    first = await call("POST", "/tenants", json={"slug": "acme", "name": "Acme"})
    again = await call("POST", "/tenants", json={"slug": "acme", "name": "Other"})

    assert [first.status_code, again.status_code] == [201, 409]
    assert [tenant["name"] for tenant in (await call("GET", "/tenants")).json()["data"]] == ["Acme"]


async def test_every_tenant_is_listed_by_pages(call, make):
    slugs = [(await make.tenant()).slug for _ in range(3)]

    first = (await call("GET", "/tenants?limit=2")).json()
    rest = (await call("GET", f"/tenants?limit=2&cursor={first['page']['next_cursor']}")).json()

    assert sorted(each["slug"] for each in first["data"] + rest["data"]) == sorted(slugs)


async def test_a_tenant_is_suspended_and_resumed(client, call, make):
    tenant = await make.tenant()
    key = await make.api_key(tenant)

    suspended = await call("POST", f"/tenants/{tenant.slug}/suspend", json={"reason": "unpaid", "message": "call us"})
    turned_away = await client.get(f"/v1/tenants/{tenant.slug}", headers=key)
    resumed = await call("POST", f"/tenants/{text_id('ten', tenant.tenant_id)}/resume")
    let_in = await client.get(f"/v1/tenants/{tenant.slug}", headers=key)

    assert (suspended.json()["status"], suspended.json()["status_reason"]) == ("suspended", "unpaid")
    assert (turned_away.json()["code"], turned_away.json()["detail"]) == ("tenant-suspended", "call us")
    assert resumed.json()["status"] == "active"
    assert let_in.status_code == 200


async def test_what_an_operator_does_stands_in_the_tenants_own_log(client, call, make):
    tenant = await make.tenant()
    key = await make.api_key(tenant)
    await call("POST", f"/tenants/{tenant.slug}/suspend", json={})
    await call("POST", f"/tenants/{tenant.slug}/resume")

    events = (await client.get(f"/v1/tenants/{tenant.slug}/audit-events", headers=key)).json()["data"]

    assert [event["action"] for event in events[:2]] == ["tenant.resumed", "tenant.suspended"]
    assert {event["actor"]["kind"] for event in events[:2]} == {"operator"}


@pytest.mark.parametrize("reference", ["none", text_id("ten", UUID(int=7)), "ten_x", "%00"])
async def test_a_tenant_that_is_not_there_is_not_found(call, reference):
    answers = [
        await call("GET", f"/tenants/{reference}"),
        await call("POST", f"/tenants/{reference}/suspend", json={}),
        await call("POST", f"/tenants/{reference}/resume"),
    ]

    assert {(answer.status_code, answer.json()["code"]) for answer in answers} == {(404, "not-found")}


async def test_an_operator_key_is_shown_once_and_ends_at_once(client, call):
    made = await call("POST", "/keys", json={"name": "ci"})
    key = bearer(made.json()["key"])

    used = await client.get("/v1/operator/operators", headers=key)
    shown = await call("GET", f"/keys/{made.json()['id']}")
    gone = await call("DELETE", f"/keys/{made.json()['id']}")
    refused = await client.get("/v1/operator/operators", headers=key)

    assert [used.status_code, shown.status_code, gone.status_code] == [200, 200, 204]
    assert "key" not in shown.json()
    assert refused.json()["code"] == "api-key-revoked"
    assert [each["id"] for each in (await call("GET", "/keys")).json()["data"]] == [made.json()["id"]]


async def test_acts_on_the_platform_are_written_down(db, call):
    made = (await call("POST", "/keys", json={"name": "ci"})).json()
    await call("DELETE", f"/keys/{made['id']}")

    async with db.platform() as tx:
        events = await tx.query(Event, PLATFORM)

    assert [(event.action, event.actor_kind, event.target_id) for event in events[-2:]] == [
        ("operator-key.created", "operator", made["id"]),
        ("operator-key.revoked", "operator", made["id"]),
    ]


async def test_operators_are_listed_with_their_role(call, make):
    viewer = await make.operator("viewer")

    listed = {each["email"]: each["role"] for each in (await call("GET", "/operators")).json()["data"]}

    assert listed[viewer.account.email] == "viewer"
    assert sorted(listed.values()) == ["admin", "viewer"]


@pytest.mark.parametrize("q", ["", "x" * 301, "a\0b"])
async def test_tenants_are_looked_for_by_some_characters(client, make, q):
    answer = await client.get("/v1/operator/tenants", params={"q": q}, headers=(await make.operator()).headers)

    assert (answer.status_code, answer.json()["code"]) == (400, "validation-failed")
