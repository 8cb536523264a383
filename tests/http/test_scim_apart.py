"""A directory sees and changes its own tenant's things only; generated from the routes, so that none is forgotten."""

import re

import asyncpg
import pytest

from controlplane.db import schema as t
from controlplane.http import proof
from controlplane.http.authorize import Surface
from tests.http.directory import GROUP, PATCH, USER, Directory

TENANTS_OWN = sorted({table.name for table in t.metadata.sorted_tables} - t.PLATFORM)
UNMOVED = "to_jsonb(r) - 'last_used_at' - 'synced_at'"

BODIES = {
    ("POST", "/Users"): {"schemas": [USER], "userName": "new@example.com"},
    ("POST", "/Groups"): {"schemas": [GROUP], "displayName": "New"},
    ("PUT", "/Users/{one}"): {"schemas": [USER], "userName": "taken@over.example"},
    ("PUT", "/Groups/{one}"): {"schemas": [GROUP], "displayName": "Taken over"},
    ("PATCH", "/Users/{one}"): {
        "schemas": [PATCH],
        "Operations": [{"op": "replace", "path": "active", "value": False}],
    },
    ("PATCH", "/Groups/{one}"): {"schemas": [PATCH], "Operations": [{"op": "remove", "path": "members"}]},
    ("POST", "/Users/.search"): {},
    ("POST", "/Groups/.search"): {},
    ("POST", "/.search"): {},
}

NAMES = {"name": "User", "urn": USER, "rest": "nothing"}
"""What goes into the addresses that name no object of a tenant."""


@pytest.fixture
async def theirs(client, make):
    """The directory of another tenant, with somebody in it and a group."""
    directory = Directory(client, await make.scim_token(await make.tenant()))
    user = await directory.user("victim@example.com", displayName="canary", externalId="canary-x")
    group = await directory.group("canary", user["id"])
    return directory, user["id"], group["id"]


@pytest.fixture
def routes(app):
    found = [
        (method, path.removeprefix("/scim/v2")) for path, method, its in proof.rules(app) if its.surface is Surface.SCIM
    ]
    assert len(found) > 20
    return found


@pytest.fixture
async def digest(admin_url):
    """A hash of everything that anybody has, except when tokens were last used, and what was refused."""
    connection = await asyncpg.connect(admin_url)
    each = [
        f"SELECT '{name}' AS name, ({UNMOVED})::text AS row FROM {name} r"
        for name in TENANTS_OWN
        if name != "scim_errors"
    ]
    whole = f"SELECT md5(string_agg(name || row, '' ORDER BY name, row)) FROM ({' UNION ALL '.join(each)}) every_row"

    async def taken():
        return await connection.fetchval(whole)

    yield taken
    await connection.close()


def at(path, **ids):
    return re.sub(r"{(\w+)(?::\w+)?}", lambda found: ids.get(found[1]) or NAMES[found[1]], path)


def told(answer, *ids):
    text = re.sub(r"req_\w+", "", answer.text)
    for identity in ids:
        text = text.replace(identity, "")
    return answer.status_code, text, sorted(answer.headers.keys())


async def test_anothers_ids_are_like_absent_ones_at_every_route(directory, theirs, routes, digest):
    _, user, group = theirs
    for method, path in routes:
        if "{one" not in path:
            continue
        foreign = user if path.startswith("/Users") else group
        nobody = foreign[:-6] + "000000"
        before, body = await digest(), BODIES.get((method, path))

        answer = await directory.call(method, at(path, one=foreign), body)
        nothing = await directory.call(method, at(path, one=nobody), body)

        assert answer.status_code == 404, (method, path, answer.text)
        assert told(answer, foreign) == told(nothing, nobody), (method, path)
        assert await digest() == before, (method, path)


async def test_lists_and_searches_hold_nothing_of_another_tenants(directory, theirs, routes):
    _, user, group = theirs
    await directory.user("own@example.com")
    for method, path in routes:
        if "{one" in path or (method == "POST" and ".search" not in path) or method not in ("GET", "POST"):
            continue

        answer = await directory.call(method, at(path), BODIES.get((method, path)))

        assert answer.status_code in (200, 404), (method, path, answer.text)
        for trace in ("canary", "victim", user, group):
            assert trace not in answer.text, (method, path)


@pytest.mark.parametrize(
    "query",
    [
        'Users?filter=userName eq "victim@example.com"',
        'Users?filter=externalId eq "canary-x"',
        'Users?filter=displayName eq "canary"',
        'Users?filter=title pr or displayName co "can"',
        'Groups?filter=displayName eq "canary"',
        "Users?startIndex=1&count=200&sortBy=userName",
    ],
)
async def test_no_filter_finds_anything_of_another_tenants(directory, theirs, query):
    assert await directory.found(query.partition("?")[0], "?" + query.partition("?")[2]) == []


async def test_ids_of_another_tenant_in_bodies_and_filters_are_like_absent_ones(directory, theirs):
    _, user, group = theirs
    own = await directory.group("Own")
    ada = await directory.user()
    nobody, nowhere = user[:-6] + "000000", group[:-6] + "000000"

    async def tried(person, crew):
        join = {"op": "add", "path": "members", "value": [{"value": person}]}
        return [
            await directory.patch(f"/Groups/{own['id']}", join),
            await directory.call(
                "POST", "/Groups", {"schemas": [GROUP], "displayName": "x", "members": [{"value": person}]}
            ),
            await directory.get(f'/Groups?filter=members.value eq "{person}"'),
            await directory.get(f'/Users?filter=groups.value eq "{crew}"'),
            await directory.get(f'/Users?filter=id eq "{person}"'),
            await directory.patch(f"/Groups/{own['id']}", {"op": "remove", "path": f'members[value eq "{person}"]'}),
        ]

    foreign, absent = await tried(user, group), await tried(nobody, nowhere)

    assert [told(each, user, group) for each in foreign] == [told(each, nobody, nowhere) for each in absent]
    assert [each.status_code for each in foreign] == [400, 400, 200, 200, 200, 204]
    assert ada["id"] not in foreign[2].text


async def test_the_same_name_in_two_tenants_is_nobodys_business(directory, theirs):
    await directory.user("victim@example.com", externalId="canary-x")
    await directory.group("canary")


async def test_pages_that_one_has_read_are_no_bookmarks_of_the_other(directory, theirs):
    them, _, _ = theirs
    for number in range(3):
        await directory.user(f"own{number}@example.com")
        await them.user(f"their{number}@example.com")
    await them.get("/Users?startIndex=1&count=2")

    seen = (await directory.get("/Users?startIndex=3&count=2")).json()

    assert [each["userName"][:3] for each in seen["Resources"]] == ["own"]
    assert seen["totalResults"] == 3


async def test_what_was_refused_is_kept_for_its_own_tenant_alone(client, make, tenant, directory, theirs):
    await directory.call("POST", "/Users", {"schemas": [USER]})
    them, _, _ = theirs
    await them.call("POST", "/Groups", {"schemas": [GROUP]})

    person = await make.person(tenant)
    page = await client.get(f"/console/t/{tenant.slug}/scim", headers=person.headers)

    assert "POST /Users" in page.text
    assert "POST /Groups" not in page.text
