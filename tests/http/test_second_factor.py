"""The second half of signing in: codes of an app, and recovery codes for the day it is lost."""

import asyncio
from datetime import timedelta

import asyncpg
import pyotp
import pytest

from controlplane.domain import ceremonies, people, sign_ins, totp
from controlplane.http import limits
from tests.conftest import KEYRING
from tests.make import PASSWORD, SHELL, Human


@pytest.fixture
async def human(make):
    account = await make.account(password=PASSWORD)
    return await make.signed_in(account)


@pytest.fixture
async def seed(make, human, clock):
    """Of the app of *human*, whose code was used at its confirmation: the next one comes in half a minute."""
    seed = await make.totp(human)
    clock.forward(timedelta(seconds=30))
    return seed


@pytest.fixture
def now(seed, clock):
    """The code that the app shows."""
    return lambda: pyotp.TOTP(seed).at(clock.now)


@pytest.fixture
def begin(client, human):
    """The first half; returns the ticket."""

    async def begin():
        answer = await client.post("/v1/auth/sign-in", json={"email": human.account.email, "password": PASSWORD})
        assert (answer.status_code, answer.json()["code"]) == (401, "second-factor-required"), answer.text
        assert "set-cookie" not in answer.headers
        return answer.json()["ticket"]

    return begin


@pytest.fixture
def finish(client):
    async def finish(ticket, code):
        return await client.post("/v1/auth/second-factor", json={"ticket": ticket, "code": code})

    return finish


async def test_an_app_is_added_and_asked_for_from_then_on(client, human, clock, begin, finish):
    made = (await client.post("/v1/me/totp", headers=human.headers)).json()
    app = pyotp.parse_uri(made["address"])
    assert (app.secret, app.issuer, app.name) == (made["secret"], "Engine Cloud", human.account.email)

    wrong = await client.post("/v1/me/totp/confirm", headers=human.headers, json={"code": "000000"})
    right = await client.post("/v1/me/totp/confirm", headers=human.headers, json={"code": app.at(clock.now)})

    assert (wrong.status_code, wrong.json()["code"]) == (401, "code-wrong")
    assert right.status_code == 200, right.text
    assert len(set(right.json()["codes"])) == totp.RECOVERY_CODES
    clock.forward(timedelta(seconds=30))
    assert (await finish(await begin(), app.at(clock.now))).status_code == 204
    me = (await client.get("/v1/me")).json()
    assert me["factors"] == {"password": True, "totp": True, "recovery_codes": 10, "passkeys": 0}


async def test_until_it_is_confirmed_it_is_not_asked_for(client, human):
    await client.post("/v1/me/totp", headers=human.headers)

    answer = await client.post("/v1/auth/sign-in", json={"email": human.account.email, "password": PASSWORD})

    assert answer.status_code == 204


async def test_a_code_works_once(begin, finish, now):
    code = now()

    answers = [await finish(await begin(), code) for _ in range(2)]

    assert [answer.status_code for answer in answers] == [204, 401]
    assert answers[1].json()["code"] == "code-wrong"


async def test_a_code_works_once_also_for_those_who_hurry(begin, finish, now):
    tickets = [await begin() for _ in range(3)]

    answers = await asyncio.gather(*(finish(ticket, now()) for ticket in tickets))

    assert sorted(answer.status_code for answer in answers) == [204, 401, 401]


async def test_no_code_before_the_last_one_works(begin, finish, seed, clock):
    app = pyotp.TOTP(seed)
    earlier = app.at(clock.now)
    clock.forward(timedelta(seconds=30))
    assert (await finish(await begin(), app.at(clock.now))).status_code == 204

    assert (await finish(await begin(), earlier)).status_code == 401


@pytest.mark.parametrize(("off_s", "works"), [(-60, False), (-30, True), (0, True), (30, True), (60, False)])
async def test_clocks_may_differ_by_half_a_minute(begin, finish, seed, clock, off_s, works):
    clock.forward(timedelta(minutes=5))
    code = pyotp.TOTP(seed).at(clock.now + timedelta(seconds=off_s))

    assert (await finish(await begin(), code)).status_code == (204 if works else 401)


@pytest.mark.parametrize("spelled", [lambda code: f"{code[:3]} {code[3:]}", lambda code: f" {code}\n"])
async def test_a_code_may_be_typed_as_it_is_shown(begin, finish, now, spelled):
    assert (await finish(await begin(), spelled(now()))).status_code == 204


@pytest.mark.parametrize("code", ["", "0", "0000000", "abcdef", "٠١٢٣٤٥", "x" * 40])
async def test_what_is_no_code_is_wrong(begin, finish, seed, code):
    assert (await finish(await begin(), code)).json()["code"] == "code-wrong"


async def test_a_ticket_is_good_for_five_tries_and_five_minutes(begin, finish, seed, now, clock, monkeypatch):
    monkeypatch.setattr(limits, "SECOND_FACTOR", limits.Rate(burst=100, every=timedelta(seconds=1)))
    tired, old = await begin(), await begin()

    answers = [await finish(tired, "000000") for _ in range(ceremonies.MOST_TRIES)]
    one_more = await finish(tired, now())
    clock.forward(ceremonies.LIFETIME)
    too_late = await finish(old, now())

    assert {answer.json()["code"] for answer in answers} == {"code-wrong"}
    assert {one_more.json()["code"], too_late.json()["code"]} == {"ticket-invalid"}


async def test_a_ticket_works_once_and_opens_nothing_else(client, begin, finish, now, clock):
    ticket = await begin()
    assert (await finish(ticket, now())).status_code == 204
    clock.forward(timedelta(seconds=30))
    client.cookies.clear()

    again = await finish(ticket, now())
    as_session = await client.get("/v1/me", headers={"cookie": f"session={await begin()}"})

    assert (again.status_code, again.json()["code"]) == (401, "ticket-invalid")
    assert as_session.status_code == 401


async def test_guessing_codes_is_slowed_down_however_many_tickets_there_are(begin, finish, seed, monkeypatch):
    monkeypatch.setattr(limits, "SECOND_FACTOR", limits.Rate(burst=2, every=timedelta(minutes=5)))

    answers = [await finish(await begin(), "000000") for _ in range(3)]

    assert [answer.status_code for answer in answers] == [401, 401, 429]


async def test_a_recovery_code_stands_in_once(client, human, clock, begin, finish, letters):
    made = (await client.post("/v1/me/totp", headers=human.headers)).json()
    code = pyotp.TOTP(made["secret"]).at(clock.now)
    confirmed = await client.post("/v1/me/totp/confirm", headers=human.headers, json={"code": code})
    spare = confirmed.json()["codes"][0]

    answers = [await finish(await begin(), spelled) for spelled in (spare.upper().replace("-", " "), spare)]

    assert [answer.status_code for answer in answers] == [204, 401]
    assert (await client.get("/v1/me")).json()["factors"]["recovery_codes"] == 9
    assert any("9 are left" in message.text for message in (await letters()).messages)


async def test_new_recovery_codes_end_the_earlier_ones(client, human, clock, begin, finish):
    made = (await client.post("/v1/me/totp", headers=human.headers)).json()
    code = pyotp.TOTP(made["secret"]).at(clock.now)
    first = (await client.post("/v1/me/totp/confirm", headers=human.headers, json={"code": code})).json()["codes"]
    again = await client.post("/v1/me/reauthentication", json={"code": first[9]})

    second = (await client.post("/v1/me/recovery-codes")).json()["codes"]

    assert again.status_code == 204
    assert not set(first) & set(second)
    assert (await finish(await begin(), first[0])).status_code == 401
    assert (await finish(await begin(), second[0])).status_code == 204


async def test_somebody_elses_recovery_code_is_worth_nothing(db, make, human, seed, begin, finish):
    other = await make.person()
    async with db.platform() as tx:
        theirs = await totp.enroll(tx, SHELL, other.account.id)
        codes = await totp.confirm(tx, SHELL, KEYRING.pepper, other.account.id, pyotp.TOTP(theirs).at(tx.now))

    assert (await finish(await begin(), codes[0])).status_code == 401


async def test_a_link_does_not_get_past_it_and_its_password_counts_only_afterwards(
    db, client, human, seed, now, finish
):
    async with db.platform() as tx:
        token = await sign_ins.make_link(tx, SHELL, KEYRING.pepper, human.account.id, purpose="reset")
    new = "a quite different sentence"

    half = await client.post("/v1/auth/link", json={"token": token, "password": new})
    async with db.platform() as tx:
        before = await people.credentials_of(tx, human.account.id)
    whole = await finish(half.json()["ticket"], now())
    async with db.platform() as tx:
        after = await people.credentials_of(tx, human.account.id)

    assert (half.status_code, half.json()["code"]) == (401, "second-factor-required")
    assert whole.status_code == 204, whole.text
    assert before.password_hash != after.password_hash
    assert (await client.get("/v1/me", headers=human.headers)).status_code == 401


async def test_removing_it_takes_a_fresh_proof_with_a_code(client, human, seed, now):
    stale = await client.delete("/v1/me/totp", headers=human.headers)
    by_password = await client.post("/v1/me/reauthentication", headers=human.headers, json={"password": PASSWORD})
    by_code = await client.post("/v1/me/reauthentication", headers=human.headers, json={"code": now()})
    removed = await client.delete("/v1/me/totp")

    assert (stale.status_code, stale.json()["code"]) == (403, "reauthentication-required")
    assert stale.json()["ways"] == ["totp"]
    assert by_password.json()["code"] == "reauthentication-required"
    assert (by_code.status_code, removed.status_code) == (204, 204)
    assert (await client.post("/v1/me/recovery-codes")).json()["code"] == "totp-missing"


async def test_a_second_app_takes_the_removal_of_the_first(client, human, seed, now):
    await client.post("/v1/me/reauthentication", headers=human.headers, json={"code": now()})

    assert (await client.post("/v1/me/totp")).json()["code"] == "totp-exists"
    assert (await client.post("/v1/me/totp/confirm", json={"code": "1"})).json()["code"] == "totp-missing"


async def test_seeds_and_codes_are_not_in_the_database_in_clear(db, make, human, clock, admin_url):
    async with db.platform() as tx:
        seed = await totp.enroll(tx, SHELL, human.account.id)
        codes = await totp.confirm(tx, SHELL, KEYRING.pepper, human.account.id, pyotp.TOTP(seed).at(clock.now))
    connection = await asyncpg.connect(admin_url)
    rows = [
        await connection.fetchval(f"SELECT string_agg(to_jsonb(r)::text, ' ') FROM {table} r")
        for table in ("totps", "recovery_codes", "platform_audit_events", "platform_mails")
    ]
    await connection.close()

    everything = " ".join(rows)
    for secret in (seed, *codes):
        assert secret not in everything
        assert secret.encode().hex() not in everything


async def test_who_is_turned_down_is_in_the_audit_log(begin, finish, seed, admin_url):
    await finish(await begin(), "000000")

    connection = await asyncpg.connect(admin_url)
    [row] = await connection.fetch("SELECT * FROM platform_audit_events WHERE action = 'second-factor.refused'")
    await connection.close()
    assert row["outcome"] == "denied"
    assert row["target_id"].startswith("acc_")


async def test_a_changed_app_is_told_to_its_owner(client, human, seed, letters):
    assert [message.to for message in (await letters()).messages] == [human.account.email]
    assert isinstance(human, Human)
