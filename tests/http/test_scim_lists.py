"""Lists, filters, sorting and partial answers of SCIM."""

import httpx
import pytest

from controlplane.domain.directory import lists
from tests.http.directory import ENTERPRISE, GROUP
from tests.http.test_scim_groups import MANY

FOUND = [
    ('userName eq "ADA@example.com"', {"ada"}),
    ('userName ne "ada@example.com"', {"bob", "eve"}),
    ('userName sw "b"', {"bob"}),
    ('userName co "DA@"', {"ada"}),
    ('userName ew ".com"', {"ada", "bob", "eve"}),
    ('externalId eq "X-1"', {"ada"}),
    ('externalId eq "x-1"', set()),
    ("externalId pr", {"ada"}),
    ('not (externalId eq "X-1")', {"bob", "eve"}),
    ("active eq true", {"ada", "bob"}),
    ("active eq false", {"eve"}),
    ("active ne true", {"eve"}),
    ('displayName eq "ada lovelace"', {"ada"}),
    ('title eq "Countess"', {"ada"}),
    ('title co "ount"', {"ada"}),
    ('name.familyName sw "love"', {"ada"}),
    ('emails eq "home@ada.example"', {"ada"}),
    ('emails[type eq "home" and value co "@ada"]', {"ada"}),
    ('emails[type eq "work"]', {"bob"}),
    (f'{ENTERPRISE}:department eq "engines"', {"bob"}),
    ('urn:ietf:params:scim:schemas:core:2.0:User:userName eq "eve@example.com"', {"eve"}),
    ('(userName sw "a" or userName sw "b") and active eq true', {"ada", "bob"}),
    ('userName eq "ada@example.com" and title eq "Engineer"', set()),
    ("title pr or active eq false", {"ada", "eve"}),
    ('meta.created ge "2026-01-01T00:00:00Z"', {"ada", "bob", "eve"}),
    ('meta.lastModified gt "2026-01-01T00:00:00Z"', set()),
    ('meta.created ge "2026-01-01T00:00:00Z" and title eq "countess"', {"ada"}),
    ('id eq "usr_nobody"', set()),
]


@pytest.fixture
async def everybody(directory):
    ada = {"name": {"familyName": "Lovelace"}, "displayName": "Ada Lovelace", "title": "Countess", "externalId": "X-1"}
    ada["emails"] = [{"value": "ada@example.com", "primary": True}, {"value": "home@ada.example", "type": "home"}]
    work = [{"value": "bob@example.com", "type": "work"}]
    return [
        await directory.user("ada@example.com", **ada),
        await directory.user("bob@example.com", emails=work, **{ENTERPRISE: {"department": "Engines"}}),
        await directory.user("eve@example.com", active=False),
    ]


def names(resources):
    return [each["userName"].partition("@")[0] for each in resources]


async def test_filters_find_whom_they_mean(directory, everybody):
    for asked, expected in FOUND:
        answer = await directory.call("GET", "/Users?" + str(httpx.QueryParams(filter=asked)))
        assert answer.status_code == 200, (asked, answer.text)
        assert set(names(answer.json()["Resources"])) == expected, asked
        assert answer.json()["totalResults"] == len(expected), asked


@pytest.mark.parametrize(
    "asked",
    [
        "userName",
        'userName eq "x',
        "userName xx 'y'",
        'nothing eq "x"',
        "active gt true",
        'password eq "x"',
        "userName eq 5",
        'userName eq "x" and',
        "(" * 500,
        'userName eq "' + "x" * 3000 + '"',
        'groups.display eq "Builders"',
    ],
)
async def test_what_is_no_filter_is_refused(directory, asked):
    answer = await directory.call("GET", "/Users?" + str(httpx.QueryParams(filter=asked)))

    assert answer.status_code == 400, answer.text
    assert answer.json()["scimType"] in ("invalidFilter", "invalidValue", "sensitive"), answer.text


async def test_people_are_found_by_their_group_and_groups_by_their_people(directory, everybody):
    ada, bob, _ = everybody
    group = await directory.group("Builders", ada["id"], bob["id"], externalId="g")
    await directory.group("Others")

    builders = names(await directory.found("Users", f'?filter=groups.value eq "{group["id"]}"'))
    assert sorted(builders) == ["ada", "bob"]
    for asked in (
        f'members.value eq "{ada["id"]}"',
        f'members[value eq "{ada["id"]}"]',
        'displayName eq "BUILDERS"',
        'displayName sw "Bui" and externalId eq "g"',
        f'id eq "{group["id"]}"',
    ):
        found = await directory.found("Groups", f"?filter={asked}")
        assert [each["displayName"] for each in found] == ["Builders"], asked
    assert (await directory.get('/Groups?filter=members.value co "x"')).json()["scimType"] == "invalidFilter"


async def test_lists_are_sorted_as_they_are_asked_to_be(directory, everybody):
    await directory.user("Bea@example.com", displayName="Bea")

    by_name = names(await directory.found("Users", "?sortBy=userName"))
    backwards = names(await directory.found("Users", "?sortBy=userName&sortOrder=descending&count=2"))
    refused = await directory.get("/Users?sortBy=title")

    assert by_name == ["ada", "Bea", "bob", "eve"]
    assert backwards == ["eve", "bob"]
    assert (refused.status_code, refused.json()["scimType"]) == (400, "invalidPath")


async def pages(directory, size, query=""):
    start, seen = 1, []
    while True:
        answer = (await directory.get(f"/Users?startIndex={start}&count={size}&attributes=userName{query}")).json()
        seen += [each["userName"] for each in answer["Resources"]]
        assert answer["startIndex"] == start
        if not answer["Resources"]:
            return seen, answer["totalResults"]
        start += answer["itemsPerPage"]


async def test_page_after_page_shows_everybody_once(db, directory, tenant):
    async with db.tenant(tenant.tenant_id) as tx:
        await tx.load(MANY, many=450)

    seen, total = await pages(directory, 100)

    assert len(seen) == len(set(seen)) == total == 450


async def test_who_goes_between_two_pages_pushes_nobody_over_the_edge(directory):
    """Counting from the beginning would step over whoever comes after them."""
    made = [await directory.user(f"person{number}@example.com") for number in range(6)]
    first = (await directory.get("/Users?startIndex=1&count=3")).json()["Resources"]

    await directory.call("DELETE", f"/Users/{first[0]['id']}")
    second = (await directory.get("/Users?startIndex=4&count=3")).json()["Resources"]

    assert [each["id"] for each in [*first, *second]] == sorted(each["id"] for each in made)


async def test_a_page_in_the_middle_needs_none_before_it(db, directory, tenant):
    async with db.tenant(tenant.tenant_id) as tx:
        await tx.load(MANY, many=30)

    answer = (await directory.get("/Users?startIndex=21&count=5")).json()

    assert [each["userName"] for each in answer["Resources"]] == [f"p{n}@example.com" for n in range(21, 26)]


async def test_odd_pages_are_read_as_the_rfc_has_it(directory, everybody):
    for query, expected in (("startIndex=-5&count=1", 1), ("count=0", 0), ("count=-1", 0), ("startIndex=99", 0)):
        answer = (await directory.get(f"/Users?{query}")).json()
        assert (len(answer["Resources"]), answer["totalResults"]) == (expected, 3), query
    assert (await directory.get("/Users?count=many")).json()["scimType"] == "invalidValue"


async def test_a_filter_that_would_look_at_everybody_is_refused(db, directory, tenant):
    async with db.tenant(tenant.tenant_id) as tx:
        await tx.load(MANY, many=lists.MOST_LOOKED_AT + 1)

    answer = await directory.get("/Users?filter=title pr")

    assert (answer.status_code, answer.json()["scimType"]) == (400, "tooMany")
    assert len(await directory.found("Users", '?filter=title pr and userName eq "p7@example.com"')) == 0


async def test_attributes_are_chosen_and_left_out(directory, everybody):
    ada, bob, _ = everybody

    one = (await directory.get(f"/Users/{ada['id']}?attributes=userName,emails.value,NAME")).json()
    without = (
        await directory.get(f"/Users/{bob['id']}?excludedAttributes=emails,meta.created,{ENTERPRISE}:department")
    ).json()
    both = await directory.get(f"/Users/{ada['id']}?attributes=userName&excludedAttributes=emails")

    assert set(one) == {"schemas", "id", "userName", "emails", "name"}
    assert one["emails"] == [{"value": "ada@example.com"}, {"value": "home@ada.example"}]
    assert "emails" not in without
    assert "created" not in without["meta"]
    assert without[ENTERPRISE] == {}
    assert both.status_code == 400


async def test_what_always_comes_cannot_be_left_out(directory, everybody):
    answer = (await directory.get(f"/Users/{everybody[0]['id']}?excludedAttributes=id,schemas")).json()

    assert {"id", "schemas"} <= set(answer)


async def test_a_search_in_the_body_is_the_same(directory, everybody):
    body = {"filter": 'userName sw "b"', "attributes": ["userName"], "startIndex": 1, "count": 10}

    answer = await directory.call("POST", "/Users/.search", body)

    assert answer.status_code == 200
    assert names(answer.json()["Resources"]) == ["bob"]
    assert set(answer.json()["Resources"][0]) == {"schemas", "id", "userName"}


async def test_a_search_of_everything_finds_people_and_groups(directory, everybody):
    group = await directory.group("Ada's")

    whole = (await directory.call("POST", "/.search", {"count": 50})).json()
    named = (await directory.call("POST", "/.search", {"filter": 'displayName sw "ada"'})).json()
    page = (await directory.call("POST", "/.search", {"startIndex": 3, "count": 5})).json()
    wrong = await directory.call("POST", "/.search", {"filter": 'nothing eq "x"'})

    assert (whole["totalResults"], len(whole["Resources"])) == (4, 4)
    assert [each["displayName"] for each in named["Resources"]] == ["Ada Lovelace", "Ada's"]
    assert [each["id"] for each in page["Resources"]] == [max(each["id"] for each in everybody), group["id"]]
    assert page["Resources"][1]["schemas"] == [GROUP]
    assert wrong.json()["scimType"] == "invalidFilter"
