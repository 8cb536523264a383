"""Passkeys: made, used, and refused, with an authenticator in software."""

import asyncio
import base64
from datetime import timedelta

import httpx
import pytest

from controlplane.app import build
from controlplane.db import schema as t
from controlplane.domain import ceremonies, passkeys
from controlplane.settings import Settings
from tests.authenticator import PRESENT, Authenticator, b64, unb64
from tests.conftest import KEYRING
from tests.make import PASSWORD


@pytest.fixture
async def human(make):
    return await make.signed_in(await make.account(password=PASSWORD))


@pytest.fixture
def device():
    return Authenticator()


@pytest.fixture
def add(client, human):
    """Makes a passkey for somebody and returns the answer."""

    async def add(device, whose=human, name="Laptop"):
        asked = (await client.post("/v1/me/passkeys/options", headers=whose.headers)).json()
        body = {"ticket": asked["ticket"], "credential": device.create(asked["public_key"]), "name": name}
        return await client.post("/v1/me/passkeys", headers=whose.headers, json=body)

    return add


@pytest.fixture
def sign_in(client):
    async def sign_in(device, change=lambda asked, credential: None):
        asked = (await client.post("/v1/auth/passkey/options")).json()
        credential = device.get(asked["public_key"])
        change(asked, credential)
        body = {"ticket": asked["ticket"], "credential": credential}
        return await client.post("/v1/auth/passkey", json=body)

    return sign_in


@pytest.fixture
async def made(add, device):
    answer = await add(device)
    assert answer.status_code == 201, answer.text
    return answer.json()


async def test_a_passkey_signs_in_by_itself(client, human, device, made, sign_in):
    asked = (await client.post("/v1/auth/passkey/options")).json()["public_key"]
    assert (asked["rpId"], asked["userVerification"], asked.get("allowCredentials", [])) == ("test", "required", [])

    answer = await sign_in(device)

    assert answer.status_code == 204, answer.text
    me = (await client.get("/v1/me")).json()
    assert (me["email"], me["factors"]["passkeys"]) == (human.account.email, 1)
    listed = (await client.get("/v1/me/passkeys")).json()["data"]
    assert [(each["name"], each["last_used_at"] is not None, each["backed_up"]) for each in listed] == [
        ("Laptop", True, True)
    ]


async def test_what_is_asked_of_a_new_one(client, human, device, made, sign_in):
    await sign_in(device)

    asked = (await client.post("/v1/me/passkeys/options")).json()["public_key"]

    assert asked["rp"] == {"id": "test", "name": "Engine Cloud"}
    assert asked["authenticatorSelection"]["residentKey"] == "required"
    assert asked["authenticatorSelection"]["userVerification"] == "required"
    assert len(asked["excludeCredentials"]) == 1
    assert human.account.email.encode() not in unb64(asked["user"]["id"])


async def test_a_challenge_is_good_for_one_answer(client, device, made):
    asked = (await client.post("/v1/auth/passkey/options")).json()
    body = {"ticket": asked["ticket"], "credential": device.get(asked["public_key"])}

    answers = await asyncio.gather(*(client.post("/v1/auth/passkey", json=body) for _ in range(3)))

    assert sorted(answer.status_code for answer in answers) == [204, 401, 401]
    assert {answer.json()["code"] for answer in answers if answer.status_code == 401} == {"ticket-invalid"}


async def test_a_challenge_lasts_five_minutes(client, device, made, clock):
    asked = (await client.post("/v1/auth/passkey/options")).json()
    clock.forward(ceremonies.LIFETIME)

    answer = await client.post(
        "/v1/auth/passkey", json={"ticket": asked["ticket"], "credential": device.get(asked["public_key"])}
    )

    assert answer.json()["code"] == "ticket-invalid"


def _of_another_challenge(device):
    def change(asked, credential):
        credential.update(device.get({**asked["public_key"], "challenge": b64(bytes(32))}))

    return change


def _elsewhere(device):
    def change(asked, credential):
        device.origin = "https://test.evil.example"
        credential.update(device.get(asked["public_key"]))

    return change


def _for_another_site(device):
    def change(asked, credential):
        credential.update(device.get({**asked["public_key"], "rpId": "evil.example"}))

    return change


def _unverified(device):
    def change(asked, credential):
        device.flags = PRESENT
        credential.update(device.get(asked["public_key"]))

    return change


def _forged(_device):
    def change(_asked, credential):
        signature = bytearray(unb64(credential["response"]["signature"]))
        signature[-1] ^= 1
        credential["response"]["signature"] = b64(bytes(signature))

    return change


def _unknown(_device):
    def change(asked, credential):
        other = Authenticator()
        credential.update(other.get(asked["public_key"]))

    return change


def _of_another_account(_device):
    def change(_asked, credential):
        credential["response"]["userHandle"] = b64(bytes(32))

    return change


def _garbled(_device):
    def change(_asked, credential):
        credential["response"]["authenticatorData"] = base64.b64encode(b"x").decode()

    return change


def _not_base64(_device):
    def change(_asked, credential):
        credential["rawId"] = credential["id"] = "é%"

    return change


LIES = [_of_another_challenge, _elsewhere, _for_another_site, _unverified, _forged, _unknown, _of_another_account]


@pytest.mark.parametrize("lie", [*LIES, _garbled, _not_base64])
async def test_an_answer_that_is_not_right_in_every_part_is_refused(device, made, sign_in, lie):
    answer = await sign_in(device, lie(device))

    assert (answer.status_code, answer.json()["code"]) == (401, "passkey-refused"), answer.text
    assert "set-cookie" not in answer.headers


async def test_a_copy_betrays_itself_by_its_counter(add, sign_in):
    device = Authenticator(counts=True)
    await add(device)
    assert (await sign_in(device)).status_code == 204
    device.sign_count -= 1

    assert (await sign_in(device)).json()["code"] == "passkey-refused"


@pytest.mark.parametrize("lie", ["origin", "flags"])
async def test_a_new_one_that_is_not_for_here_is_refused(add, device, lie):
    setattr(device, lie, {"origin": "http://other", "flags": PRESENT}[lie])

    assert (await add(device)).json()["code"] == "passkey-refused"


async def test_a_passkey_belongs_to_one_account(add, device, made, make):
    other = await make.signed_in(await make.account())

    assert (await add(device, other)).json()["code"] == "passkey-exists"


async def test_a_ticket_belongs_to_the_session_that_got_it(client, human, make, device):
    other = await make.signed_in(await make.account())
    asked = (await client.post("/v1/me/passkeys/options", headers=human.headers)).json()
    body = {"ticket": asked["ticket"], "credential": device.create(asked["public_key"])}

    answer = await client.post("/v1/me/passkeys", headers=other.headers, json=body)

    assert answer.json()["code"] == "ticket-invalid"


async def test_an_account_has_room_for_so_many(client, human, made, device, sign_in, monkeypatch):
    monkeypatch.setattr(passkeys, "MOST", 1)
    await sign_in(device)

    answer = await client.post("/v1/me/passkeys/options")

    assert (answer.status_code, answer.json()["code"]) == (409, "passkeys-full")


async def test_it_is_renamed_and_removed_by_its_owner_only(client, human, make, device, made, sign_in):
    other, at = await make.signed_in(await make.account()), f"/v1/me/passkeys/{made['id']}"

    foreign = [
        await client.patch(at, headers=other.headers, json={"name": "mine"}),
        await client.delete(at, headers=other.headers),
        await client.delete(f"{at[:-6]}000000", headers=other.headers),
    ]
    renamed = await client.patch(at, headers=human.headers, json={"name": "Old laptop"})
    await sign_in(device)
    removed = await client.delete(at)

    assert {answer.status_code for answer in foreign} == {404}
    assert renamed.json()["name"] == "Old laptop"
    assert removed.status_code == 204
    assert (await sign_in(device)).json()["code"] == "passkey-refused"


async def test_with_a_passkey_only_the_passkey_is_proof_enough(client, human, device, made):
    stale = await client.delete(f"/v1/me/passkeys/{made['id']}", headers=human.headers)
    by_password = await client.post("/v1/me/reauthentication", headers=human.headers, json={"password": PASSWORD})
    asked = (await client.post("/v1/me/reauthentication/passkey/options", headers=human.headers)).json()
    body = {"ticket": asked["ticket"], "credential": device.get(asked["public_key"])}
    by_passkey = await client.post("/v1/me/reauthentication/passkey", headers=human.headers, json=body)
    removed = await client.delete(f"/v1/me/passkeys/{made['id']}")

    assert (stale.json()["code"], stale.json()["ways"]) == ("reauthentication-required", ["passkey"])
    assert by_password.json()["code"] == "reauthentication-required"
    assert (by_passkey.status_code, removed.status_code) == (204, 204)


async def test_somebody_elses_passkey_is_no_proof_of_mine(client, human, make, made, add):
    other, theirs = await make.signed_in(await make.account()), Authenticator()
    assert (await add(theirs, other)).status_code == 201
    asked = (await client.post("/v1/me/reauthentication/passkey/options", headers=human.headers)).json()

    body = {"ticket": asked["ticket"], "credential": theirs.get(asked["public_key"])}
    answer = await client.post("/v1/me/reauthentication/passkey", headers=human.headers, json=body)

    assert answer.json()["code"] == "passkey-refused"


async def test_a_ticket_of_one_kind_is_none_of_another(client, human, device, made):
    asked = (await client.post("/v1/auth/passkey/options")).json()
    body = {"ticket": asked["ticket"], "credential": device.get(asked["public_key"])}

    answer = await client.post("/v1/me/reauthentication/passkey", headers=human.headers, json=body)

    assert answer.json()["code"] == "ticket-invalid"


async def test_under_an_address_without_a_name_there_are_none(db, human):
    app = build(db, KEYRING, Settings(public_url="http://127.0.0.1:8700"), with_chores=False)
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        answer = await client.post("/v1/auth/passkey/options")

    assert (answer.status_code, answer.json()["code"]) == (409, "passkeys-unavailable")


async def test_a_disabled_account_does_not_sign_in(db, device, made, sign_in):
    async with db.platform() as tx:
        await tx.run(tx.update(t.accounts).values(status="disabled"))
        tx.audited = True

    assert (await sign_in(device)).json()["code"] == "passkey-refused"


async def test_a_proof_is_fresh_for_five_minutes(client, human, device, made, sign_in, clock):
    await sign_in(device)
    clock.forward(timedelta(minutes=5, seconds=1))

    answer = await client.delete(f"/v1/me/passkeys/{made['id']}")

    assert answer.json()["code"] == "reauthentication-required"
