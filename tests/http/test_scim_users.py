"""People as a directory keeps them by SCIM."""

import asyncio

import pytest
from msgspec import Struct
from sqlalchemy import text

from controlplane.domain import api_keys, people, quotas, users
from controlplane.domain.api_keys import Wanted
from controlplane.domain.directory.refusals import DirectoryChanged, DirectoryInvalid, DirectoryTaken
from controlplane.domain.holdings import Holder
from controlplane.http.problems import Invalid
from controlplane.kit.ids import parse_id, text_id
from tests.conftest import KEYRING
from tests.http.directory import ENTERPRISE, USER
from tests.make import SHELL, bearer


class Whole(Struct, frozen=True):
    row: str


async def test_somebody_is_announced_and_read_back(directory):
    whole = {
        "externalId": "00u1",
        "name": {"givenName": "Ada", "familyName": "Lovelace"},
        "emails": [{"value": "Ada@Example.com", "type": "work", "primary": True}],
        "active": True,
        ENTERPRISE: {"department": "Engines", "manager": {"value": "x"}},
    }

    made = await directory.user("Ada@example.com", **whole)

    answer = await directory.get(f"/Users/{made['id']}")
    assert answer.headers["content-type"] == "application/scim+json"
    assert answer.json() == made
    assert made["userName"] == "Ada@example.com"
    assert made["schemas"] == [USER, ENTERPRISE]
    assert {name: made[name] for name in whole} == whole
    assert made["meta"]["location"] == f"http://test/scim/v2/Users/{made['id']}"
    assert made["meta"]["version"] == answer.headers["etag"] == 'W/"1"'


async def test_a_password_is_neither_kept_nor_shown(db, directory, tenant):
    made = await directory.user(password="correct horse battery staple")

    assert "password" not in made
    async with db.tenant(tenant.tenant_id) as tx:
        [row] = await tx.query(Whole, text("SELECT CAST(to_jsonb(u) AS text) AS row FROM users u"))
    assert "ada@example.com" in row.row
    assert "battery" not in row.row


async def test_a_user_name_is_unique_in_the_tenant_in_any_case(directory):
    ada = await directory.user("ada@example.com")

    answer = await directory.call("POST", "/Users", {"schemas": [USER], "userName": "ADA@example.COM"})

    assert answer.status_code == 409
    assert answer.json()["scimType"] == "uniqueness"
    assert answer.json()["status"] == "409"
    assert answer.json()["detail"].startswith(f"{DirectoryTaken.title}. it is {ada['id']}")


async def test_taking_somebody_elses_name_or_address_is_refused(directory):
    await directory.user("ada@example.com")
    other = await directory.user("bob@example.com")

    for operation in (
        {"op": "replace", "path": "userName", "value": "Ada@example.com"},
        {"op": "add", "path": "emails", "value": [{"value": "ada@example.com", "primary": True}]},
    ):
        answer = await directory.patch(f"/Users/{other['id']}", operation)
        assert (answer.status_code, answer.json()["scimType"]) == (409, "uniqueness"), answer.text


async def test_the_same_person_announced_at_once_from_two_sides_is_one(directory):
    bodies = [{"schemas": [USER], "userName": "ada@example.com"}] * 6

    answers = await asyncio.gather(*(directory.call("POST", "/Users", body) for body in bodies))

    assert sorted(answer.status_code for answer in answers) == [201, 409, 409, 409, 409, 409]


async def test_what_is_replaced_is_all_there_is(directory):
    made = await directory.user(title="Engineer", nickName="Ada")

    answer = await directory.call(
        "PUT", f"/Users/{made['id']}", {"schemas": [USER], "userName": "ada@example.com", "title": "Countess"}
    )

    assert answer.status_code == 200
    assert answer.json()["title"] == "Countess"
    assert "nickName" not in answer.json()
    assert answer.headers["etag"] == 'W/"2"'


async def test_a_replacement_that_is_silent_about_active_lets_nobody_in_again(directory):
    made = await directory.user(active=False)

    answer = await directory.call("PUT", f"/Users/{made['id']}", {"schemas": [USER], "userName": "ada@example.com"})

    assert answer.json()["active"] is False


@pytest.mark.parametrize("active", [True, False])
async def test_a_directory_that_takes_back_what_it_said_of_active_changes_nothing_but_that(directory, active):
    made = await directory.user(active=active)

    removed = await directory.patch(f"/Users/{made['id']}", {"op": "remove", "path": "active"})
    renamed = await directory.patch(f"/Users/{made['id']}", {"op": "replace", "path": "displayName", "value": "Ada"})
    found = await directory.found("Users", f"?filter=active eq {active}".lower())
    said = await directory.patch(f"/Users/{made['id']}", {"op": "add", "path": "active", "value": not active})

    assert removed.status_code == 200
    assert "active" not in removed.json()
    assert "active" not in renamed.json()
    assert len(found) == 1
    assert said.json()["active"] is not active


async def test_a_change_is_made_to_the_version_that_was_seen_or_not_at_all(directory):
    made = await directory.user()
    rename = {"op": "replace", "path": "displayName", "value": "Ada"}

    first = await directory.patch(f"/Users/{made['id']}", rename, if_match='W/"1"')
    late = await directory.patch(f"/Users/{made['id']}", rename, if_match='W/"1"')
    known = await directory.get(f"/Users/{made['id']}", if_none_match='W/"2"')

    assert (first.status_code, first.headers["etag"]) == (200, 'W/"2"')
    assert late.status_code == 412
    assert late.json()["detail"].startswith(DirectoryChanged.title)
    assert (known.status_code, known.content) == (304, b"")
    assert (await directory.call("DELETE", f"/Users/{made['id']}", if_match='W/"1"')).status_code == 412


@pytest.fixture
async def ada(db, client, make, tenant, directory):
    """Somebody whom the directory has announced, who has come in, and has a key."""
    account = await make.account()
    made = await directory.user(account.email)
    async with db.tenant(tenant.tenant_id) as tx:
        user = await people.add_user(tx, SHELL, account, "developer")
        wanted = Wanted(name="of ada", owner=Holder("user", user.id))
        _, secret = await api_keys.create(tx, SHELL, KEYRING.pepper, wanted)
    human = await make.signed_in(account)
    assert made["id"].startswith("usr_")
    assert parse_id("usr", made["id"]) == user.id
    return made["id"], human.headers, bearer(secret)


async def reach(client, tenant, *credentials):
    found = [await client.get(f"/v1/tenants/{tenant.slug}/runtimes", headers=each) for each in credentials]
    return [answer.status_code for answer in found]


async def test_deactivating_ends_sessions_and_keys_at_once(client, tenant, directory, ada):
    identity, session, key = ada
    assert await reach(client, tenant, session, key) == [200, 200]

    answer = await directory.patch(f"/Users/{identity}", {"op": "Replace", "path": "active", "value": "False"})

    assert answer.json()["active"] is False
    assert await reach(client, tenant, session, key) == [404, 401]


async def test_who_comes_back_has_their_session_but_not_their_old_keys(client, tenant, directory, ada):
    identity, session, key = ada
    for active in (False, True):
        await directory.patch(f"/Users/{identity}", {"op": "replace", "value": {"active": active}})

    assert await reach(client, tenant, session, key) == [200, 401]


async def test_deleting_ends_everything(client, tenant, directory, ada):
    identity, session, key = ada

    assert (await directory.call("DELETE", f"/Users/{identity}")).status_code == 204

    assert await reach(client, tenant, session, key) == [404, 401]
    assert (await directory.get(f"/Users/{identity}")).status_code == 404
    assert (await directory.call("DELETE", f"/Users/{identity}")).status_code == 404


async def test_the_last_owner_stays(db, make, tenant, directory):
    owner = await make.person(tenant, "owner")
    [found] = await directory.found("Users", f'?filter=userName eq "{owner.account.email}"')

    for answer in (
        await directory.patch(f"/Users/{found['id']}", {"op": "replace", "path": "active", "value": False}),
        await directory.call("DELETE", f"/Users/{found['id']}"),
    ):
        assert answer.status_code == 409, answer.text
        assert answer.json()["schemas"] == ["urn:ietf:params:scim:api:messages:2.0:Error"]
        assert "own the tenant" in answer.json()["detail"]
    assert (await directory.get(f"/Users/{found['id']}")).json()["active"] is True


async def test_of_two_owners_deactivated_at_once_one_stays(make, tenant, directory):
    owners = [await make.person(tenant, "owner") for _ in range(2)]
    ids = [(await directory.found("Users", f'?filter=userName eq "{each.account.email}"'))[0]["id"] for each in owners]
    off = {"op": "replace", "path": "active", "value": False}

    answers = await asyncio.gather(*(directory.patch(f"/Users/{identity}", off) for identity in ids))

    assert sorted(answer.status_code for answer in answers) == [200, 409]


async def test_changes_at_the_same_time_all_count(directory):
    made = await directory.user()
    fields = ["title", "nickName", "userType", "locale"]

    answers = await asyncio.gather(
        *(directory.patch(f"/Users/{made['id']}", {"op": "add", "path": field, "value": "x"}) for field in fields)
    )

    assert {answer.status_code for answer in answers} == {200}
    now = (await directory.get(f"/Users/{made['id']}")).json()
    assert {field: now[field] for field in fields} == dict.fromkeys(fields, "x")
    assert now["meta"]["version"] == 'W/"5"'


async def test_announcing_an_address_gets_hold_of_no_account(db, client, make, tenant, directory):
    """Somebody with an account elsewhere does not find themselves in a tenant, nor the tenant them."""
    stranger = await make.person(await make.tenant())

    made = await directory.user(stranger.account.email)

    assert (await client.get(f"/v1/tenants/{tenant.slug}/runtimes", headers=stranger.headers)).status_code == 404
    mine = (await client.get("/v1/me", headers=stranger.headers)).json()["tenants"]
    assert tenant.slug not in {each["slug"] for each in mine}
    assert "displayName" not in made


async def test_an_announced_person_is_tied_to_one_account_and_stays_with_it(db, make, tenant, directory):
    account = await make.account()
    made = await directory.user(account.email)
    other = await make.account()
    async with db.tenant(tenant.tenant_id) as tx:
        tied = await people.add_user(tx, SHELL, account, "viewer")
    await directory.patch(
        f"/Users/{made['id']}",
        {"op": "replace", "value": {"userName": other.email, "emails": [{"value": other.email}]}},
    )

    with pytest.raises(people.AlreadyMember):
        async with db.tenant(tenant.tenant_id) as tx:
            await people.add_user(tx, SHELL, other, "viewer")
    async with db.tenant(tenant.tenant_id) as tx:
        assert (await people.user(tx, tied.id)).account_id == account.id


async def test_who_was_deactivated_is_not_let_in_by_an_invitation(db, make, tenant, directory):
    account = await make.account()
    await directory.user(account.email, active=False)

    with pytest.raises(people.AlreadyMember):
        async with db.tenant(tenant.tenant_id) as tx:
            await people.add_user(tx, SHELL, account, "viewer")


async def test_here_nobody_lets_in_whom_the_directory_has_deactivated(db, client, make, tenant, directory):
    made = await directory.user(active=False)
    key = await make.api_key(tenant)

    answer = await client.patch(f"/v1/tenants/{tenant.slug}/users/{made['id']}", headers=key, json={"status": "active"})

    assert (answer.status_code, answer.json()["code"]) == (409, users.ManagedElsewhere.code)


async def test_who_was_here_before_is_found_and_can_be_taken_over_by_the_directory(make, tenant, directory):
    human = await make.person(tenant, "viewer")

    [found] = await directory.found("Users", f'?filter=userName eq "{human.account.email.upper()}"')
    answer = await directory.patch(f"/Users/{found['id']}", {"op": "add", "path": "externalId", "value": "00u9"})

    assert found["emails"] == [{"value": human.account.email, "type": "work", "primary": True}]
    assert answer.json()["externalId"] == "00u9"
    assert answer.json()["userName"] == human.account.email


async def test_a_directory_over_the_tenants_quota_is_told_so(db, tenant, directory):
    async with db.tenant(tenant.tenant_id) as tx:
        await quotas.agree(tx, SHELL, None, {"users": 1})
    ada = await directory.user()

    full = await directory.call("POST", "/Users", {"schemas": [USER], "userName": "bob@example.com"})
    await directory.call("DELETE", f"/Users/{ada['id']}")

    assert full.status_code == 403, full.text
    assert full.json()["schemas"] == ["urn:ietf:params:scim:api:messages:2.0:Error"]
    assert full.json()["detail"].startswith(quotas.QuotaExceeded.title)
    await directory.user("bob@example.com")


async def test_in_a_full_tenant_whom_the_directory_has_announced_can_accept_an_invitation(db, make, tenant, directory):
    account, stranger = await make.account(), await make.account()
    made = await directory.user(account.email)
    async with db.tenant(tenant.tenant_id) as tx:
        await quotas.agree(tx, SHELL, None, {"users": 1})

    with pytest.raises(quotas.QuotaExceeded):
        async with db.tenant(tenant.tenant_id) as tx:
            await people.add_user(tx, SHELL, stranger, "viewer")
    async with db.tenant(tenant.tenant_id) as tx:
        user = await people.add_user(tx, SHELL, account, "viewer")

    assert made["id"] == text_id("usr", user.id)
    async with db.tenant(tenant.tenant_id) as tx:
        assert {limit.kind: limit.used for limit in await quotas.limits(tx)}["users"] == 1


async def test_in_a_full_tenant_whoever_is_in_it_is_told_so(db, make, tenant):
    async with db.tenant(tenant.tenant_id) as tx:
        await quotas.agree(tx, SHELL, None, {"users": 1})
    human = await make.person(tenant)

    with pytest.raises(people.AlreadyMember):
        async with db.tenant(tenant.tenant_id) as tx:
            await people.add_user(tx, SHELL, human.account, "viewer")


async def test_of_many_who_come_in_at_once_whoever_was_announced_needs_no_place(db, make, tenant, directory):
    known = [await make.account() for _ in range(3)]
    for account in known:
        await directory.user(account.email)
    strangers = [await make.account() for _ in range(3)]
    async with db.tenant(tenant.tenant_id) as tx:
        await quotas.agree(tx, SHELL, None, {"users": 4})

    async def comes(account):
        async with db.tenant(tenant.tenant_id) as tx:
            return await people.add_user(tx, SHELL, account, "viewer")

    came = await asyncio.gather(*(comes(each) for each in [*strangers, *known]), return_exceptions=True)

    assert [type(each).__name__ for each in came[3:]] == ["User"] * 3
    assert sorted(type(each).__name__ for each in came[:3]) == ["QuotaExceeded", "QuotaExceeded", "User"]


async def test_every_change_stands_in_the_audit_log_with_the_token_as_its_actor(client, make, tenant, directory):
    made = await directory.user()
    await directory.patch(f"/Users/{made['id']}", {"op": "replace", "path": "title", "value": "Countess"})
    await directory.patch(f"/Users/{made['id']}", {"op": "replace", "path": "active", "value": False})
    await directory.call("DELETE", f"/Users/{made['id']}")

    key = await make.api_key(tenant)
    events = (await client.get(f"/v1/tenants/{tenant.slug}/audit-events", headers=key)).json()["data"]
    theirs = [event for event in events if event["actor"]["kind"] == "scim-token"]
    assert [event["action"] for event in theirs] == ["user.removed", "user.deactivated", "user.changed", "user.added"]
    assert {event["target"]["id"] for event in theirs} == {made["id"]}
    assert "ada@example.com" not in str(theirs)


@pytest.mark.parametrize(
    ("body", "scim_type"),
    [
        ("{", "invalidSyntax"),
        ("[]", "invalidSyntax"),
        ({"schemas": [USER]}, "invalidValue"),
        ({"schemas": [USER], "userName": ""}, "invalidValue"),
        ({"schemas": [USER], "userName": "x" * 300}, "invalidValue"),
        ({"schemas": [USER], "userName": 5}, "invalidValue"),
        ({"schemas": ["urn:other"], "userName": "x"}, "invalidSyntax"),
        ({"schemas": [USER], "userName": "x", "active": "perhaps"}, "invalidValue"),
        ({"schemas": [USER], "userName": "x", "emails": "x@y"}, "invalidValue"),
        ({"schemas": [USER], "userName": "x\u0000"}, ""),
    ],
)
async def test_what_is_no_user_is_refused_in_scims_words(directory, body, scim_type):
    answer = await directory.call("POST", "/Users", body)

    assert answer.status_code == 400, answer.text
    assert answer.json().get("scimType", "") == scim_type
    assert answer.json()["detail"].startswith(DirectoryInvalid.title if scim_type else Invalid.title)
