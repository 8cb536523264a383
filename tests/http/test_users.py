"""The people of a tenant: found, deactivated, removed; and somebody always owns the tenant."""

from datetime import timedelta

import pytest

from controlplane.domain import people
from controlplane.kit.ids import text_id
from tests.http.test_roles import Caller
from tests.make import SHELL


@pytest.fixture
async def owner(client, make, tenant):
    return Caller(client, tenant, await make.api_key(tenant, "owner"))


@pytest.fixture
def member(db, client, make, tenant):
    async def member(role="viewer"):
        human = await make.person(tenant, role)
        async with db.tenant(tenant.tenant_id) as tx:
            user = await people.member(tx, human.account.id)
        return Caller(client, tenant, human.headers), text_id("usr", user.id)

    return member


@pytest.fixture
def called(db, tenant):
    async def called(email, name):
        async with db.platform() as tx:
            account = await people.create_account(tx, SHELL, email, name=name)
        async with db.tenant(tenant.tenant_id) as tx:
            await people.add_user(tx, SHELL, account, "viewer")

    return called


@pytest.mark.parametrize(
    ("q", "found"),
    [
        ("an", {"anna@example.com", "zoe@example.com"}),
        ("ANNA", {"anna@example.com"}),
        ("anton b", {"zoe@example.com"}),
        ("zoe@", {"zoe@example.com"}),
        ("example", set()),
        ("%", set()),
        ("_nna", set()),
    ],
)
async def test_people_are_found_by_the_start_of_address_or_name(owner, called, q, found):
    await called("anna@example.com", "Anna")
    await called("zoe@example.com", "Anton Bauer")
    await called("max@example.com", "Max")

    listed = (await owner("GET", "/users", q=q)).json()["data"]

    assert {user["email"] for user in listed} == found


async def test_people_are_listed_by_status_a_page_at_a_time(owner, member, clock):
    ids = []
    for _ in range(5):
        clock.forward(timedelta(seconds=1))
        ids.append((await member())[1])
    await owner("PATCH", f"/users/{ids[2]}", {"status": "disabled"})

    first = (await owner("GET", "/users", status="active", limit=3)).json()
    rest = (await owner("GET", "/users", status="active", limit=3, cursor=first["page"]["next_cursor"])).json()

    assert [user["id"] for user in first["data"] + rest["data"]] == [ids[4], ids[3], ids[1], ids[0]]
    assert [user["id"] for user in (await owner("GET", "/users", status="disabled")).json()["data"]] == [ids[2]]


async def test_nothing_opens_to_a_deactivated_person_neither_by_session_nor_by_key(owner, member, client, tenant):
    somebody, user = await member("admin")
    made = await somebody.made("/api-keys", name="mine")
    key = Caller(client, tenant, {"authorization": f"Bearer {made['key']}"})
    assert (await key("GET", "/users")).status_code == 200

    off = await owner("PATCH", f"/users/{user}", {"status": "disabled"})
    refused = await somebody.code("GET", "/users"), await key.code("GET", "/users")
    on = await owner("PATCH", f"/users/{user}", {"status": "active"})

    assert (off.json()["status"], on.json()["status"]) == ("disabled", "active")
    assert refused == ((404, "not-found"), (401, "api-key-owner-disabled"))
    assert (await key("GET", "/users")).status_code == (await somebody("GET", "/users")).status_code == 200


async def test_with_a_person_go_their_keys_and_what_they_held(owner, member, client, tenant):
    somebody, user = await member("admin")
    made = await somebody.made("/api-keys", name="mine")
    key = Caller(client, tenant, {"authorization": f"Bearer {made['key']}"})
    group = await owner.made("/groups", name="Ops")
    await owner("PUT", f"/groups/{group['id']}/members/{user}")

    assert await owner.code("DELETE", f"/users/{user}") == (204, None)

    assert await somebody.code("GET", "/users") == (404, "not-found")
    assert await key.code("GET", "/users") == (401, "api-key-unknown")
    assert (await owner("GET", "/role-assignments", user=user)).json()["data"] == []
    assert (await owner("GET", f"/groups/{group['id']}/members")).json()["data"] == []
    assert await owner.code("DELETE", f"/users/{user}") == (404, "not-found")


async def test_nobody_deactivates_or_removes_who_administers_more(member):
    user_admin, _ = await member("user_admin")
    _, admin = await member("admin")
    _, developer = await member("developer")

    assert await user_admin.code("PATCH", f"/users/{admin}", {"status": "disabled"}) == (403, "role-not-yours")
    assert await user_admin.code("DELETE", f"/users/{admin}") == (403, "role-not-yours")
    assert (await user_admin.code("PATCH", f"/users/{developer}", {"status": "disabled"}))[0] == 200
    assert (await user_admin.code("DELETE", f"/users/{developer}"))[0] == 204


async def test_the_last_owner_stays_whichever_way_they_would_go(owner, member):
    _, user = await member("owner")
    [given] = (await owner("GET", "/role-assignments", user=user)).json()["data"]
    ways = [
        ("PATCH", f"/users/{user}", {"status": "disabled"}),
        ("DELETE", f"/users/{user}", None),
        ("DELETE", f"/role-assignments/{given['id']}", None),
    ]

    assert [await owner.code(*way) for way in ways] == [(409, "last-owner")] * 3

    await member("owner")
    assert (await owner.code(*ways[2]))[0] == 204


async def test_who_owns_by_a_group_is_an_owner_and_the_last_of_them_stays(owner, member):
    _, user = await member("viewer")
    _, first = await member("owner")
    group = await owner.made("/groups", name="Owners")
    await owner.made("/role-assignments", role="owner", group=group["id"])
    await owner("PUT", f"/groups/{group['id']}/members/{user}")

    assert (await owner.code("DELETE", f"/users/{first}"))[0] == 204
    assert await owner.code("DELETE", f"/groups/{group['id']}/members/{user}") == (409, "last-owner")
    assert await owner.code("DELETE", f"/groups/{group['id']}") == (409, "last-owner")


async def test_people_are_written_down_when_they_come_go_and_stay_away(owner, member):
    _, user = await member()
    await owner("PATCH", f"/users/{user}", {"status": "disabled"})
    await owner("PATCH", f"/users/{user}", {"status": "active"})
    await owner("DELETE", f"/users/{user}")

    events = (await owner("GET", "/audit-events", limit=3)).json()["data"]

    assert [event["action"] for event in events] == ["user.removed", "user.reactivated", "user.deactivated"]
    assert {event["target"]["id"] for event in events} == {user}
