"""Groups as a directory keeps them by SCIM."""

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import Struct
from sqlalchemy import text

from controlplane.domain import people
from controlplane.kit.ids import UserId, text_id
from tests.http.directory import GROUP
from tests.http.test_roles import Caller
from tests.make import SHELL

MANY = text("""
    INSERT INTO users (tenant_id, id, email_norm, name, status, source, created_at)
    SELECT :tenant_id, CAST('01980000-0000-7000-8000-' || lpad(to_hex(n), 12, '0') AS uuid), 'p' || n || '@example.com',
        'Person ' || n, 'active', 'scim', now() FROM generate_series(1, :many) n
""")

serial = iter(range(1, 1_000_000))


class Row(Struct, frozen=True):
    id: UserId


async def _ids(db, tenant):
    async with db.tenant(tenant.tenant_id) as tx:
        return await tx.query(Row, text("SELECT id FROM users"))


@pytest.fixture
async def crew(directory):
    """The ids of four people."""
    return [(await directory.user(f"person{number}@example.com"))["id"] for number in range(4)]


@pytest.fixture
async def api(client, make, tenant):
    return Caller(client, tenant, await make.api_key(tenant, "owner"))


async def test_a_group_is_announced_with_its_members_and_read_back(directory, crew):
    made = await directory.group("Builders", *crew[:2], externalId="g1")

    again = (await directory.get(f"/Groups/{made['id']}")).json()
    assert again == made
    assert (made["displayName"], made["externalId"], made["schemas"]) == ("Builders", "g1", [GROUP])
    assert [member["value"] for member in made["members"]] == sorted(crew[:2])
    assert made["members"][0]["$ref"] == f"http://test/scim/v2/Users/{made['members'][0]['value']}"
    user = (await directory.get(f"/Users/{crew[0]}")).json()
    assert [(group["value"], group["display"]) for group in user["groups"]] == [(made["id"], "Builders")]


async def test_members_can_be_left_out_of_the_answer(directory, crew):
    made = await directory.group("Builders", *crew)

    assert "members" not in (await directory.get(f"/Groups/{made['id']}?excludedAttributes=members")).json()
    assert "members" not in (await directory.found("Groups", "?attributes=displayName"))[0]


async def test_a_name_is_taken_once(directory):
    builders = await directory.group("Builders")

    answer = await directory.call("POST", "/Groups", {"schemas": [GROUP], "displayName": "Builders"})

    assert (answer.status_code, answer.json()["scimType"]) == (409, "uniqueness")
    assert builders["id"] in answer.json()["detail"]


@pytest.mark.parametrize("member", ["usr_00000000000000000000000000", "nobody", "grp_01k3v0000000000000000000aa"])
async def test_a_member_who_is_not_there_is_refused(directory, member):
    made = await directory.group()

    answer = await directory.patch(
        f"/Groups/{made['id']}", {"op": "add", "path": "members", "value": [{"value": member}]}
    )

    assert (answer.status_code, answer.json()["scimType"]) == (400, "invalidValue")


async def test_a_group_is_no_member_of_a_group(directory):
    made = await directory.group()
    inner = {"value": made["id"], "type": "Group"}

    answer = await directory.call("POST", "/Groups", {"schemas": [GROUP], "displayName": "Outer", "members": [inner]})

    assert (answer.status_code, answer.json()["scimType"]) == (400, "invalidValue")


async def test_thousands_of_members_come_and_go_and_none_is_left_out(db, directory, tenant):
    many = 3_000
    async with db.tenant(tenant.tenant_id) as tx:
        await tx.load(MANY, many=many)
    made = await directory.group("Everybody")
    everybody = [text_id("usr", each.id) for each in await _ids(db, tenant)]

    added = await directory.patch(
        f"/Groups/{made['id']}", {"op": "Add", "path": "members", "value": [{"value": each} for each in everybody]}
    )
    inside = await directory.members(made["id"])
    removed = await directory.patch(
        f"/Groups/{made['id']}", *({"op": "remove", "path": f'members[value eq "{each}"]'} for each in everybody[:500])
    )

    assert (added.status_code, removed.status_code) == (204, 204)
    assert inside == set(everybody)
    assert len(inside) == many
    assert await directory.members(made["id"]) == set(everybody[500:])


async def test_additions_from_several_sides_at_once_add_up(directory, crew):
    made = await directory.group()

    answers = await asyncio.gather(
        *(
            directory.patch(f"/Groups/{made['id']}", {"op": "add", "path": "members", "value": [{"value": each}]})
            for each in crew
        )
    )

    assert {answer.status_code for answer in answers} == {204}
    assert await directory.members(made["id"]) == set(crew)
    assert (await directory.get(f"/Groups/{made['id']}")).headers["etag"] == 'W/"5"'


async def test_coming_and_going_at_once_ends_without_a_deadlock(directory, crew):
    groups = [await directory.group(f"group {number}", *crew) for number in range(3)]

    answers = await asyncio.gather(
        *(
            directory.patch(f"/Groups/{group['id']}", {"op": op, "path": "members", "value": [{"value": each}]})
            for group in groups
            for each in crew
            for op in ("remove", "add")
        ),
        *(directory.patch(f"/Users/{each}", {"op": "replace", "path": "active", "value": False}) for each in crew),
    )

    assert {answer.status_code for answer in answers} <= {200, 204}


async def test_a_directorys_group_gives_what_the_tenant_says_it_gives(client, db, make, tenant, directory, api):
    account = await make.account()
    ada = await directory.user(account.email)
    async with db.tenant(tenant.tenant_id) as tx:
        await people.add_user(tx, SHELL, account, "billing")
    human = await make.signed_in(account)
    made = await directory.group("Builders", ada["id"])
    runs = f"/v1/tenants/{tenant.slug}/runs"
    before = await client.get(runs, headers=human.headers)

    await api("POST", "/role-assignments", {"role": "developer", "group": made["id"]})
    during = await client.get(runs, headers=human.headers)
    await directory.patch(f"/Groups/{made['id']}", {"op": "remove", "path": "members"})
    after = await client.get(runs, headers=human.headers)

    assert [before.status_code, during.status_code, after.status_code] == [403, 200, 403]


async def test_groups_that_were_made_here_are_neither_seen_nor_filled(directory, api, crew):
    """Else whoever keeps the directory could give themselves what such a group holds."""
    own = (await api("POST", "/groups", {"name": "Owners"})).json()
    await api("POST", "/role-assignments", {"role": "owner", "group": own["id"]})
    join = {"op": "add", "path": "members", "value": [{"value": crew[0]}]}

    assert await directory.found("Groups") == []
    assert (await directory.get(f"/Groups/{own['id']}")).status_code == 404
    assert (await directory.patch(f"/Groups/{own['id']}", join)).status_code == 404
    assert (await directory.call("DELETE", f"/Groups/{own['id']}")).status_code == 404
    taken = await directory.call("POST", "/Groups", {"schemas": [GROUP], "displayName": "Owners"})
    assert taken.status_code == 409


async def test_nobody_becomes_an_owner_by_what_a_directory_says(directory, api, crew):
    body = {
        "op": "add",
        "value": {"roles": [{"value": "owner", "primary": True}], "entitlements": [{"value": "owner"}]},
    }
    await directory.patch(f"/Users/{crew[0]}", body)
    await directory.group("owner", crew[0])

    assert (await api("GET", f"/users/{crew[0]}")).json()["roles"] == []


async def test_the_last_owner_stays_in_the_group_that_makes_them_one(db, make, tenant, directory, api):
    first = await make.person(tenant, "owner")
    second = await make.account()
    ada = await directory.user(second.email)
    made = await directory.group("Owners", ada["id"])
    await api("POST", "/role-assignments", {"role": "owner", "group": made["id"]})
    [gone] = await directory.found("Users", f'?filter=userName eq "{first.account.email}"')
    assert (await directory.call("DELETE", f"/Users/{gone['id']}")).status_code == 204

    for answer in (
        await directory.patch(f"/Groups/{made['id']}", {"op": "remove", "path": "members"}),
        await directory.patch(f"/Groups/{made['id']}", {"op": "replace", "path": "members", "value": []}),
        await directory.call("PUT", f"/Groups/{made['id']}", {"schemas": [GROUP], "displayName": "Owners"}),
        await directory.call("DELETE", f"/Groups/{made['id']}"),
        await directory.call("DELETE", f"/Users/{ada['id']}"),
    ):
        assert answer.status_code == 409, answer.text
    assert await directory.members(made["id"]) == {ada["id"]}


async def test_what_the_directory_keeps_is_not_changed_here(directory, api, crew):
    made = await directory.group("Builders", crew[0])

    renamed = await api("PATCH", f"/groups/{made['id']}", {"name": "Others"})
    joined = await api("PUT", f"/groups/{made['id']}/members/{crew[1]}")
    left = await api("DELETE", f"/groups/{made['id']}/members/{crew[0]}")
    described = await api("PATCH", f"/groups/{made['id']}", {"description": "From Entra"})

    assert [answer.json()["code"] for answer in (renamed, joined, left)] == ["managed-attribute"] * 3
    assert (described.status_code, described.json()["source"]) == (200, "scim")


async def test_a_change_is_made_to_the_version_that_was_seen_or_not_at_all(directory, crew):
    made = await directory.group()
    join = {"op": "add", "path": "members", "value": [{"value": crew[0]}]}

    first = await directory.patch(f"/Groups/{made['id']}", join, if_match='W/"1"')
    late = await directory.patch(f"/Groups/{made['id']}", {"op": "remove", "path": "members"}, if_match='W/"1"')

    assert (first.status_code, first.headers["etag"], late.status_code) == (204, 'W/"2"', 412)
    assert (await directory.call("DELETE", f"/Groups/{made['id']}", if_match='W/"1"')).status_code == 412
    assert (await directory.call("DELETE", f"/Groups/{made['id']}", if_match='W/"2"')).status_code == 204


people_in = st.lists(st.integers(0, 3), unique=True, max_size=4)
operation = st.one_of(
    st.tuples(st.sampled_from(["add", "Replace", "remove"]), people_in),
    st.tuples(st.just("select"), people_in.filter(bool)),
    st.tuples(st.just("clear"), st.just([])),
)


def after(members, operations):
    """What RFC 7644 says that becomes of a set."""
    for op, chosen in operations:
        if op == "add":
            members = members | set(chosen)
        elif op == "Replace":
            members = set(chosen)
        elif op == "clear" or not chosen:
            members = set()
        else:
            members = members - set(chosen)
    return members


def told(op, chosen, crew):
    value = [{"value": crew[each]} for each in chosen]
    if op == "select":
        names = " or ".join('value eq "' + crew[each] + '"' for each in chosen)
        return {"op": "remove", "path": f"members[{names}]"}
    if op == "clear":
        return {"op": "remove", "path": "members"}
    return {"op": op, "path": "members", "value": value}


@settings(max_examples=25)
@given(st.lists(operation, min_size=1, max_size=6))
async def test_any_sequence_of_changes_leaves_the_members_that_the_rfc_says(directory, crew, operations):
    made = await directory.group(f"group {next(serial)}")

    answer = await directory.patch(f"/Groups/{made['id']}", *(told(op, chosen, crew) for op, chosen in operations))

    assert answer.status_code == 204, answer.text
    assert await directory.members(made["id"]) == {crew[each] for each in after(set(), operations)}
