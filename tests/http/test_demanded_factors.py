"""A tenant that takes a second factor of its people: who is let in, who is led where, and who may demand it."""

import re
from datetime import timedelta
from urllib.parse import quote

import pyotp
import pytest

from controlplane.domain import sign_ins, tenants
from controlplane.domain.permissions import FRESH_FOR
from controlplane.domain.sign_ins import PASSKEY
from controlplane.domain.sso import entries
from controlplane.http.signing_in import TWO_FACTORS
from tests.http.agents import code
from tests.make import SHELL

SETTINGS = "/console/t/acme/settings"


@pytest.fixture
async def tenant(make):
    return await make.tenant("acme")


@pytest.fixture
def call(client):
    async def call(method, path, headers, **given):
        return await client.request(method, f"/v1/tenants/acme{path}", headers={**headers, "If-Match": "*"}, **given)

    return call


@pytest.fixture
async def demanded(db, tenant):
    async with db.tenant(tenant.tenant_id) as tx:
        return await tenants.demand_second_factor(tx, SHELL, True)


@pytest.fixture
async def one_factor(make, tenant):
    return await make.person(tenant)


@pytest.fixture
async def two_factors(make, one_factor):
    """The same owner, who has shown both."""
    return await make.signed_in(one_factor.account, TWO_FACTORS)


async def test_who_has_shown_one_factor_reaches_themselves_and_nothing_of_the_tenant(
    client, make, demanded, call, one_factor
):
    refused = await call("GET", "/sessions", one_factor.headers)
    me = await client.get("/v1/me", headers=one_factor.headers)
    enrolling = await client.post("/v1/me/totp", headers=one_factor.headers)
    stranger = await call("GET", "/sessions", (await make.person()).headers)

    assert code(refused) == (403, "mfa-required")
    assert (refused.json()["tenant"], refused.json()["ways"]) == ("acme", [])
    assert (me.status_code, enrolling.status_code) == (200, 201)
    assert code(stranger) == (404, "not-found")


async def test_two_factors_and_a_passkey_and_every_program_come_in(make, demanded, call, one_factor, two_factors):
    by_passkey = await make.signed_in(one_factor.account, PASSKEY)

    for headers in (two_factors.headers, by_passkey.headers, await make.api_key(demanded)):
        assert (await call("GET", "/sessions", headers)).status_code == 200


async def test_whom_the_tenant_itself_has_let_in_is_asked_for_nothing_more(db, demanded, call, one_factor):
    async with db.platform() as tx:
        [session] = await sign_ins.sessions_of(tx, one_factor.account.id)
        await entries.break_glass(tx, SHELL, session.id, demanded.tenant_id)

    assert (await call("GET", "/sessions", one_factor.headers)).status_code == 200
    for wanted in (False, True):
        changed = await call("PATCH", "/settings", one_factor.headers, json={"mfa_required": wanted})
        assert changed.json()["mfa_required"] is wanted


async def test_whoever_adds_an_app_is_in_with_the_same_session(client, demanded, call, one_factor, clock):
    seed = (await client.post("/v1/me/totp", headers=one_factor.headers)).json()["secret"]

    added = await client.post(
        "/v1/me/totp/confirm", headers=one_factor.headers, json={"code": pyotp.TOTP(seed).at(clock.now)}
    )

    assert added.status_code == 200
    assert (await call("GET", "/sessions", {})).status_code == 200
    assert (await client.get("/v1/me", headers=one_factor.headers)).status_code == 401


async def test_who_has_one_and_did_not_show_it_is_asked_for_it(client, make, demanded, call, one_factor):
    await make.totp(one_factor)

    refused = await call("GET", "/sessions", one_factor.headers)
    asked = await client.get("/console/t/acme/sessions?q=x", headers=one_factor.headers)

    assert (code(refused), refused.json()["ways"]) == ((403, "mfa-required"), ["totp"])
    then = quote("/console/t/acme/sessions?q=x", safe="")
    assert (asked.status_code, asked.headers["location"]) == (303, f"/console/confirm?next={then}")


async def test_the_console_leads_to_adding_one_and_back(client, make, tenant, db, clock):
    human = await make.person(tenant, "viewer")
    client.cookies.set("session", human.session)
    async with db.tenant(tenant.tenant_id) as tx:
        await tenants.demand_second_factor(tx, SHELL, True)

    refused = await client.get("/console/t/acme/sessions")
    [onward] = re.findall(r'href="(/console/account\?next=[^"]+)"', refused.text)
    account = (await client.get(onward)).text
    [add] = re.findall(r'action="(/console/account/totp\?[^"]+)"', account)
    app = await client.get((await client.post(add)).headers["location"])
    [confirm] = re.findall(r'action="(/console/account/totp/confirm\?[^"]+)"', app.text)
    seed = re.search(r"<code>([A-Z2-7]{32})</code>", app.text)[1]
    done = await client.post(confirm, data={"code": pyotp.TOTP(seed).at(clock.now)})
    [back] = re.findall(r'href="([^"]+)">I have kept them', done.text)

    assert refused.status_code == 403
    assert "takes a second factor" in account
    assert back == "/console/t/acme/sessions"
    assert (await client.get(back)).status_code == 200
    assert "/evil" not in (await client.get("/console/account?next=https://x.example/evil")).text


async def test_an_owner_who_has_shown_two_demands_it_of_everybody(db, tenant, call, one_factor, two_factors):
    without = await call("PATCH", "/settings", one_factor.headers, json={"mfa_required": True})
    turned_on = await call("PATCH", "/settings", two_factors.headers, json={"mfa_required": True})
    again = await call("PATCH", "/settings", two_factors.headers, json={"mfa_required": True})
    turned_off = await call("PATCH", "/settings", two_factors.headers, json={"mfa_required": False})
    events = (await call("GET", "/audit-events", one_factor.headers)).json()["data"]

    assert code(without) == (403, "mfa-required")
    assert [each.json()["mfa_required"] for each in (turned_on, again, turned_off)] == [True, True, False]
    told = [(each["action"], each["facts"]) for each in events[:2]]
    assert told == [("tenant.mfa-changed", {"required": False}), ("tenant.mfa-changed", {"required": True})]


async def test_nobody_else_demands_it_and_nobody_without_a_fresh_proof(make, tenant, call, two_factors, clock):
    admin = await make.signed_in((await make.person(tenant, "admin")).account, TWO_FACTORS)
    by_admin = await call("PATCH", "/settings", admin.headers, json={"mfa_required": True})
    clock.forward(FRESH_FOR + timedelta(seconds=1))
    stale = await call("PATCH", "/settings", two_factors.headers, json={"mfa_required": True})
    renamed = await call("PATCH", "/settings", two_factors.headers, json={"name": "Acme"})

    assert (code(by_admin), by_admin.json()["permission"]) == ((403, "permission-denied"), "tenant:own")
    assert code(stale) == (403, "reauthentication-required")
    assert renamed.status_code == 200


async def test_owners_turn_it_on_and_off_in_the_console(client, make, db, tenant, one_factor, two_factors):
    async def press(human, to):
        headers = {**human.headers, "referer": f"http://test{SETTINGS}"}
        return await client.post(f"{SETTINGS}/second-factor", headers=headers, data={"to": to})

    async def stands():
        async with db.tenant(tenant.tenant_id) as tx:
            return (await tenants.get(tx)).mfa_required

    admin = await make.signed_in((await make.person(tenant, "admin")).account, TWO_FACTORS)

    assert ((await press(one_factor, "on")).status_code, await stands()) == (403, False)
    assert ((await press(admin, "on")).status_code, await stands()) == (403, False)
    assert ((await press(two_factors, "on")).headers["location"], await stands()) == (SETTINGS, True)
    assert "Let people in with one factor" in (await client.get(SETTINGS, headers=two_factors.headers)).text
    assert ((await press(two_factors, "off")).headers["location"], await stands()) == (SETTINGS, False)
