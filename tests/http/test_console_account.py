"""My account, proving once more who one is, and joining by invitation, as a browser's forms do it."""

import re
from datetime import timedelta

import pyotp
import pytest

from controlplane.domain.permissions import FRESH_FOR
from controlplane.http.console import words
from tests.make import PASSWORD

NEW = "a quite different sentence"
PAGE = "/console/account"


@pytest.fixture
async def human(make):
    return await make.signed_in(await make.account(password=PASSWORD))


@pytest.fixture
def post(client, human):
    async def post(path, **fields):
        headers = {**human.headers, "referer": f"http://test{PAGE}"}
        return await client.post(f"{PAGE}{path}", headers=headers, data=fields)

    return post


@pytest.fixture
def read(client, human):
    async def read(address=PAGE):
        answer = await client.get(address, headers=human.headers)
        assert answer.status_code == 200, answer.text
        return answer.text

    return read


async def test_the_page_is_everybodys_also_without_a_tenant(read, human):
    page = await read()

    assert human.account.email in page
    assert "Change my password" in page
    assert "Add an app" in page
    assert "this one" in page


async def test_the_password_is_changed_and_the_page_says_so(client, post, read, human):
    wrong = await post("/password", old="something else", new=NEW)
    unfit = await post("/password", old=PASSWORD, new="password")

    done = await post("/password", old=PASSWORD, new=NEW)

    assert (wrong.status_code, unfit.status_code) == (401, 400)
    assert "This is not your password" in wrong.text
    assert "This password will not do" in unfit.text
    assert (done.status_code, done.headers["location"]) == (303, f"{PAGE}?done=password")
    assert "Your password is changed" in await read(done.headers["location"])


async def test_an_app_is_added_with_its_recovery_codes_shown_once(client, post, read, clock):
    begun = await post("/totp")
    page = await read(begun.headers["location"])
    seed = re.search(r"<code>([A-Z2-7]{32})</code>", page)[1]
    assert f"secret={seed}" in page

    wrong = await post("/totp/confirm", code="000000")
    done = await post("/totp/confirm", code=pyotp.TOTP(seed).at(clock.now))

    assert (wrong.status_code, seed in wrong.text) == (401, True)
    codes = re.findall(r"<code>([0-9a-z]{4}(?:-[0-9a-z]{4}){3})</code>", done.text)
    assert len(codes) == 10
    assert "10 recovery codes are left" in (await client.get(PAGE)).text


async def test_what_is_dangerous_asks_first_whether_it_is_really_them(client, post, human, clock):
    clock.forward(FRESH_FOR + timedelta(seconds=1))

    asked = await post("/totp")
    page = await client.get(asked.headers["location"], headers=human.headers)
    fields = {"password": PASSWORD, "next": PAGE}
    wrong = await client.post("/console/confirm", headers=human.headers, data={**fields, "password": NEW})
    proved = await client.post("/console/confirm", headers=human.headers, data=fields)

    assert (asked.status_code, asked.headers["location"]) == (
        303,
        "/console/confirm?next=%2Fconsole%2Faccount%23undone",
    )
    assert f"Password of {human.account.email}" in page.text
    assert (wrong.status_code, "This is not your password" in wrong.text) == (401, True)
    assert (proved.status_code, proved.headers["location"]) == (303, PAGE)
    assert (await client.post(f"{PAGE}/totp")).headers["location"] == f"{PAGE}/totp"


async def test_confirming_never_leads_outside_the_console(client, human):
    data = {"password": PASSWORD, "next": "https://evil.example/"}

    answer = await client.post("/console/confirm", headers=human.headers, data=data)

    assert answer.headers["location"] == "/console/"


async def test_with_an_app_it_is_the_code_that_is_asked_for(client, make, human, clock):
    app = pyotp.TOTP(await make.totp(human))
    clock.forward(timedelta(seconds=30))
    page = await client.get("/console/confirm", headers=human.headers)

    answer = await client.post("/console/confirm", headers=human.headers, data={"code": app.at(clock.now)})

    assert 'name="code"' in page.text
    assert 'name="password"' not in page.text
    assert answer.status_code == 303
    removed = await client.post(f"{PAGE}/totp/remove")
    assert removed.headers["location"] == f"{PAGE}?done=app"


async def test_who_has_no_password_is_told_how_to_get_one(client, make):
    human = await make.signed_in(await make.account())

    page = await client.get("/console/confirm", headers=human.headers)

    assert "/console/forgot" in page.text


async def test_sessions_are_ended_one_by_one_and_all_at_once(client, make, human, post, read):
    other = await make.signed_in(human.account)
    [end] = re.findall(rf'action="{PAGE}(/sessions/bs_\w+/end)"', await read())

    one = await post(end)
    gone = await client.get("/console/", headers=other.headers)
    everywhere = await post("/sessions/end")

    assert one.headers["location"] == f"{PAGE}?done=session"
    assert gone.status_code == 303
    assert everywhere.headers["location"] == "/console/sign-in"
    assert (await client.get(PAGE, headers=human.headers)).status_code == 303


async def test_somebody_elses_things_are_like_absent_ones(client, make, post):
    other = await make.person()
    [theirs] = (await client.get("/v1/me/sessions", headers=other.headers)).json()["data"]

    assert (await post(f"/sessions/{theirs['id']}/end")).status_code == 404
    assert (await post("/passkeys/pk_0/remove")).status_code == 404
    assert (await post("/passkeys/pk_0/name", name="x")).status_code == 404


async def test_what_a_browser_calls_itself_is_text_and_never_markup(client, read, human):
    await client.post(
        "/v1/auth/sign-in",
        json={"email": human.account.email, "password": PASSWORD},
        headers={"user-agent": "<script>alert(1)</script>"},
    )
    client.cookies.clear()

    assert "<script>alert" not in await read()


@pytest.mark.parametrize(
    ("client", "shown"),
    [
        ("Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0", "Firefox on Linux"),
        ("Mozilla/5.0 (Windows NT 10.0; Win64) AppleWebKit/537.36 Chrome/150.0 Safari/537.36", "Chrome on Windows"),
        ("Mozilla/5.0 (Windows NT 10.0) AppleWebKit/537.36 Chrome/150.0 Safari/537.36 Edg/150.0", "Edge on Windows"),
        ("Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) Version/18.0 Safari/604.1", "Safari on iPhone"),
        ("curl/8.5.0", "curl/8.5.0"),
        ("", "An unknown program"),
    ],
)
def test_a_browser_is_named_as_people_name_it(client, shown):
    assert words.browser(client) == shown


@pytest.fixture
async def invited(client, make, letters):
    """Somebody's link into the tenant acme."""
    key = await make.api_key(await make.tenant("acme"))

    async def invited(email="new@example.com"):
        body = {"email": email, "role": "viewer"}
        await client.post("/v1/tenants/acme/invitations", headers=key, json=body)
        return (await letters()).secret(email)

    return invited


async def test_a_newcomer_joins_with_name_and_password(client, invited):
    token = await invited()

    empty = await client.get("/console/invitation")
    read = await client.post("/console/invitation", data={"token": f"http://test/console/invitation#{token}"})
    page = await client.get(read.headers["location"])
    unfit = await client.post("/console/invitation/accept", data={"name": "Nora", "password": "password"})
    joined = await client.post("/console/invitation/accept", data={"name": "Nora", "password": PASSWORD})

    assert "welcome.js" in empty.text
    assert "HttpOnly" in read.headers["set-cookie"]
    assert "Path=/console/invitation" in read.headers["set-cookie"]
    assert "new@example.com" in page.text
    assert token not in page.text
    assert "This password will not do" in unfit.text
    assert joined.headers["location"] == "/console/t/acme/"
    assert (await client.get("/console/t/acme/")).status_code == 200


async def test_who_has_an_account_signs_in_and_comes_back(client, make, invited):
    account = await make.account(password=PASSWORD)
    await client.post("/console/invitation", data={"token": await invited(account.email)})
    page = await client.get("/console/invitation")
    [address] = re.findall(r'href="(/console/sign-in[^"]+)"', page.text)
    form = await client.get(address)
    wanted = re.search(r'name="next" value="([^"]+)"', form.text)[1]

    back = await client.post("/console/sign-in", data={"email": account.email, "password": PASSWORD, "next": wanted})
    again = await client.get(back.headers["location"])
    joined = await client.post("/console/invitation/accept", data={})

    assert back.headers["location"] == "/console/invitation"
    assert 'name="password"' not in again.text
    assert joined.headers["location"] == "/console/t/acme/"


async def test_whoever_is_signed_in_as_another_is_told_so(client, make, invited):
    human = await make.person()
    token = await invited()
    cookies = {"cookie": f"{human.headers['cookie']}; invitation={token}"}

    page = await client.get("/console/invitation", headers=cookies)
    answer = await client.post("/console/invitation/accept", headers=cookies, data={})

    assert f"You are signed in as <b>{human.account.email}</b>" in page.text
    assert (answer.status_code, "for another address" in answer.text) == (403, True)


async def test_a_link_that_works_no_longer_says_so(client):
    answer = await client.post("/console/invitation", data={"token": "x" * 43})

    assert (answer.status_code, "does not work any more" in answer.text) == (410, True)
