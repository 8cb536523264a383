"""Letting people in by letter: what the tenant does, and what whoever got the letter does."""

import asyncio
from datetime import timedelta

import pytest

from controlplane.domain import invitations, people, tenants
from controlplane.http import limits
from tests.make import PASSWORD, SHELL

NEW = "new@example.com"


@pytest.fixture
async def tenant(make):
    return await make.tenant("acme")


@pytest.fixture
async def call(client, make, tenant):
    key = await make.api_key(tenant)

    async def call(method, path="", headers=None, **given):
        return await client.request(method, f"/v1/tenants/acme/invitations{path}", headers=headers or key, **given)

    return call


@pytest.fixture
def invite(call, letters):
    """Invites somebody and returns what stands after # in their letter."""

    async def invite(email=NEW, role="viewer"):
        made = await call("POST", json={"email": email, "role": role})
        assert made.status_code == 201, made.text
        return (await letters()).secret(email)

    return invite


@pytest.fixture
def accept(client):
    async def accept(token, headers=None, **given):
        body = {"token": token, **given}
        return await client.post("/v1/auth/invitations/accept", json=body, headers=headers)

    return accept


async def test_somebody_without_an_account_joins_with_a_password(client, invite, accept, call):
    token = await invite(role="developer")

    shown = await client.post("/v1/auth/invitations/show", json={"token": token})
    joined = await accept(token, name="Nora New", password=PASSWORD)

    expected = {"tenant": "acme", "tenant_name": "Acme", "email": NEW, "role": "developer", "account": False}
    assert shown.json() == expected
    assert (joined.status_code, joined.json()) == (200, {"tenant": "acme", "role": "developer"})
    me = (await client.get("/v1/me")).json()
    assert (me["email"], me["name"], me["tenants"][0]["roles"]) == (NEW, "Nora New", ["developer"])
    [invitation] = (await call("GET")).json()["data"]
    assert (invitation["status"], invitation["accepted_at"]) == ("accepted", "2026-01-01T00:00:00.000Z")


async def test_somebody_with_an_account_signs_in_first(client, make, invite, accept):
    account = await make.account(password=PASSWORD)
    token = await invite(account.email)

    stranger = await accept(token, password="another sentence entirely")
    human = await make.signed_in(account)
    joined = await accept(token, human.headers)

    assert (stranger.status_code, stranger.json()["code"]) == (401, "invitation-needs-sign-in")
    assert joined.status_code == 200, joined.text
    assert "set-cookie" not in joined.headers
    assert (await client.get("/v1/me", headers=human.headers)).json()["tenants"][0]["slug"] == "acme"


async def test_an_account_that_nobody_could_ever_sign_in_to_is_the_invited_ones_to_take(client, make, invite, accept):
    account = await make.account()
    token = await invite(account.email)

    joined = await accept(token, password=PASSWORD)

    assert joined.status_code == 200, joined.text
    assert (await client.get("/v1/me")).json()["email"] == account.email


async def test_another_account_cannot_take_it(make, invite, accept):
    token, human = await invite(), await make.person()

    answer = await accept(token, human.headers)

    assert (answer.status_code, answer.json()["code"]) == (403, "invitation-for-another")


async def test_without_a_password_there_is_no_new_account(invite, accept):
    token = await invite()

    without, short = await accept(token), await accept(token, password="short")
    again = await accept(token, password=PASSWORD)

    assert without.json()["code"] == "invitation-needs-password"
    assert short.json()["code"] == "password-unfit"
    assert again.status_code == 200


async def test_it_works_once_also_for_those_who_hurry(make, invite, accept):
    account = await make.account(password=PASSWORD)
    token, human = await invite(account.email), await make.signed_in(account)

    answers = await asyncio.gather(*(accept(token, human.headers) for _ in range(3)))
    late = await accept(token, human.headers)

    assert sorted(answer.status_code for answer in answers) == [200, 410, 410]
    assert (late.status_code, late.json()["code"]) == (410, "invitation-invalid")


async def test_unknown_used_revoked_expired_and_replaced_links_are_told_the_same(call, invite, accept, clock, letters):
    used, revoked, replaced, expired = [await invite(f"{name}@example.com") for name in "abcd"]
    ids = {each["email"][0]: each["id"] for each in (await call("GET")).json()["data"]}
    await accept(used, password=PASSWORD)
    await call("DELETE", f"/{ids['b']}")
    await call("POST", f"/{ids['c']}/resend")
    clock.forward(invitations.LIFETIME)

    answers = [await accept(token, password=PASSWORD) for token in ("x" * 43, used, revoked, replaced, expired)]

    assert {answer.status_code for answer in answers} == {410}
    assert len({answer.json()["hint"] + answer.json()["code"] + answer.json()["detail"] for answer in answers}) == 1


async def test_sending_it_again_gives_a_new_link_and_a_new_week(call, invite, accept, clock, letters):
    first = await invite()
    [invitation] = (await call("GET")).json()["data"]
    clock.forward(timedelta(days=6))

    again = await call("POST", f"/{invitation['id']}/resend")
    second = (await letters()).secret(NEW)
    clock.forward(timedelta(days=6))

    assert again.json()["sent_at"] == "2026-01-07T00:00:00.000Z"
    assert (await accept(first, password=PASSWORD)).status_code == 410
    assert (await accept(second, password=PASSWORD)).status_code == 200


async def test_what_is_over_is_not_sent_again(call, invite, accept):
    token = await invite()
    [invitation] = (await call("GET")).json()["data"]
    await accept(token, password=PASSWORD)

    again = await call("POST", f"/{invitation['id']}/resend")

    assert (again.status_code, again.json()["code"]) == (409, "invitation-closed")


async def test_one_address_has_one_open_invitation(call, invite):
    await invite()

    again = await call("POST", json={"email": NEW.upper(), "role": "viewer"})
    [first] = (await call("GET")).json()["data"]
    await call("DELETE", f"/{first['id']}")
    after = await call("POST", json={"email": NEW, "role": "viewer"})

    assert (again.status_code, again.json()["code"]) == (409, "invitation-exists")
    assert again.json()["invitation"] == first["id"]
    assert after.status_code == 201


async def test_who_is_in_the_tenant_is_not_invited(call, make, tenant):
    human = await make.person(tenant)

    answer = await call("POST", json={"email": human.account.email, "role": "viewer"})

    assert (answer.status_code, answer.json()["code"]) == (409, "user-exists")


async def test_inviting_tells_nothing_about_accounts(call, make):
    account = await make.account(password=PASSWORD)

    known, unknown = [await call("POST", json={"email": at, "role": "viewer"}) for at in (account.email, NEW)]

    kept = ("role", "status", "invited_by", "created_at", "expires_at", "accepted_at")
    assert known.status_code == unknown.status_code == 201
    assert [known.json()[name] for name in kept] == [unknown.json()[name] for name in kept]
    assert known.json().keys() == unknown.json().keys()


@pytest.mark.parametrize("email", ["", "nobody", "a b@c.example", "x@"])
async def test_what_is_no_address_is_refused(call, email):
    assert (await call("POST", json={"email": email, "role": "viewer"})).json()["code"] == "email-invalid"


async def test_nobody_invites_to_a_role_that_holds_more_than_they_do(client, make, tenant, call):
    admin, user_admin = await make.api_key(tenant, "admin"), await make.api_key(tenant, "user_admin")
    made = (await call("POST", json={"email": NEW, "role": "owner"})).json()

    as_admin = await call("POST", headers=admin, json={"email": "x@example.com", "role": "owner"})
    as_user_admin = await call("POST", headers=user_admin, json={"email": "x@example.com", "role": "admin"})
    again = await call("POST", f"/{made['id']}/resend", headers=admin)

    assert {answer.json()["code"] for answer in (as_admin, as_user_admin, again)} == {"role-not-yours"}


async def test_the_link_is_in_the_letter_and_nowhere_else(call, invite, logged):
    token = await invite()
    [listed] = (await call("GET")).json()["data"]

    assert token not in str(listed) + logged.getvalue()
    assert not {"token", "link", "token_hash"} & listed.keys()


async def test_many_are_invited_at_once_each_for_itself(call, make, tenant, letters):
    human = await make.person(tenant)
    wanted = [
        {"email": "a@example.com", "role": "viewer"},
        {"email": "not an address", "role": "viewer"},
        {"email": human.account.email, "role": "viewer"},
        {"email": "A@example.com", "role": "viewer"},
        {"email": "b@example.com", "role": "auditor"},
    ]

    answer = await call("POST", "/batch", json={"invitations": wanted})

    codes = [each["code"] for each in answer.json()["data"]]
    assert codes == [None, "email-invalid", "user-exists", "invitation-exists", None]
    assert (answer.json()["invited"], answer.json()["refused"]) == (2, 3)
    assert {message.to for message in (await letters()).messages} == {"a@example.com", "b@example.com"}


async def test_of_many_all_can_be_refused(call, invite):
    await invite()

    answer = await call("POST", "/batch", json={"invitations": [{"email": NEW, "role": "viewer"}]})

    assert (answer.status_code, answer.json()["refused"]) == (200, 1)


async def test_at_most_a_hundred_at_once(call):
    wanted = [{"email": f"p{number}@example.com", "role": "viewer"} for number in range(101)]

    assert (await call("POST", "/batch", json={"invitations": wanted})).status_code == 400
    assert (await call("POST", "/batch", json={"invitations": []})).status_code == 400


async def test_nobodys_letter_box_is_filled(call, invite, monkeypatch):
    monkeypatch.setattr(limits, "INVITE_ONE", limits.Rate(burst=2, every=timedelta(hours=1)))
    await invite()
    [made] = (await call("GET")).json()["data"]

    answers = [await call("POST", f"/{made['id']}/resend") for _ in range(2)]

    assert [answer.status_code for answer in answers] == [200, 429]


async def test_a_suspended_tenant_lets_nobody_in(db, tenant, invite, accept):
    token = await invite()
    async with db.tenant(tenant.tenant_id) as tx:
        await tenants.suspend(tx, SHELL, "unpaid")

    answer = await accept(token, password=PASSWORD)

    assert (answer.status_code, answer.json()["code"]) == (403, "tenant-suspended")


async def test_lists_can_be_narrowed_to_what_is_open(call, invite, accept, clock):
    tokens = {name: await invite(f"{name}@example.com") for name in "ab"}
    await accept(tokens["a"], password=PASSWORD)

    found = {
        status: [each["email"][0] for each in (await call("GET", params={"status": status})).json()["data"]]
        for status in ("pending", "accepted", "revoked", "expired")
    }
    clock.forward(invitations.LIFETIME)

    assert found == {"pending": ["b"], "accepted": ["a"], "revoked": [], "expired": []}
    assert len((await call("GET", params={"status": "expired"})).json()["data"]) == 1


async def test_everything_is_in_the_tenants_audit_log(client, make, tenant, call, invite, accept):
    key = await make.api_key(tenant)
    token = await invite()
    [made] = (await call("GET")).json()["data"]
    await call("POST", f"/{made['id']}/resend")
    await call("DELETE", f"/{made['id']}")
    await call("DELETE", f"/{made['id']}")

    events = (await client.get("/v1/tenants/acme/audit-events", headers=key)).json()["data"]

    actions = [event["action"] for event in events if event["target"]["id"] == made["id"]]
    assert actions == ["invitation.revoked", "invitation.resent", "invitation.created"]
    assert NEW not in str(events)
    assert token not in str(events)


async def test_whoever_accepts_is_named_in_the_audit_log(db, client, make, tenant, invite, accept):
    key = await make.api_key(tenant)
    await accept(await invite(), password=PASSWORD)
    async with db.platform() as tx:
        account = await people.by_email(tx, NEW)

    events = (await client.get("/v1/tenants/acme/audit-events", headers=key)).json()["data"]

    actors = {event["action"]: event["actor"]["kind"] for event in events}
    assert (actors["invitation.accepted"], actors["user.added"]) == ("account", "account")
    assert account is not None
