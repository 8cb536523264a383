"""Operators who come in by the platform's own identity provider: as operators, and as nothing else."""

from datetime import timedelta

import pytest
from msgspec import Struct
from msgspec.structs import replace
from sqlalchemy import text

from controlplane.db import schema as t
from controlplane.domain import people
from controlplane.domain.permissions import FRESH_FOR
from controlplane.http.sso.desk import Operators
from controlplane.kit.ids import text_id
from controlplane.kit.secret import Secret
from tests import provider as providers
from tests.http.sso import Browser, connect, refused, verified
from tests.make import SHELL

REFUSED = text("SELECT facts ->> 'why' FROM platform_audit_events WHERE action = 'sso.refused'")


class Why(Struct):
    why: str


@pytest.fixture
async def provider(clock):
    async with providers.serving(clock) as provider:
        yield provider


@pytest.fixture
def app(app, provider):
    """One whose platform has a provider of its own."""
    given = Operators(
        issuer=provider.issuer, client_id=provider.client_id, client_secret=Secret(provider.client_secret)
    )
    app.state.sign_on = replace(app.state.sign_on, operators=given)
    return app


@pytest.fixture
async def browser(app):
    browser = Browser(app)
    yield browser
    await browser.client.aclose()


@pytest.fixture
def link(browser, provider):
    """Somebody who is signed in says who they are at the provider."""

    async def link(human, sub="op-1"):
        browser.client.cookies.set("session", human.session)
        answer = await browser.client.post("/v1/auth/sso/link", json={})
        assert answer.status_code == 200, answer.text
        there = provider.sign_in(answer.json()["url"], sub)
        location = await browser.come_back(there)
        browser.client.cookies.delete("session")
        return location

    return link


@pytest.fixture
def sign_in(browser, provider):
    async def sign_in(sub="op-1", **claims):
        return await browser.come_back(provider.sign_in(await browser.leave(operators=True), sub, **claims))

    return sign_in


async def test_who_has_said_who_they_are_comes_in_as_an_operator(make, link, sign_in, browser):
    operator = await make.operator()
    await link(operator)

    assert await sign_in() == "/console/"

    me = (await browser.get("/v1/me")).json()
    assert (me["id"], me["scope"]) == (text_id("acc", operator.account.id), "operators")
    assert (await browser.get("/v1/operator/tenants")).status_code == 200


async def test_what_belongs_to_the_account_or_to_a_tenant_stays_closed(db, make, link, sign_in, browser):
    operator = await make.operator()
    tenant = await make.tenant()
    async with db.tenant(tenant.tenant_id) as tx:
        await people.add_user(tx, SHELL, operator.account, "owner")
    await link(operator)
    await sign_in()

    assert (await browser.get("/v1/me/sessions")).json()["code"] == "account-proof-required"
    assert (await browser.get(f"/v1/tenants/{tenant.slug}")).status_code == 404
    assert (await browser.get(f"/v1/operator/tenants/{tenant.slug}")).status_code == 200


async def test_whom_nobody_has_named_is_turned_down_and_on_record(db, make, sign_in, browser):
    await make.operator()

    assert refused(await sign_in("a-stranger")) == "sso-link-first"

    assert (await browser.get("/v1/me")).status_code == 401
    async with db.platform() as tx:
        [why] = await tx.query(Why, REFUSED)
    assert why.why.startswith("sso-link-first")


async def test_only_an_operator_says_so(make, link, browser):
    owner = await make.person()

    assert (await link(owner)).startswith("/console/account?problem=sso-not-let-in")


async def test_one_person_there_is_one_operator_here(make, link):
    await link(await make.operator())

    assert (await link(await make.operator())).startswith("/console/account?problem=")


async def test_a_disabled_account_stays_out(db, make, link, sign_in):
    operator = await make.operator()
    await link(operator)
    async with db.platform() as tx:
        await tx.run(tx.update(t.accounts).where(t.accounts.c.id == operator.account.id).values(status="disabled"))
        tx.audited = True

    assert refused(await sign_in()) == "sso-not-let-in"


async def test_the_same_provider_of_a_tenant_makes_nobody_an_operator(db, make, provider, link, browser):
    """Who connects the platform's provider to a tenant of theirs knows its people, not what they are here."""
    await link(await make.operator())
    tenant = await make.tenant()
    await verified(db, tenant, "acme.example")
    await connect(db, tenant, provider, default_role="viewer")

    await browser.sign_in(provider, "op-1", tenant=tenant.slug, email="op@acme.example", email_verified=True)

    assert (await browser.get("/v1/me")).json()["scope"] == "tenants"
    assert (await browser.get("/v1/operator/tenants")).status_code == 404


async def test_what_is_dangerous_takes_a_fresh_proof_from_the_provider(clock, make, provider, link, sign_in, browser):
    tenant = await make.tenant()
    await link(await make.operator())
    await sign_in()
    clock.forward(FRESH_FOR + timedelta(seconds=1))
    path = f"/v1/operator/tenants/{tenant.slug}/suspend"
    before = await browser.client.post(path, json={"reason": "asked to"})
    assert before.json()["code"] == "reauthentication-required"

    answer = await browser.client.post("/v1/auth/sso/confirm")
    await browser.come_back(provider.sign_in(answer.json()["url"], "op-1", auth_time=int(clock().timestamp())))

    assert (await browser.client.post(path, json={"reason": "asked to"})).status_code == 200


async def test_without_a_provider_of_its_own_the_platform_says_so(app, browser):
    app.state.sign_on = replace(app.state.sign_on, operators=None)

    answer = await browser.client.post("/v1/auth/sso/start", json={"operators": True})

    assert (answer.status_code, answer.json()["code"]) == (404, "sso-unavailable")
