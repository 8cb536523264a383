"""The tokens that a directory comes in with, and its door."""

from datetime import timedelta

import pytest

from controlplane.domain import scim_tokens
from controlplane.domain.directory.refusals import DirectoryUnsupported
from controlplane.http.limits import SCIM, check
from controlplane.kit import tokens
from controlplane.kit.limiter import InMemory
from tests.http.directory import USER, Directory
from tests.http.test_roles import Caller
from tests.make import bearer


@pytest.fixture
async def owner(client, make, tenant):
    return Caller(client, tenant, await make.api_key(tenant, "owner"))


async def made(owner, **given):
    answer = await owner("POST", "/scim-tokens", {"name": "Entra", **given})
    assert answer.status_code == 201, answer.text
    return answer.json()


async def reads(client, token):
    return (await Directory(client, bearer(token)).get("/Users")).status_code


async def test_the_secret_is_shown_once(client, owner):
    token = await made(owner)

    assert token["token"].startswith("ec_sc_")
    assert await reads(client, token["token"]) == 200
    shown = (await owner("GET", f"/scim-tokens/{token['id']}")).json()
    listed = (await owner("GET", "/scim-tokens")).json()["data"]
    assert listed == [shown]
    assert "token" not in shown
    assert token["token"] not in str(listed)
    assert shown["hint"].startswith("ec_sc_")


async def test_two_of_a_connection_work_until_the_old_one_ends(client, clock, owner):
    old = await made(owner)
    new = (await owner("POST", f"/scim-tokens/{old['id']}/rotate", {"overlap": 3600})).json()
    third = await owner("POST", f"/scim-tokens/{new['id']}/rotate", {})

    assert (new["connection"], new["rotated_from"]) == (old["connection"], old["id"])
    assert third.json()["code"] == scim_tokens.TwoTokensWork.code
    assert [await reads(client, each["token"]) for each in (old, new)] == [200, 200]
    clock.forward(timedelta(hours=2))
    assert [await reads(client, each["token"]) for each in (old, new)] == [401, 200]
    ended = await Directory(client, bearer(old["token"])).get("/Users")
    assert ended.json()["detail"].startswith(scim_tokens.ScimTokenExpired.title)
    again = await owner("POST", f"/scim-tokens/{old['id']}/rotate", {})
    assert (again.status_code, again.json()["code"]) == (409, scim_tokens.ScimTokenEnded.code)
    assert (await owner("POST", f"/scim-tokens/{new['id']}/rotate", {})).status_code == 201


async def test_a_revoked_token_opens_nothing_from_the_next_call_on(client, owner):
    token = await made(owner)

    for _ in range(2):
        assert (await owner("DELETE", f"/scim-tokens/{token['id']}")).status_code == 204

    answer = await Directory(client, bearer(token["token"])).get("/Users")
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"
    assert answer.json()["detail"].startswith(scim_tokens.ScimTokenRevoked.title)
    assert answer.json()["schemas"] == ["urn:ietf:params:scim:api:messages:2.0:Error"]


@pytest.mark.parametrize("credential", ["ec_sc_wrong", "ec_sk_wrong", "Basic", ""])
async def test_what_is_no_token_is_refused_in_scims_words(client, credential):
    answer = await Directory(client, bearer(credential)).get("/Users")

    assert answer.status_code == 401
    assert answer.headers["content-type"] == "application/scim+json"


async def test_a_forgotten_token_of_another_database_is_unknown(client):
    answer = await Directory(client, bearer(tokens.mint("sc"))).get("/Users")

    assert answer.status_code == 401
    assert answer.json()["detail"].startswith(scim_tokens.ScimTokenUnknown.title)


async def test_it_takes_an_owner_to_connect_a_directory(client, make, tenant):
    """It can deactivate owners and fill their groups: more than an admin may."""
    for role, expected in (("owner", 201), ("admin", 403), ("auditor", 403)):
        caller = Caller(client, tenant, await make.api_key(tenant, role))
        assert (await caller("POST", "/scim-tokens", {"name": role})).status_code == expected, role
        assert (await caller("GET", "/scim-tokens")).status_code == 200, role


@pytest.mark.parametrize("given", [{"name": ""}, {"name": "  "}, {"name": "x", "expires_in": 1}])
async def test_a_token_that_cannot_be_is_refused(owner, given):
    assert (await owner("POST", "/scim-tokens", given)).status_code == 400


async def test_a_name_of_spaces_is_none(owner):
    answer = await owner("POST", "/scim-tokens", {"name": "   "})

    assert answer.json()["code"] == scim_tokens.ScimTokenUnfit.code


async def test_making_rotating_and_revoking_stand_in_the_audit_log(owner):
    token = await made(owner)
    await owner("POST", f"/scim-tokens/{token['id']}/rotate", {})
    await owner("DELETE", f"/scim-tokens/{token['id']}")

    events = (await owner("GET", "/audit-events")).json()["data"]
    actions = [event["action"] for event in events if event["target"]["kind"] == "scim-token"]
    assert actions == ["scim-token.revoked", "scim-token.rotated", "scim-token.created"]
    assert token["token"] not in str(events)


async def test_when_it_was_used_and_what_it_changed_is_noted(app, db, client, clock, owner):
    token = await made(owner)
    directory = Directory(client, bearer(token["token"]))
    await directory.user()
    changed_at = clock.now
    clock.forward(timedelta(minutes=5))
    await directory.get("/Users")

    for uses in (app.state.scim_uses, app.state.scim_syncs):
        await uses.keep(db)

    shown = (await owner("GET", f"/scim-tokens/{token['id']}")).json()
    assert shown["last_used_at"] == "2026-01-01T00:05:00.000Z"
    assert shown["synced_at"] == changed_at.isoformat(timespec="milliseconds").replace("+00:00", "Z")


async def test_a_suspended_tenants_directory_is_told_so(client, make, tenant, directory):
    operator = await make.operator_key()
    await client.post(f"/v1/operator/tenants/{tenant.slug}/suspend", headers=operator, json={"reason": "unpaid"})

    answer = await directory.get("/Users")

    assert answer.status_code == 403
    assert "suspended" in answer.json()["detail"]


async def test_a_directory_that_asks_too_often_is_told_to_wait_and_no_other_is(
    app, client, db, make, tenant, directory
):
    other = Directory(client, await make.scim_token(await make.tenant()))
    async with db.tenant(tenant.tenant_id) as tx:
        [token] = await scim_tokens.listing(tx, after=None, limit=5)
    app.state.limiter = InMemory(lambda: 0.0)
    for _ in range(SCIM.burst):
        await check(app.state.limiter, SCIM, "scim", str(token.connection_id))

    late = await directory.get("/Users")

    assert late.status_code == 429
    assert int(late.headers["retry-after"]) >= 1
    assert (await other.get("/Users")).status_code == 200


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/Nothing", 404),
        ("GET", "/Users/usr_nobody", 404),
        ("GET", "/Schemas/urn:nothing", 404),
        ("GET", "/ResourceTypes/Nothing", 404),
        ("POST", "/Bulk", 501),
        ("GET", "/Me", 501),
        ("POST", "/Schemas", 405),
        ("DELETE", "/Users", 405),
    ],
)
async def test_what_is_not_there_is_said_in_scims_words(directory, method, path, status):
    answer = await directory.call(method, path)

    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/scim+json"
    assert answer.json()["schemas"] == ["urn:ietf:params:scim:api:messages:2.0:Error"]
    assert answer.json()["status"] == str(status)
    assert (DirectoryUnsupported.title in answer.json()["detail"]) is (status == 501)


async def test_what_is_served_can_be_found_out(directory):
    config = (await directory.get("/ServiceProviderConfig")).json()
    types = (await directory.get("/ResourceTypes")).json()["Resources"]
    schemas = (await directory.get("/Schemas")).json()["Resources"]

    assert [config[what]["supported"] for what in ("patch", "filter", "sort", "etag", "bulk")] == [True] * 4 + [False]
    assert [each["name"] for each in types] == ["User", "Group"]
    assert schemas[0]["id"] == USER
    for each in [*types, *schemas]:
        one = await directory.get(each["meta"]["location"].removeprefix("http://test/scim/v2"))
        assert one.json() == each


async def test_only_the_newest_refusals_are_kept(db, tenant, directory):
    for _ in range(scim_tokens.ERRORS_KEPT + 5):
        await directory.call("POST", "/Users", {"schemas": [USER]})

    async with db.tenant(tenant.tenant_id) as tx:
        kept = await scim_tokens.errors(tx, limit=1000)
    assert len(kept) == scim_tokens.ERRORS_KEPT
    assert {each.scim_type for each in kept} == {"invalidValue"}
