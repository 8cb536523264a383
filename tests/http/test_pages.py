"""Lists, a page at a time."""

import pytest

from controlplane.domain import projects
from controlplane.kit.ids import text_id
from tests.make import SHELL


@pytest.fixture
async def tenant(db, make):
    tenant = await make.tenant()
    async with db.tenant(tenant.tenant_id) as tx:
        for number in range(6):
            await projects.create(tx, SHELL, f"p{number}", "P", "dev")
    return tenant


@pytest.fixture
async def page(client, make, tenant):
    key = await make.api_key(tenant)

    async def page(path="/projects", headers=key, **query):
        return await client.get(f"/v1/tenants/{tenant.slug}{path}", headers=headers, params=query)

    return page


async def test_pages_together_are_the_list(page):
    everything = (await page()).json()

    seen, cursor, pages = [], None, 0
    while pages == 0 or cursor:
        got = (await page(limit=3, **({"cursor": cursor} if cursor else {}))).json()
        seen, cursor, pages = seen + got["data"], got["page"]["next_cursor"], pages + 1

    assert everything["page"] == {"next_cursor": None, "has_more": False}
    assert seen == everything["data"]
    assert (len(seen), pages) == (7, 3)


async def test_a_full_last_page_has_no_next(page):
    assert (await page(limit=7)).json()["page"] == {"next_cursor": None, "has_more": False}


@pytest.mark.parametrize("limit", ["0", "-1", "x", "1.5", ""])
async def test_a_limit_is_a_number_of_rows(page, limit):
    answer = await page(limit=limit)

    assert (answer.status_code, answer.json()["code"]) == (400, "validation-failed")
    assert answer.json()["errors"][0]["name"] == "limit"


async def test_more_than_the_most_is_the_most(page):
    assert (await page(limit=100_000)).status_code == 200


async def test_an_unknown_parameter_is_refused_by_name(page):
    answer = await page(limti=3)

    assert answer.status_code == 400
    [error] = answer.json()["errors"]
    assert (error["name"], error["detail"]) == ("limti", "no such parameter; there are: cursor, limit")


@pytest.mark.parametrize(("path", "name"), [("/users", "status"), ("/sessions", "since"), ("/audit-events", "outcome")])
@pytest.mark.parametrize("word", ["null", "NULL"])
async def test_null_is_a_word_like_any_other(page, path, name, word):
    answer = await page(path, **{name: word})

    assert answer.status_code == 400
    assert answer.json()["errors"] == [{"in": "query", "name": name, "detail": "null is none of its values"}]
    assert (await page("/users", q=word)).status_code == 200


async def test_a_cursor_is_good_for_its_own_list_only(page, client, make, tenant):
    cursor = (await page(limit=1)).json()["page"]["next_cursor"]
    other = await make.tenant()
    events = (await page("/audit-events", limit=1)).json()["page"]["next_cursor"]

    elsewhere = [
        await page("/audit-events", cursor=cursor),
        await page("/projects", cursor=events),
        await client.get(
            f"/v1/tenants/{other.slug}/projects", headers=await make.api_key(other), params={"cursor": cursor}
        ),
    ]

    assert {(answer.status_code, answer.json()["errors"][0]["name"]) for answer in elsewhere} == {(400, "cursor")}


async def test_a_cursor_outlives_another_limit(page):
    cursor = (await page(limit=1)).json()["page"]["next_cursor"]

    assert len((await page(limit=2, cursor=cursor)).json()["data"]) == 2


@pytest.mark.parametrize("cursor", ["", "x", "AAAA", "é", "A" * 5000, "....", "\0"])
async def test_a_cursor_that_nobody_handed_out_is_refused(page, cursor):
    answer = await page(cursor=cursor)

    assert (answer.status_code, answer.json()["errors"][0]["name"]) == (400, "cursor")


async def test_a_changed_cursor_is_refused(page):
    cursor = (await page(limit=1)).json()["page"]["next_cursor"]
    flipped = [
        cursor[:at] + ("A" if cursor[at] != "A" else "B") + cursor[at + 1 :] for at in range(0, len(cursor) - 1, 7)
    ]

    assert {(await page(cursor=each)).status_code for each in flipped} == {400}


async def test_the_slug_and_the_id_are_one_list(client, make, tenant, page):
    cursor = (await page(limit=1)).json()["page"]["next_cursor"]
    by_id = await client.get(
        f"/v1/tenants/{text_id('ten', tenant.tenant_id)}/projects",
        headers=await make.api_key(tenant),
        params={"cursor": cursor},
    )

    assert by_id.status_code == 200
