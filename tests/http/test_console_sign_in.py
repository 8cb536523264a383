"""Coming in to the console and going out, as a browser's forms do it."""

import re
from datetime import timedelta

import pyotp
import pytest

from controlplane.domain import sign_ins
from tests.conftest import KEYRING
from tests.make import PASSWORD, SHELL


@pytest.fixture
def link(db):
    async def made(account):
        async with db.platform() as tx:
            return await sign_ins.make_link(tx, SHELL, KEYRING.pepper, account.id)

    return made


async def test_address_and_password_lead_to_where_one_wanted_to_go(client, make):
    account = await make.account(password=PASSWORD)
    wanted = "/console/t/acme/sessions?status=failed"

    answer = await client.post("/console/sign-in", data={"email": account.email, "password": PASSWORD, "next": wanted})

    assert (answer.status_code, answer.headers["location"]) == (303, wanted)
    assert (await client.get("/v1/me")).json()["email"] == account.email


@pytest.mark.parametrize(
    "wanted",
    ["https://evil.example/console/", "//evil.example", "/console//evil.example", "/console/\\evil", "/v1/me", ""],
)
async def test_signing_in_never_leads_outside_the_console(client, make, wanted):
    account = await make.account(password=PASSWORD)

    answer = await client.post("/console/sign-in", data={"email": account.email, "password": PASSWORD, "next": wanted})

    assert answer.headers["location"] == "/console/"


async def test_a_wrong_password_shows_the_form_again_with_the_address_kept(client, make):
    account = await make.account(password=PASSWORD)

    answer = await client.post("/console/sign-in", data={"email": account.email, "password": "something else"})

    assert answer.status_code == 401
    assert "set-cookie" not in answer.headers
    assert "Address and password do not fit together" in answer.text
    assert f'value="{account.email}"' in answer.text


async def test_a_link_signs_in_once(client, make, link):
    token = await link(await make.account())

    first = await client.post("/console/welcome", data={"token": f"http://test/console/welcome#{token}"})
    client.cookies.clear()
    second = await client.post("/console/welcome", data={"token": token})

    assert (first.status_code, second.status_code) == (303, 401)
    assert "This link does not work any more" in second.text


async def test_a_link_can_set_the_password(client, make, link):
    account = await make.account()
    await client.post("/console/welcome", data={"token": await link(account), "password": PASSWORD})
    signed_in = (await client.get("/v1/me")).status_code
    client.cookies.clear()

    answer = await client.post("/console/sign-in", data={"email": account.email, "password": PASSWORD})

    assert (signed_in, answer.status_code) == (200, 303)


async def test_a_password_that_will_not_do_does_not_cost_the_link(client, make, link):
    account = await make.account()
    token = await link(account)

    short = await client.post("/console/welcome", data={"token": token, "password": "short"})
    their_address = await client.post("/console/welcome", data={"token": token, "password": account.email})
    again = await client.post("/console/welcome", data={"token": token})

    assert (short.status_code, their_address.status_code, again.status_code) == (400, 400, 303)
    assert "This password will not do" in short.text


async def test_the_links_secret_is_in_no_page(client):
    page = await client.get("/console/welcome")

    assert page.status_code == 200
    assert 'name="token"' in page.text
    assert "<script" in page.text


async def test_signing_out_ends_the_session(client, make):
    human = await make.operator()

    answer = await client.post("/console/sign-out", headers=human.headers)

    assert (answer.status_code, answer.headers["location"]) == (303, "/console/sign-in")
    assert (await client.get("/console/sessions", headers=human.headers)).status_code == 303


@pytest.mark.parametrize(
    "page",
    [
        *("/console/sign-in", "/console/welcome", "/console/sign-out", "/console/second-factor", "/console/forgot"),
        *("/console/invitation", "/console/invitation/accept", "/console/confirm", "/console/account/totp"),
    ],
)
@pytest.mark.parametrize("headers", [{"sec-fetch-site": "cross-site"}, {"origin": "https://evil.example"}])
async def test_another_sites_page_cannot_post_here(client, make, page, headers):
    human = await make.operator()

    answer = await client.post(page, data={"token": "x"}, headers={**human.headers, **headers})

    assert answer.status_code == 403
    assert (await client.get("/console/", headers=human.headers)).status_code == 200


@pytest.mark.parametrize(
    "page", ["/console/sign-in", "/console/welcome", "/console/second-factor", "/console/forgot", "/console/invitation"]
)
async def test_a_form_that_lacks_its_fields_is_refused(client, page):
    assert (await client.post(page, data={"other": "x"})).status_code == 400


async def test_guessing_is_slowed_down(client, make):
    account = await make.account(password=PASSWORD)

    answers = [
        await client.post("/console/sign-in", data={"email": account.email, "password": "wrong"}) for _ in range(12)
    ]

    assert answers[-1].status_code == 429
    assert "retry-after" in answers[-1].headers


async def test_with_an_app_there_is_one_more_step(client, make, clock):
    human = await make.signed_in(await make.account(password=PASSWORD))
    app = pyotp.TOTP(await make.totp(human))
    clock.forward(timedelta(seconds=30))
    wanted = "/console/t/acme/sessions"

    half = await client.post(
        "/console/sign-in", data={"email": human.account.email, "password": PASSWORD, "next": wanted}
    )
    ticket = re.search(r'name="ticket" value="([^"]+)"', half.text)[1]
    wrong = await client.post("/console/second-factor", data={"ticket": ticket, "code": "000000", "next": wanted})
    right = await client.post(
        "/console/second-factor", data={"ticket": ticket, "code": app.at(clock.now), "next": wanted}
    )
    over = await client.post("/console/second-factor", data={"ticket": ticket, "code": "000000"})

    assert (half.status_code, wrong.status_code) == (200, 401)
    assert "set-cookie" not in half.headers
    assert f'value="{ticket}"' in wrong.text
    assert "This code does not fit" in wrong.text
    assert (right.status_code, right.headers["location"]) == (303, wanted)
    assert "This took too long" in over.text
    assert 'name="password"' in over.text


async def test_a_link_asks_for_the_second_step_too(client, make, link, clock):
    human = await make.signed_in(await make.account())
    await make.totp(human)

    answer = await client.post("/console/welcome", data={"token": await link(human.account)})

    assert 'name="ticket"' in answer.text
    assert "set-cookie" not in answer.headers


async def test_who_forgot_the_password_gets_a_letter_and_everybody_the_same_page(client, make, letters):
    account = await make.account(password=PASSWORD)

    known = await client.post("/console/forgot", data={"email": account.email})
    unknown = await client.post("/console/forgot", data={"email": "nobody@example.com"})

    assert known.text.replace(account.email, "") == unknown.text.replace("nobody@example.com", "")
    assert "If there is an account" in known.text
    assert (await letters()).secret(account.email)
