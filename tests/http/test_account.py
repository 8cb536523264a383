"""One's own account: the password, where one is signed in, a letter for who forgot, and proving once more who one is."""

from datetime import timedelta

import asyncpg
import pytest

from controlplane.db import schema as t
from controlplane.domain import recovery
from controlplane.domain.permissions import FRESH_FOR
from controlplane.http import limits
from controlplane.kit.ids import new_id, text_id
from tests.make import PASSWORD

NEW = "a quite different sentence"


@pytest.fixture
async def human(make):
    return await make.signed_in(await make.account(password=PASSWORD))


@pytest.fixture
def sign_in(client):
    async def sign_in(human, password=PASSWORD):
        body = {"email": human.account.email, "password": password}
        return (await client.post("/v1/auth/sign-in", json=body)).status_code

    return sign_in


@pytest.fixture
def change(client):
    async def change(human, **body):
        return await client.put("/v1/me/password", headers=human.headers, json=body)

    return change


@pytest.fixture
async def platform_log(admin_url):
    connection = await asyncpg.connect(admin_url)

    async def actions():
        return [
            row["action"] for row in await connection.fetch("SELECT * FROM platform_audit_events ORDER BY seq DESC")
        ]

    yield actions
    await connection.close()


async def test_a_changed_password_ends_every_other_session(client, make, human, change, sign_in, letters):
    elsewhere = await make.signed_in(human.account)

    answer = await change(human, old=PASSWORD, new=NEW)

    assert answer.status_code == 204, answer.text
    assert (await client.get("/v1/me", headers=human.headers)).status_code == 200
    assert (await client.get("/v1/me", headers=elsewhere.headers)).status_code == 401
    assert [await sign_in(human), await sign_in(human, NEW)] == [401, 204]
    assert [message.to for message in (await letters()).messages] == [human.account.email]


async def test_it_takes_the_old_password(human, change, sign_in, platform_log):
    wrong, without = await change(human, old="something else", new=NEW), await change(human, new=NEW)

    assert {answer.json()["code"] for answer in (wrong, without)} == {"password-wrong"}
    assert await sign_in(human) == 204
    assert "session.not-confirmed" in await platform_log()


async def test_guessing_the_old_password_is_slowed_down(human, change, monkeypatch):
    monkeypatch.setattr(limits, "SIGN_IN", limits.Rate(burst=2, every=timedelta(minutes=5)))

    answers = [await change(human, old="something else", new=NEW) for _ in range(3)]

    assert [answer.status_code for answer in answers] == [401, 401, 429]


@pytest.mark.parametrize(
    "new", ["short", "aaaaaaaaaaaa", "password", "Password", "12345678", "EngineCloud2026", "qwertyuiop"]
)
async def test_what_is_tried_first_everywhere_will_not_do(human, change, new):
    assert (await change(human, old=PASSWORD, new=new)).json()["code"] == "password-unfit"


async def test_ones_own_address_will_not_do(human, change):
    local = human.account.email.partition("@")[0]

    for new in (human.account.email, f"{local}2026", local.upper()):
        assert (await change(human, old=PASSWORD, new=new)).json()["code"] == "password-unfit", new


async def test_who_has_none_chooses_one_right_after_signing_in_only(client, make, change, clock):
    late, soon = await make.signed_in(await make.account()), await make.signed_in(await make.account())

    chosen = await change(soon, new=NEW)
    clock.forward(FRESH_FOR + timedelta(seconds=1))
    refused = await change(late, new=NEW)

    assert chosen.status_code == 204
    assert (refused.json()["code"], refused.json()["ways"]) == ("reauthentication-required", [])


async def test_sessions_are_listed_and_ended_one_by_one(client, make, human, clock):
    clock.forward(timedelta(minutes=10))
    elsewhere = await make.signed_in(human.account)

    listed = (await client.get("/v1/me/sessions", headers=human.headers)).json()["data"]
    [other] = [each for each in listed if not each["current"]]
    ended = await client.delete(f"/v1/me/sessions/{other['id']}", headers=human.headers)
    again = await client.delete(f"/v1/me/sessions/{other['id']}", headers=human.headers)

    assert len(listed) == 2
    assert (other["client"], other["method"], other["created_at"]) == ("tests", "password", "2026-01-01T00:10:00.000Z")
    assert (ended.status_code, again.status_code) == (204, 404)
    assert (await client.get("/v1/me", headers=elsewhere.headers)).status_code == 401
    assert (await client.get("/v1/me", headers=human.headers)).status_code == 200


async def test_somebody_elses_session_is_like_an_absent_one(client, make, human):
    other = await make.person()
    [theirs] = (await client.get("/v1/me/sessions", headers=other.headers)).json()["data"]

    foreign = await client.delete(f"/v1/me/sessions/{theirs['id']}", headers=human.headers)
    absent = await client.delete(
        f"/v1/me/sessions/{text_id('bs', new_id(other.account.created_at))}", headers=human.headers
    )

    assert foreign.status_code == absent.status_code == 404
    assert {**foreign.json(), "request_id": ""} == {**absent.json(), "request_id": ""}
    assert (await client.get("/v1/me", headers=other.headers)).status_code == 200


async def test_signing_out_everywhere_ends_all_of_them(client, make, human, platform_log):
    elsewhere = await make.signed_in(human.account)

    answer = await client.delete("/v1/me/sessions", headers=human.headers)

    assert answer.status_code == 204
    for each in (human, elsewhere):
        assert (await client.get("/v1/me", headers=each.headers)).status_code == 401
    assert (await platform_log())[0] == "session.all-ended"


async def test_ended_and_idle_sessions_are_not_listed(client, make, human, clock):
    await make.signed_in(human.account)
    clock.forward(timedelta(minutes=29))
    await client.get("/v1/me", headers=human.headers)
    clock.forward(timedelta(minutes=2))

    assert len((await client.get("/v1/me/sessions", headers=human.headers)).json()["data"]) == 1


async def test_a_letter_brings_a_new_password(client, human, sign_in, letters):
    asked = await client.post("/v1/auth/password-reset", json={"email": human.account.email.upper()})
    token = (await letters()).secret(human.account.email)

    used = await client.post("/v1/auth/link", json={"token": token, "password": NEW})

    assert (asked.status_code, used.status_code) == (202, 204)
    assert [await sign_in(human), await sign_in(human, NEW)] == [401, 204]
    assert (await client.get("/v1/me", headers=human.headers)).status_code == 401


async def test_asking_tells_nothing_about_accounts(client, human, letters, platform_log):
    known = await client.post("/v1/auth/password-reset", json={"email": human.account.email})
    unknown = await client.post("/v1/auth/password-reset", json={"email": "nobody@example.com"})
    before = await platform_log()

    assert (known.status_code, known.content) == (unknown.status_code, unknown.content)
    assert before[:2] == ["password-reset.asked"] * 2
    assert {message.to for message in (await letters()).messages} == {human.account.email}


async def test_a_disabled_account_gets_no_letter(db, client, human, letters):
    async with db.platform() as tx:
        await tx.run(tx.update(t.accounts).values(status="disabled"))
        tx.audited = True
    await client.post("/v1/auth/password-reset", json={"email": human.account.email})

    assert (await letters()).messages == []


async def test_the_link_to_a_new_password_lasts_an_hour(client, human, letters, clock):
    await client.post("/v1/auth/password-reset", json={"email": human.account.email})
    token = (await letters()).secret(human.account.email)
    clock.forward(recovery.LIFETIME)

    answer = await client.post("/v1/auth/link", json={"token": token, "password": NEW})

    assert answer.json()["code"] == "sign-in-link-invalid"


async def test_nobodys_letter_box_is_filled_by_asking(client, human, monkeypatch):
    monkeypatch.setattr(limits, "PASSWORD_RESET", limits.Rate(burst=1, every=timedelta(hours=1)))

    answers = [await client.post("/v1/auth/password-reset", json={"email": human.account.email}) for _ in range(2)]

    assert [answer.status_code for answer in answers] == [202, 429]


async def test_what_is_dangerous_takes_a_fresh_proof(client, make, clock):
    tenant = await make.tenant()
    human = await make.person(tenant)
    at, body = f"/v1/tenants/{tenant.slug}/api-keys", {"name": "x", "role": "viewer"}
    fresh = await client.post(at, headers=human.headers, json=body)

    clock.forward(FRESH_FOR + timedelta(seconds=1))
    stale = await client.post(at, headers=human.headers, json=body)
    reading = await client.get(at, headers=human.headers)
    program = await client.post(at, headers=await make.api_key(tenant), json=body)

    assert (fresh.status_code, reading.status_code, program.status_code) == (201, 200, 201)
    assert (stale.status_code, stale.json()["code"]) == (403, "reauthentication-required")
    assert stale.json()["max_age_s"] == 300


async def test_a_proof_makes_the_session_fresh_under_a_new_token(client, human, clock):
    clock.forward(FRESH_FOR + timedelta(seconds=1))
    stale = await client.post("/v1/me/totp", headers=human.headers)
    wrong = await client.post("/v1/me/reauthentication", headers=human.headers, json={"password": NEW})

    right = await client.post("/v1/me/reauthentication", headers=human.headers, json={"password": PASSWORD})

    assert (stale.json()["code"], stale.json()["ways"]) == ("reauthentication-required", ["password"])
    assert (wrong.status_code, wrong.json()["code"]) == (401, "password-wrong")
    assert right.status_code == 204
    assert (await client.post("/v1/me/totp")).status_code == 201
    assert (await client.get("/v1/me", headers=human.headers)).status_code == 401


async def test_a_proof_does_not_make_a_session_last_longer(client, human, clock):
    clock.forward(timedelta(minutes=1))
    await client.post("/v1/me/reauthentication", headers=human.headers, json={"password": PASSWORD})

    [session] = (await client.get("/v1/me/sessions")).json()["data"]

    assert session["created_at"] == "2026-01-01T00:00:00.000Z"
    assert session["authenticated_at"] == "2026-01-01T00:01:00.000Z"


async def test_the_document_says_what_takes_a_fresh_proof(client):
    paths = (await client.get("/openapi.json")).json()["paths"]

    assert paths["/v1/tenants/{tenant}/api-keys"]["post"]["x-fresh-proof"] is True
    assert paths["/v1/me/totp"]["delete"]["x-fresh-proof"] is True
    assert "x-fresh-proof" not in paths["/v1/tenants/{tenant}/api-keys"]["get"]
