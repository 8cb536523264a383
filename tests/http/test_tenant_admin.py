"""Keys, join tokens, people and the audit log of a tenant, as its automation uses them."""

from datetime import timedelta

import pytest

from controlplane.domain import projects
from controlplane.kit.ids import new_id, text_id
from tests.make import SHELL, bearer


@pytest.fixture
async def tenant(make):
    return await make.tenant()


@pytest.fixture
async def call(client, make, tenant):
    key = await make.api_key(tenant)

    async def call(method, path, headers=None, **given):
        return await client.request(method, f"/v1/tenants/{tenant.slug}{path}", headers=headers or key, **given)

    return call


async def test_a_key_is_shown_once_and_opens_what_its_role_does(call):
    made = await call("POST", "/api-keys", json={"name": "ci", "role": "viewer", "expires_in": 3600})

    assert made.status_code == 201, made.text
    secret, shown = made.json()["key"], {name: value for name, value in made.json().items() if name != "key"}
    again = await call("GET", f"/api-keys/{shown['id']}")
    assert again.json() == shown
    assert shown["expires_at"] == "2026-01-01T01:00:00.000Z"
    assert secret not in again.text
    assert (await call("GET", "/sessions", bearer(secret))).status_code == 200
    assert (await call("GET", "/api-keys", bearer(secret))).status_code == 403


async def test_a_revoked_key_stays_in_the_list(call):
    made = (await call("POST", "/api-keys", json={"name": "ci"})).json()

    gone = [await call("DELETE", f"/api-keys/{made['id']}") for _ in range(2)]

    assert [answer.status_code for answer in gone] == [204, 204]
    listed = {key["id"]: key["revoked_at"] for key in (await call("GET", "/api-keys")).json()["data"]}
    assert listed[made["id"]] == "2026-01-01T00:00:00.000Z"
    assert (await call("GET", "", bearer(made["key"]))).json()["code"] == "api-key-revoked"


async def test_nobody_makes_a_key_that_can_do_more_than_they(client, make, tenant):
    admin = await make.api_key(tenant, "admin")

    answer = await client.post(
        f"/v1/tenants/{tenant.slug}/api-keys", headers=admin, json={"name": "up", "role": "owner"}
    )

    assert (answer.status_code, answer.json()["code"]) == (403, "role-not-yours")
    assert answer.json()["role"] == "owner"


async def test_a_key_of_no_role_or_no_time_is_refused(call):
    of_no_role = await call("POST", "/api-keys", json={"name": "x", "role": "emperor"})
    for_ever = await call("POST", "/api-keys", json={"name": "x", "expires_in": 10**10})

    assert (of_no_role.status_code, of_no_role.json()["code"]) == (400, "role-unknown")
    assert for_ever.json()["errors"][0]["name"] == "expires_in"


async def test_a_join_token_is_shown_once(call):
    made = await call("POST", "/join-tokens", json={"uses": 3, "expires_in": 60})

    assert made.status_code == 201, made.text
    assert made.json()["token"].startswith("ec_jt_")
    shown = (await call("GET", f"/join-tokens/{made.json()['id']}")).json()
    assert (shown["uses_allowed"], shown["uses"], shown["expires_at"]) == (3, 0, "2026-01-01T00:01:00.000Z")
    assert "token" not in shown
    assert (await call("DELETE", f"/join-tokens/{shown['id']}")).status_code == 204
    assert (await call("GET", "/join-tokens")).json()["data"][0]["revoked_at"] is not None


async def test_a_join_token_is_for_a_project_of_this_tenant(db, make, call):
    other = await make.tenant()
    async with db.tenant(other.tenant_id) as tx:
        foreign = await projects.create(tx, SHELL, "theirs", "Theirs", "prod")

    absent = [
        await call("POST", "/join-tokens", json={"project": reference})
        for reference in ("theirs", text_id("prj", foreign.id), text_id("prj", new_id(foreign.created_at)))
    ]

    assert {(answer.status_code, answer.json()["code"]) for answer in absent} == {(404, "not-found")}


async def test_a_project_is_found_by_slug_and_by_id(call):
    [project] = (await call("GET", "/projects")).json()["data"]

    assert (await call("GET", "/projects/default")).json() == project
    assert (await call("GET", f"/projects/{project['id']}")).json() == project
    assert project["environment"] == "prod"


async def test_the_people_of_a_tenant_are_listed(call, make, tenant):
    human = await make.person(tenant, "auditor")
    await make.person()

    [user] = (await call("GET", "/users")).json()["data"]

    assert (user["email"], user["roles"]) == (human.account.email, ["auditor"])
    assert (await call("GET", f"/users/{user['id']}")).json() == user


async def test_the_audit_log_says_who_did_what_in_which_request(call):
    made = await call("POST", "/join-tokens", json={})

    newest = (await call("GET", "/audit-events")).json()["data"][0]

    assert newest["action"] == "join-token.created"
    assert newest["actor"]["kind"] == "api-key"
    assert newest["target"] == {"kind": "join-token", "id": made.json()["id"]}
    assert newest["request_id"] == made.headers["request-id"]
    assert newest["occurred_at"] == "2026-01-01T00:00:00.000Z"


async def test_every_change_is_in_the_audit_log(call):
    key = (await call("POST", "/api-keys", json={"name": "x"})).json()["id"]
    token = (await call("POST", "/join-tokens", json={})).json()["id"]
    await call("DELETE", f"/api-keys/{key}")
    await call("DELETE", f"/join-tokens/{token}")
    await call("DELETE", f"/join-tokens/{token}")

    actions = [event["action"] for event in (await call("GET", "/audit-events")).json()["data"]]

    assert actions[:4] == ["join-token.revoked", "api-key.revoked", "join-token.created", "api-key.created"]
    assert actions.count("join-token.revoked") == 1


async def test_what_was_refused_is_not_in_the_audit_log(call):
    await call("GET", "/audit-events")  # after which it is on record that they read it
    before = (await call("GET", "/audit-events")).json()["data"]
    await call("POST", "/api-keys", json={"name": "x", "role": "emperor"})
    await call("POST", "/join-tokens", json={"project": "none"})

    assert (await call("GET", "/audit-events")).json()["data"] == before


@pytest.mark.parametrize(
    ("lifetime", "status"),
    [(59, 400), (60, 201), (60.0, 201), (60.5, 400), (int(timedelta(days=3660).total_seconds()), 201)],
)
async def test_a_key_lasts_between_a_minute_and_ten_years(call, lifetime, status):
    assert (await call("POST", "/api-keys", json={"name": "x", "expires_in": lifetime})).status_code == status
