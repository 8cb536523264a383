"""The page about people: finding them, and inviting, as a browser's forms do it."""

import re

import pytest

from tests.make import PASSWORD

NEW = "new@example.com"


@pytest.fixture
async def acme(make):
    return await make.tenant("acme")


@pytest.fixture
async def owner(make, acme):
    return await make.person(acme)


@pytest.fixture
def read(client, owner):
    async def read(query="", whose=owner):
        answer = await client.get(f"/console/t/acme/people{query}", headers=whose.headers)
        assert answer.status_code == 200, answer.text
        return answer.text

    return read


@pytest.fixture
def post(client, owner):
    async def post(path, whose=owner, **fields):
        return await client.post(f"/console/t/acme{path}", headers=whose.headers, data=fields)

    return post


async def test_everybody_stands_there_with_their_roles(make, acme, owner, read):
    auditor = await make.person(acme, "auditor")
    stranger = await make.person()

    page = await read()

    assert owner.account.email in page
    assert auditor.account.email in page
    assert "auditor" in page
    assert stranger.account.email not in page


async def test_people_are_found_by_the_start_of_their_address_and_by_status(make, acme, owner, read):
    other = await make.person(acme, "viewer")

    found, nobody = await read(f"?q={other.account.email[:-4]}"), await read("?status=disabled")

    assert other.account.email in found
    assert 'href="/console/t/acme/people/usr_' in found
    assert "Nobody matches" in nobody


async def test_somebody_is_invited_from_the_page(client, make, post, read, letters):
    sent = await post("/people", email=NEW, role="developer")
    page = await read()
    token = (await letters()).secret(NEW)
    joined = await client.post("/v1/auth/invitations/accept", json={"token": token, "password": PASSWORD})

    assert (sent.status_code, sent.headers["location"]) == (303, "/console/t/acme/people")
    assert NEW in page
    assert token not in page
    assert joined.json() == {"tenant": "acme", "role": "developer"}
    assert "Nobody has an open invitation" in await read()


async def test_what_cannot_be_is_said_on_the_page_with_the_form_as_it_was(post, owner):
    twice, nonsense = await post("/people", email=owner.account.email), await post("/people", email="nonsense")

    assert (twice.status_code, nonsense.status_code) == (409, 400)
    assert "in the tenant already" in twice.text
    assert 'value="nonsense"' in nonsense.text


async def test_a_letter_is_sent_again_and_revoked(post, read, letters):
    await post("/people", email=NEW)
    first = (await letters()).secret(NEW)
    [resend] = re.findall(r'action="/console/t/acme(/invitations/inv_\w+/resend)"', await read())

    again = await post(resend)
    second = (await letters()).secret(NEW)
    revoked = await post(resend.replace("resend", "revoke"))

    assert (again.status_code, revoked.status_code) == (303, 303)
    assert first != second
    assert NEW not in await read()


async def test_who_may_not_invite_is_not_offered_it(make, acme, read, post):
    auditor = await make.person(acme, "auditor")

    page = await read(whose=auditor)
    answer = await post("/people", whose=auditor, email=NEW)

    assert "Invite somebody" not in page
    assert answer.status_code == 403


async def test_nobody_invites_to_more_than_they_hold(make, acme, post):
    admin = await make.person(acme, "admin")

    answer = await post("/people", whose=admin, email=NEW, role="owner")

    assert (answer.status_code, "This role holds more than you do" in answer.text) == (403, True)


async def test_another_tenants_invitation_is_like_an_absent_one(client, make, post, read):
    await post("/people", email=NEW)
    [resend] = re.findall(r'action="/console/t/acme(/invitations/inv_\w+/resend)"', await read())
    stranger = await make.person(await make.tenant("birch"))

    for path in (resend, resend.replace("resend", "revoke")):
        foreign = await client.post(f"/console/t/birch{path}", headers=stranger.headers)
        absent = await client.post(f"/console/t/birch{path[:-12]}000000{path[-7:]}", headers=stranger.headers)
        assert (foreign.status_code, absent.status_code) == (404, 404)
        assert foreign.content == absent.content
