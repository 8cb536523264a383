"""Coming in by a tenant's own identity provider: who is let in, as whom, and how far."""

from datetime import timedelta

import pytest

from controlplane.db import schema as t
from controlplane.domain import people
from controlplane.domain.sso import connections, identities
from controlplane.domain.sso.connections import Change
from tests import provider as providers
from tests.http.sso import Browser, connect, denials, refused, verified
from tests.make import SHELL

DOMAIN = "acme.example"


@pytest.fixture
async def provider(clock):
    async with providers.serving(clock) as provider:
        yield provider


@pytest.fixture
async def tenant(db, make):
    tenant = await make.tenant()
    await verified(db, tenant, DOMAIN)
    return tenant


@pytest.fixture
async def browser(app):
    browser = Browser(app)
    yield browser
    await browser.client.aclose()


def known(email):
    return {"email": email, "email_verified": True}


async def member(db, tenant, role="developer"):
    """Somebody of the tenant's own domain."""
    async with db.platform() as tx:
        account = await people.create_account(tx, SHELL, f"{role}@{DOMAIN}")
    async with db.tenant(tenant.tenant_id) as tx:
        await people.add_user(tx, SHELL, account, role)
    return account


async def test_an_address_of_a_verified_domain_leads_to_its_provider_and_back_in(db, make, tenant, provider, browser):
    await connect(db, tenant, provider)
    account = await member(db, tenant)

    url = await browser.leave(email=f"Developer@{DOMAIN.upper()}", next=f"/console/t/{tenant.slug}/sessions")
    location = await browser.come_back(provider.sign_in(url, **known(account.email)))

    assert location == f"/console/t/{tenant.slug}/sessions"
    me = (await browser.get("/v1/me")).json()
    assert (me["email"], me["scope"], [each["slug"] for each in me["tenants"]]) == (
        account.email,
        "tenants",
        [tenant.slug],
    )
    assert await browser.may_enter(tenant)


async def test_known_and_unknown_people_of_a_domain_are_answered_alike(db, make, tenant, provider, browser):
    await connect(db, tenant, provider)
    account = await member(db, tenant)

    for email in (account.email, f"nobody@{DOMAIN}"):
        assert (await browser.leave(email=email)).startswith(f"{provider.issuer}/authorize?")
    for email in ("nobody@elsewhere.example", "no address", ""):
        answer = await browser.client.post("/v1/auth/sso/start", json={"email": email})
        assert (answer.status_code, answer.json()["code"]) == (404, "sso-unavailable")


async def test_the_request_carries_pkce_a_nonce_and_no_secret(db, tenant, provider, browser):
    await connect(db, tenant, provider)

    url = await browser.leave(tenant=tenant.slug)

    assert "code_challenge_method=S256" in url
    assert "nonce=" in url
    assert "response_type=code" in url
    assert "secret" not in url


async def test_somebody_is_known_by_the_subject_and_by_nothing_else(db, make, tenant, provider, browser, app):
    await connect(db, tenant, provider)
    account = await member(db, tenant)
    await browser.sign_in(provider, "u-1", tenant=tenant.slug, **known(account.email))

    again = Browser(app)
    await again.sign_in(provider, "u-1", tenant=tenant.slug, email="renamed@elsewhere.example")
    assert (await again.get("/v1/me")).json()["email"] == account.email

    heir = Browser(app)
    location = await heir.sign_in(provider, "u-2", tenant=tenant.slug, **known(account.email))
    assert refused(location) == "sso-link-first"
    assert not await heir.may_enter(tenant)


@pytest.mark.parametrize(
    "claims",
    [
        {"email": f"developer@{DOMAIN}"},
        {"email": f"developer@{DOMAIN}", "email_verified": False},
        {"email": f"developer@{DOMAIN}", "email_verified": "false"},
        {"email": "developer@other.example", "email_verified": True},
        {"email": f"developer@sub.{DOMAIN}", "email_verified": True},
        {},
    ],
)
async def test_an_address_that_the_tenants_provider_cannot_vouch_for_connects_nobody(
    db, make, tenant, provider, browser, claims
):
    await connect(db, tenant, provider, default_role="viewer")
    await member(db, tenant)

    location = await browser.sign_in(provider, tenant=tenant.slug, **claims)

    assert refused(location) == "sso-link-first"
    assert "session" not in browser.client.cookies
    assert (await denials(db, tenant))[0].startswith("sso-link-first")


async def test_a_provider_that_never_says_whether_addresses_are_verified_can_be_trusted_with_ones_own(
    db, make, tenant, provider, browser
):
    await connect(db, tenant, provider, trusts_addresses=True)
    account = await member(db, tenant)

    assert refused(await browser.sign_in(provider, "u-2", tenant=tenant.slug, email="a@other.example"))
    await browser.sign_in(provider, "u-1", tenant=tenant.slug, email=account.email)

    assert await browser.may_enter(tenant)


@pytest.mark.parametrize("role", ["owner", "admin"])
async def test_whoever_could_set_up_the_provider_is_not_connected_by_an_address(
    db, make, tenant, provider, browser, role
):
    await connect(db, tenant, provider)
    account = await member(db, tenant, role)

    location = await browser.sign_in(provider, tenant=tenant.slug, **known(account.email))

    assert refused(location) == "sso-link-first"


async def test_somebody_new_comes_in_only_where_the_tenant_says_as_what(db, tenant, provider, browser, app):
    connection = await connect(db, tenant, provider)
    new = known(f"new@{DOMAIN}")
    assert refused(await browser.sign_in(provider, "u-9", tenant=tenant.slug, **new)) == "sso-not-let-in"

    async with db.tenant(tenant.tenant_id) as tx:
        await connections.change(tx, SHELL, connection.id, Change(default_role="viewer"))
    await browser.sign_in(provider, "u-9", tenant=tenant.slug, name="Nele New", **new)

    assert await browser.may_enter(tenant)
    [place] = (await browser.get("/v1/me")).json()["tenants"]
    assert place["roles"] == ["viewer"]


async def test_a_tenants_provider_answers_for_that_tenant_and_for_nothing_else(db, make, tenant, provider, browser):
    await connect(db, tenant, provider)
    account = await member(db, tenant)
    elsewhere = await make.tenant()
    async with db.tenant(elsewhere.tenant_id) as tx:
        await people.add_user(tx, SHELL, account, "owner")
    async with db.platform() as tx:
        await people.make_operator(tx, SHELL, account.id)

    await browser.sign_in(provider, tenant=tenant.slug, **known(account.email))

    assert await browser.may_enter(tenant)
    foreign = await browser.get(f"/v1/tenants/{elsewhere.slug}")
    absent = await browser.get("/v1/tenants/nowhere")
    assert (
        (foreign.status_code, foreign.json()["code"])
        == (absent.status_code, absent.json()["code"])
        == (404, "not-found")
    )
    assert (await browser.get("/v1/operator/tenants")).status_code == 404
    assert (await browser.get("/v1/me/sessions")).json()["code"] == "account-proof-required"
    assert (await browser.client.post("/v1/me/totp")).json()["code"] == "account-proof-required"
    assert (await browser.get(f"/console/t/{elsewhere.slug}/")).status_code == 404
    assert elsewhere.slug not in (await browser.get("/console/")).text
    me = (await browser.get("/v1/me")).json()
    assert me["operator_role"] is None
    assert [each["slug"] for each in me["tenants"]] == [tenant.slug]


async def test_an_enforced_tenant_is_entered_by_its_provider_only_and_others_as_before(
    db, make, tenant, provider, browser
):
    account = await member(db, tenant)
    elsewhere = await make.tenant()
    async with db.tenant(elsewhere.tenant_id) as tx:
        await people.add_user(tx, SHELL, account, "viewer")
    human = await make.signed_in(account)
    browser.client.cookies.set("session", human.session)
    assert await browser.may_enter(tenant)

    await connect(db, tenant, provider, enforced=True)
    answer = await browser.get(f"/v1/tenants/{tenant.slug}")
    assert (answer.status_code, answer.json()["code"]) == (403, "sso-required")
    assert answer.json()["may_break_glass"] is False
    assert await browser.may_enter(elsewhere)

    await browser.sign_in(provider, tenant=tenant.slug, **known(account.email))
    assert await browser.may_enter(tenant)
    assert await browser.may_enter(elsewhere)
    assert (await browser.get("/v1/me")).json()["scope"] == "account"


async def test_keys_of_machines_are_not_asked_for_single_sign_on(db, make, tenant, provider, client):
    await connect(db, tenant, provider, enforced=True)
    key = await make.api_key(tenant)

    assert (await client.get(f"/v1/tenants/{tenant.slug}", headers=key)).status_code == 200


async def test_whom_the_provider_does_not_know_is_not_invited_where_it_is_the_only_way(
    db, make, tenant, provider, client
):
    await connect(db, tenant, provider, enforced=True)
    key = await make.api_key(tenant)
    url = f"/v1/tenants/{tenant.slug}/invitations"

    outside = await client.post(url, headers=key, json={"email": "x@outside.example", "role": "viewer"})
    inside = await client.post(url, headers=key, json={"email": f"x@{DOMAIN}", "role": "viewer"})

    assert (outside.status_code, outside.json()["code"]) == (409, "sso-outside-domains")
    assert inside.status_code == 201


async def test_somebody_who_is_disabled_in_the_tenant_is_out_at_once_and_stays_out(db, make, tenant, provider, browser):
    await connect(db, tenant, provider, default_role="viewer")
    account = await member(db, tenant)
    await browser.sign_in(provider, tenant=tenant.slug, **known(account.email))
    assert await browser.may_enter(tenant)

    async with db.tenant(tenant.tenant_id) as tx:
        await tx.run(tx.update(t.users).where(t.users.c.account_id == account.id).values(status="disabled"))
        tx.audited = True

    assert not await browser.may_enter(tenant)
    assert refused(await browser.sign_in(provider, tenant=tenant.slug, **known(account.email))) == "sso-not-let-in"


async def test_a_connection_that_is_disabled_lets_nobody_in_and_ends_who_came_by_it(
    db, make, tenant, provider, browser
):
    connection = await connect(db, tenant, provider)
    account = await member(db, tenant)
    await browser.sign_in(provider, tenant=tenant.slug, **known(account.email))
    away = provider.sign_in(await browser.leave(tenant=tenant.slug), **known(account.email))

    async with db.tenant(tenant.tenant_id) as tx:
        await connections.change(tx, SHELL, connection.id, Change(status="disabled"))

    assert not await browser.may_enter(tenant)
    assert refused(await browser.come_back(away)) == "sso-unavailable"
    answer = await browser.client.post("/v1/auth/sso/start", json={"tenant": tenant.slug})
    assert answer.json()["code"] == "sso-unavailable"


async def test_a_member_who_is_signed_in_connects_themselves_with_a_fresh_proof(
    db, make, tenant, provider, browser, clock
):
    await connect(db, tenant, provider)
    account = await member(db, tenant, "owner")
    browser.client.cookies.set("session", (await make.signed_in(account)).session)
    clock.forward(timedelta(minutes=6))
    stale = await browser.client.post("/v1/auth/sso/link", json={"tenant": tenant.slug})
    assert stale.json()["code"] == "reauthentication-required"

    browser.client.cookies.set("session", (await make.signed_in(account)).session)
    url = (await browser.client.post("/v1/auth/sso/link", json={"tenant": tenant.slug})).json()["url"]
    assert await browser.come_back(provider.sign_in(url, "boss")) == "/console/account?done=sso"

    later = Browser(browser.app)
    await later.sign_in(provider, "boss", tenant=tenant.slug)
    assert (await later.get("/v1/me")).json()["email"] == account.email


async def test_nobody_connects_themselves_as_somebody_who_is_known(db, make, tenant, provider, browser):
    await connect(db, tenant, provider)
    answers = []
    for human in (await make.person(tenant), await make.person(tenant)):
        browser.client.cookies.set("session", human.session)
        url = (await browser.client.post("/v1/auth/sso/link", json={"tenant": tenant.slug})).json()["url"]
        answers.append(await browser.come_back(provider.sign_in(url, "the same")))

    assert answers == ["/console/account?done=sso", "/console/account?problem=sso-subject-taken"]


async def test_a_connection_begun_by_one_session_cannot_be_finished_in_another(db, make, tenant, provider, browser):
    await connect(db, tenant, provider)
    account = await member(db, tenant, "owner")
    browser.client.cookies.set("session", (await make.signed_in(account)).session)
    url = (await browser.client.post("/v1/auth/sso/link", json={"tenant": tenant.slug})).json()["url"]

    stranger = await make.person(tenant)
    browser.client.cookies.set("session", stranger.session)

    assert refused(await browser.come_back(provider.sign_in(url, "boss"))) == "sso-flow-over"


async def test_what_is_dangerous_takes_a_sign_in_that_the_provider_has_just_asked_for(
    db, make, tenant, provider, browser, clock
):
    connection = await connect(db, tenant, provider)
    account = await member(db, tenant, "admin")
    browser.client.cookies.set("session", (await make.signed_in(account)).session)
    url = (await browser.client.post("/v1/auth/sso/link", json={"tenant": tenant.slug})).json()["url"]
    await browser.come_back(provider.sign_in(url, "admin"))
    browser.client.cookies.clear()
    await browser.sign_in(provider, "admin", tenant=tenant.slug, auth_time=int(clock().timestamp()) - 3600)
    act = f"/v1/tenants/{tenant.slug}/sso-connections/sso_{'0' * 26}"
    answer = await browser.client.delete(act)
    assert (answer.json()["code"], answer.json()["ways"]) == ("reauthentication-required", ["sso"])

    url = (await browser.client.post("/v1/auth/sso/confirm")).json()["url"]
    assert "prompt=login" in url
    stale = provider.sign_in(url, "admin", auth_time=int(clock().timestamp()) - 3600)
    assert refused(await browser.come_back(stale)) == "sso-not-fresh"
    url = (await browser.client.post("/v1/auth/sso/confirm")).json()["url"]
    assert await browser.come_back(provider.sign_in(url, "admin")) == "/console/"

    assert (await browser.client.delete(act)).status_code == 404
    assert connection.id


async def test_an_owner_with_two_factors_breaks_the_glass_and_the_log_says_so(
    db, make, tenant, provider, browser, letters
):
    await connect(db, tenant, provider, enforced=True)
    owner = await make.person(tenant, "owner")
    browser.client.cookies.set("session", owner.session)
    answer = await browser.get(f"/v1/tenants/{tenant.slug}")
    assert answer.json()["may_break_glass"] is True
    weak = await browser.client.post("/v1/auth/sso/break-glass", json={"tenant": tenant.slug})
    assert weak.json()["code"] == "break-glass-refused"

    async with db.platform() as tx:
        await tx.run(tx.update(t.browser_sessions).values(auth_level=2))
    assert (await browser.client.post("/v1/auth/sso/break-glass", json={"tenant": tenant.slug})).status_code == 204

    assert await browser.may_enter(tenant)
    events = (await browser.get(f"/v1/tenants/{tenant.slug}/audit-events")).json()["data"]
    assert "sso.glass-broken" in [event["action"] for event in events]
    assert "without its single sign-on" in (await letters()).messages[-1].text


async def test_nobody_but_an_owner_breaks_the_glass(db, make, tenant, provider, browser):

    await connect(db, tenant, provider, enforced=True)
    admin = await make.person(tenant, "admin")
    stranger = await make.person()
    async with db.platform() as tx:
        await tx.run(tx.update(t.browser_sessions).values(auth_level=2))

    for human, code in ((admin, "break-glass-refused"), (stranger, "not-found")):
        browser.client.cookies.set("session", human.session)
        answer = await browser.client.post("/v1/auth/sso/break-glass", json={"tenant": tenant.slug})
        assert answer.json()["code"] == code
        assert not await browser.may_enter(tenant)


async def test_the_session_gets_a_new_token_when_it_opens_more(db, make, tenant, provider, browser):
    await connect(db, tenant, provider)
    account = await member(db, tenant)
    before = (await make.signed_in(account)).session
    browser.client.cookies.set("session", before)

    await browser.sign_in(provider, tenant=tenant.slug, **known(account.email))

    browser.client.cookies.clear()
    browser.client.cookies.set("session", before)
    assert (await browser.get("/v1/me")).status_code == 401


async def test_at_googles_it_has_to_be_an_account_of_the_organization(db, make, tenant, provider, browser, monkeypatch):

    monkeypatch.setattr(identities, "GOOGLE", provider.issuer)
    await connect(db, tenant, provider)
    account = await member(db, tenant)

    own = await browser.sign_in(provider, tenant=tenant.slug, **known(account.email))
    organization = await browser.sign_in(provider, tenant=tenant.slug, hd=DOMAIN, **known(account.email))

    assert refused(own) == "sso-link-first"
    assert organization == f"/console/t/{tenant.slug}/"
