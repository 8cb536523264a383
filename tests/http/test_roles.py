"""Roles, groups and who holds which role, as a tenant's administrators use them."""

from datetime import timedelta

import pytest

from controlplane.domain import people
from controlplane.domain.permission_names import PERMISSIONS
from controlplane.domain.roles import BUILT_IN
from controlplane.kit.ids import text_id

OWNER = text_id("role", BUILT_IN["owner"].id)


class Caller:
    def __init__(self, client, tenant, headers):
        self._client, self._headers, self._base = client, headers, f"/v1/tenants/{tenant.slug}"

    async def __call__(self, method, path, json=None, **query):
        headers = {**self._headers, "If-Match": "*"} if method in ("PATCH", "DELETE") else self._headers
        return await self._client.request(method, f"{self._base}{path}", headers=headers, params=query, json=json)

    async def made(self, path, **json):
        answer = await self("POST", path, json)
        assert answer.status_code == 201, answer.text
        return answer.json()

    async def code(self, method, path, json=None, **query):
        answer = await self(method, path, json, **query)
        return answer.status_code, answer.json().get("code") if answer.content else None


@pytest.fixture
def acting(client, make, tenant):
    async def acting(role):
        return Caller(client, tenant, await make.api_key(tenant, role))

    return acting


@pytest.fixture
async def owner(acting):
    return await acting("owner")


@pytest.fixture
def member(db, client, make, tenant):
    """Somebody in the tenant: how they call, and their id."""

    async def member(role="viewer"):
        human = await make.person(tenant, role)
        async with db.tenant(tenant.tenant_id) as tx:
            user = await people.member(tx, human.account.id)
        return Caller(client, tenant, human.headers), text_id("usr", user.id)

    return member


async def test_a_role_of_ones_own_gives_what_it_holds_from_the_next_call_on(owner, member):
    role = await owner.made("/roles", name="release", permissions=["run:read"], description="Watches runs.")
    somebody, user = await member("billing")
    assert (await somebody("GET", "/runs")).status_code == 403

    await owner.made("/role-assignments", role="release", user=user)
    assert (await somebody("GET", "/runs")).status_code == 200
    await owner("PATCH", f"/roles/{role['id']}", {"permissions": ["agent:read"]})
    assert [(await somebody("GET", path)).status_code for path in ("/runs", "/agents")] == [403, 200]

    shown = (await owner("GET", "/roles/release")).json()
    assert (shown["id"], shown["permissions"], shown["built_in"]) == (role["id"], ["agent:read"], False)


async def test_the_list_of_roles_ends_with_the_built_in_ones(owner, clock):
    for name in ("one", "two", "three"):
        clock.forward(timedelta(seconds=1))
        await owner.made("/roles", name=name, permissions=[])
    names, cursor = [], {}
    while True:
        page = (await owner("GET", "/roles", limit=4, **cursor)).json()
        names += [role["name"] for role in page["data"]]
        if not page["page"]["has_more"]:
            break
        cursor = {"cursor": page["page"]["next_cursor"]}

    assert names == ["three", "two", "one", *BUILT_IN]


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"name": "owner"}, (409, "role-name-taken")),
        ({"name": "there"}, (409, "role-name-taken")),
        ({"name": "Not So"}, (400, "role-name-invalid")),
        ({"permissions": ["run:raed"]}, (400, "permission-unfit")),
        ({"permissions": ["tenant:own"]}, (400, "permission-unfit")),
        ({"permissions": ["operator:tenant-read"]}, (400, "permission-unfit")),
    ],
)
async def test_some_roles_cannot_be(owner, body, code):
    there = await owner.made("/roles", name="there", permissions=[])
    other = await owner.made("/roles", name="other", permissions=[])

    assert await owner.code("POST", "/roles", {"name": "new", "permissions": [], **body}) == code
    if body != {"name": "there"} or there != other:
        assert await owner.code("PATCH", f"/roles/{other['id']}", body) == code


async def test_built_in_roles_stay_as_they_are(owner):
    assert await owner.code("PATCH", "/roles/viewer", {"description": "x"}) == (409, "role-built-in")
    assert await owner.code("DELETE", f"/roles/{OWNER}") == (409, "role-built-in")
    assert (await owner("GET", f"/roles/{OWNER}")).json()["name"] == "owner"
    assert await owner.code("GET", "/roles/emperor") == (404, "not-found")


async def test_a_role_that_somebody_holds_is_deleted_with_a_replacement_only(owner, member):
    role = await owner.made("/roles", name="release", permissions=["run:read"])
    somebody, user = await member("billing")
    await owner.made("/role-assignments", role="release", user=user)

    assert await owner.code("DELETE", f"/roles/{role['id']}") == (409, "role-in-use")
    assert await owner.code("DELETE", f"/roles/{role['id']}", replacement="release") == (409, "role-in-use")
    assert await owner.code("DELETE", f"/roles/{role['id']}", replacement="emperor") == (400, "role-unknown")
    assert await owner.code("DELETE", f"/roles/{role['id']}", replacement="auditor") == (204, None)

    assert (await somebody("GET", "/audit-events")).status_code == 200
    assert await owner.code("GET", f"/roles/{role['id']}") == (404, "not-found")


async def test_who_holds_the_replacement_already_keeps_one(owner, member):
    await owner.made("/roles", name="release", permissions=["run:read"])
    _, user = await member("viewer")
    await owner.made("/role-assignments", role="release", user=user)

    assert await owner.code("DELETE", "/roles/release", replacement="viewer") == (204, None)

    held = (await owner("GET", "/role-assignments", user=user)).json()["data"]
    assert [each["role_name"] for each in held] == ["viewer"]


async def test_a_limited_role_is_not_replaced_by_being_an_owner(owner, member):
    await owner.made("/roles", name="release", permissions=["run:read"])
    _, user = await member()
    await owner.made("/role-assignments", role="release", user=user, labels={"env": "dev"})

    assert await owner.code("DELETE", "/roles/release", replacement="owner") == (400, "role-limit-unfit")


async def test_nobody_makes_a_role_that_holds_more_than_they_do(owner, acting):
    await owner.made("/roles", name="roler", permissions=["role:read", "role:write", "role:assign", "run:read"])
    roler = await acting("roler")

    assert await roler.code("POST", "/roles", {"name": "up", "permissions": ["agent:read"]}) == (403, "role-not-yours")
    made = await roler.made("/roles", name="own", permissions=["run:read"])
    widened = {"permissions": ["run:read", "api-key:create"]}
    assert await roler.code("PATCH", f"/roles/{made['id']}", widened) == (403, "role-not-yours")
    await owner("PATCH", f"/roles/{made['id']}", widened)
    assert await roler.code("PATCH", f"/roles/{made['id']}", {"permissions": []}) == (403, "role-not-yours")
    assert await roler.code("DELETE", f"/roles/{made['id']}") == (403, "role-not-yours")


async def test_nobody_gives_out_more_than_they_hold(owner, acting, member):
    _, user = await member("billing")
    admin, user_admin = await acting("admin"), await acting("user_admin")

    assert await admin.code("POST", "/role-assignments", {"role": "owner", "user": user}) == (403, "role-not-yours")
    assert (await user_admin.code("POST", "/role-assignments", {"role": "viewer", "user": user}))[0] == 403
    assert (await user_admin.code("POST", "/role-assignments", {"role": "user_admin", "user": user}))[0] == 201
    assert (await owner.code("POST", "/role-assignments", {"role": "owner", "user": user}))[0] == 201


async def test_a_role_is_taken_away_by_who_administers_as_much(owner, acting, member):
    _, user = await member("developer")
    [of_developer] = (await owner("GET", "/role-assignments", user=user)).json()["data"]
    of_admin = await owner.made("/role-assignments", role="admin", user=user)
    user_admin = await acting("user_admin")

    assert await user_admin.code("DELETE", f"/role-assignments/{of_admin['id']}") == (403, "role-not-yours")
    assert await user_admin.code("DELETE", f"/role-assignments/{of_developer['id']}") == (204, None)


async def test_an_assignment_says_who_holds_what_where(owner, member):
    _, user = await member()
    project = await owner.made("/projects", slug="labs", name="Labs")

    made = await owner.made("/role-assignments", role="viewer", user=user, project="labs", labels={"env": "dev"})

    assert made["holder"] == {"kind": "user", "id": user}
    assert made["limit"] == {"project": project["id"], "labels": {"env": "dev"}}
    assert (await owner("GET", f"/role-assignments/{made['id']}")).json() == made
    again = {"role": "viewer", "user": user, "project": "labs", "labels": {"env": "dev"}}
    assert await owner.code("POST", "/role-assignments", again) == (409, "role-assigned")


@pytest.mark.parametrize(
    ("body", "answer"),
    [
        ({"labels": {"env": "dev"}, "role": "owner"}, (400, "role-limit-unfit")),
        ({"project": "none"}, (404, "not-found")),
        ({"role": "emperor"}, (400, "role-unknown")),
        ({"group": "grp_00000000000000000000000000"}, (400, "parts-at-odds")),
        ({"user": None}, (400, "parts-at-odds")),
        ({"user": "usr_x"}, (404, "not-found")),
    ],
)
async def test_some_assignments_cannot_be(owner, member, body, answer):
    _, user = await member()

    assert await owner.code("POST", "/role-assignments", {"role": "viewer", "user": user, **body}) == answer


async def test_who_may_do_this_is_a_question_with_an_answer(owner, member, tenant):
    await owner.made("/roles", name="release", permissions=["audit:read"])
    _, by_own = await member("release")
    _, by_built_in = await member("auditor")
    await member("viewer")

    holders = (await owner("GET", "/role-assignments", permission="audit:read")).json()["data"]

    people_among = {each["holder"]["id"] for each in holders if each["holder"]["kind"] == "user"}
    assert people_among == {by_own, by_built_in}
    assert (await owner("GET", "/role-assignments", permission="audit:raed")).status_code == 400


async def test_why_somebody_may_do_something_is_a_question_with_an_answer(owner, member):
    _, user = await member("billing")
    group = await owner.made("/groups", name="Ops")
    assigned = await owner.made("/role-assignments", role="viewer", group=group["id"], labels={"env": "dev"})
    await owner("PUT", f"/groups/{group['id']}/members/{user}")

    held = {each["permission"]: each["because"] for each in (await owner("GET", f"/users/{user}/permissions")).json()}

    assert {each["role"] for each in held["tenant:read"]} == {"billing", "viewer"}
    assert held["run:read"] == [
        {
            "role": "viewer",
            "assignment": assigned["id"],
            "group": group["id"],
            "limit": {"project": None, "labels": {"env": "dev"}},
        }
    ]


async def test_what_one_may_do_oneself_is_listed_with_every_permission(member):
    viewer, _ = await member("viewer")

    listed = {each["name"]: each for each in (await viewer("GET", "/permissions")).json()}

    assert listed.keys() == PERMISSIONS.keys()
    assert listed["run:read"]["held"]
    assert not listed["api-key:create"]["held"]
    assert listed["tenant:own"]["built_in_only"]


async def test_members_of_a_group_hold_what_it_holds_as_long_as_they_are_in_it(owner, member):
    somebody, user = await member("billing")
    group = await owner.made("/groups", name="Auditors")
    await owner.made("/role-assignments", role="auditor", group=group["id"])

    before = (await somebody("GET", "/audit-events")).status_code
    put = [await owner.code("PUT", f"/groups/{group['id']}/members/{user}") for _ in range(2)]
    inside = (await somebody("GET", "/audit-events")).status_code
    members = (await owner("GET", f"/groups/{group['id']}/members")).json()["data"]
    out = [await owner.code("DELETE", f"/groups/{group['id']}/members/{user}") for _ in range(2)]
    after = (await somebody("GET", "/audit-events")).status_code

    assert (before, inside, after) == (403, 200, 403)
    assert [each["id"] for each in members] == [user]
    assert put == [(204, None)] * 2
    assert out == [(204, None), (404, "not-found")]


async def test_nobody_puts_people_into_a_group_that_holds_more_than_they(owner, acting, member):
    _, user = await member()
    group = await owner.made("/groups", name="Admins")
    await owner.made("/role-assignments", role="admin", group=group["id"])
    user_admin = await acting("user_admin")

    assert await user_admin.code("PUT", f"/groups/{group['id']}/members/{user}") == (403, "role-not-yours")
    assert await user_admin.code("DELETE", f"/groups/{group['id']}") == (403, "role-not-yours")
    await owner("PUT", f"/groups/{group['id']}/members/{user}")
    assert (await user_admin.code("DELETE", f"/groups/{group['id']}/members/{user}"))[0] == 403


async def test_a_group_is_called_something_that_no_other_is(owner):
    group = await owner.made("/groups", name="Ops")
    other = await owner.made("/groups", name="Other")

    assert await owner.code("POST", "/groups", {"name": "Ops"}) == (409, "group-name-taken")
    assert await owner.code("POST", "/groups", {"name": "  "}) == (400, "group-name-invalid")
    assert await owner.code("PATCH", f"/groups/{other['id']}", {"name": "Ops"}) == (409, "group-name-taken")
    assert (await owner("PATCH", f"/groups/{group['id']}", {"description": "x"})).json()["description"] == "x"
    assert {each["name"] for each in (await owner("GET", "/groups")).json()["data"]} == {"Other", "Ops"}


async def test_with_a_group_goes_what_its_members_held_by_it(owner, member):
    somebody, user = await member("billing")
    group = await owner.made("/groups", name="Auditors")
    await owner.made("/role-assignments", role="auditor", group=group["id"])
    await owner("PUT", f"/groups/{group['id']}/members/{user}")

    assert await owner.code("DELETE", f"/groups/{group['id']}") == (204, None)

    assert (await somebody("GET", "/audit-events")).status_code == 403


async def test_every_change_is_in_the_audit_log(owner, member):
    _, user = await member()
    await owner.made("/roles", name="release", permissions=["run:read"])
    await owner("PATCH", "/roles/release", {"permissions": ["agent:read"]})
    given = await owner.made("/role-assignments", role="release", user=user, labels={"env": "dev"})
    await owner("DELETE", f"/role-assignments/{given['id']}")
    await owner("DELETE", "/roles/release")

    events = (await owner("GET", "/audit-events", limit=5)).json()["data"]

    assert [event["action"] for event in events] == [
        "role.deleted",
        "role.withdrawn",
        "role.assigned",
        "role.changed",
        "role.created",
    ]
    assert events[3]["facts"] == {"added": ["agent:read"], "removed": ["run:read"]}
    assert events[2]["facts"] == {"role": "release", "assignment": given["id"], "labels": {"env": "dev"}}
