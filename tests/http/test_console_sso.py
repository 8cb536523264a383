"""Single sign-on in the console: set up step by step, begun, refused in words, confirmed and ended."""

import re

import pytest

from controlplane.domain.sso import connections
from controlplane.http.signing_in import TWO_FACTORS
from tests import provider as providers
from tests.http.sso import Browser, connect, verified


@pytest.fixture
async def provider(clock):
    async with providers.serving(clock) as provider:
        yield provider


@pytest.fixture
async def tenant(make):
    return await make.tenant()


@pytest.fixture
async def browser(app):
    browser = Browser(app)
    yield browser
    await browser.client.aclose()


def leads_to(page):
    """Where a page leads on by itself."""
    return re.search(r'content="0; url=([^"]+)"', page.text)[1].replace("&amp;", "&")


async def test_an_owner_sets_it_up_tests_it_and_turns_it_on(make, tenant, provider, browser, names):
    owner = await make.person(tenant)
    browser.client.cookies.set("session", owner.session)
    url = f"/console/t/{tenant.slug}/single-sign-on"
    assert "Three steps" in (await browser.get(url)).text
    await browser.client.post(f"{url}/domains", data={"name": "acme.example"})
    page = (await browser.get(url)).text
    names.records["_engine-cloud.acme.example"] = [re.search(r"engine-cloud-domain=[\w-]+", page)[0]]
    domain = re.search(r"/domains/(dom_\w+)/verify", page)[1]
    await browser.client.post(f"{url}/domains/{domain}/verify")
    given = {"name": "Acme", "issuer": provider.issuer, "client_id": provider.client_id}
    await browser.client.post(f"{url}/connections", data={**given, "client_secret": provider.client_secret})
    page = (await browser.get(url)).text
    assert "verified" in page
    assert "http://test/v1/auth/sso/callback" in page
    assert provider.client_secret not in page
    its = f"{url}/connections/{re.search(r'sso_[0-9a-z]{26}', page)[0]}"
    early = await browser.client.post(f"{its}/turn", data={"to": "active"})
    assert (early.status_code, "Nobody has come back" in early.text) == (409, True)
    assert "signing keys" in (await browser.client.post(f"{its}/examine")).text

    away = leads_to(await browser.client.post(f"{its}/test"))
    assert await browser.come_back(provider.sign_in(away, "boss")) == f"{url}?done=sso"
    assert (await browser.client.post(f"{its}/turn", data={"to": "active"})).status_code == 303
    locked_out = await browser.client.post(f"{its}/turn", data={"to": "enforced"})
    assert (locked_out.status_code, "You would lock yourself out" in locked_out.text) == (409, True)
    browser.client.cookies.set("session", (await make.signed_in(owner.account, TWO_FACTORS)).session)
    assert (await browser.client.post(f"{its}/turn", data={"to": "enforced"})).status_code == 303

    refused = await browser.get(url)
    assert refused.status_code == 403
    assert "Sign in by single sign-on" in refused.text
    assert "Enter without it" in refused.text


async def test_a_test_that_fails_says_so_on_the_page(db, make, tenant, provider, browser):
    connection = await connect(db, tenant, provider)
    browser.client.cookies.set("session", (await make.person(tenant)).session)
    url = f"/console/t/{tenant.slug}/single-sign-on"
    page = (await browser.get(url)).text
    its = f"{url}/connections/{re.search(r'sso_[0-9a-z]{26}', page)[0]}"
    away = leads_to(await browser.client.post(f"{its}/test"))
    provider.claims = {"aud": "somebody-else"}

    location = await browser.come_back(provider.sign_in(away))

    assert location == f"{url}?problem=sso-token-refused"
    page = (await browser.get(location)).text
    assert "sso-token-refused issuer or audience" in page
    assert "Compare issuer and client id" in page
    assert connection


async def test_a_new_secret_is_given_on_the_page_and_tested_anew_and_another_name_is_not(
    db, make, tenant, provider, browser
):
    connection = await connect(db, tenant, provider)
    browser.client.cookies.set("session", (await make.person(tenant)).session)
    url = f"/console/t/{tenant.slug}/single-sign-on"
    its = f"{url}/connections/{re.search(r'sso_[0-9a-z]{26}', (await browser.get(url)).text)[0]}"
    form = {"name": "Renamed", "client_id": connection.client_id, "client_auth": connection.client_auth}

    await browser.client.post(its, data={**form, "default_role": "viewer"})
    renamed = (await browser.get(url)).text
    await browser.client.post(its, data={**form, "client_secret": "another"})
    anew = (await browser.get(url)).text

    assert ("Renamed" in renamed, "become viewer" in renamed, "not yet, as it is set now" in renamed) == (
        True,
        True,
        False,
    )
    assert ("do not come in by themselves" in anew, "not yet, as it is set now" in anew) == (True, True)
    async with db.tenant(tenant.tenant_id) as tx:
        assert (await connections.secret(tx, connection.id)).reveal() == "another"


async def test_what_cannot_be_set_up_comes_back_with_the_form_as_it_was(make, tenant, browser):
    browser.client.cookies.set("session", (await make.person(tenant)).session)
    form = {"name": "Ours", "issuer": "http://192.0.2.1", "client_id": "c-1", "client_secret": "s3cr3t-value"}

    refused = await browser.client.post(f"/console/t/{tenant.slug}/single-sign-on/connections", data=form)

    assert refused.status_code == 400, refused.text
    assert all(f'value="{form[name]}"' in refused.text for name in ("name", "issuer", "client_id"))
    assert "s3cr3t-value" not in refused.text


async def test_a_form_leads_to_the_provider_and_a_refusal_is_told_in_words(db, tenant, provider, browser):
    await verified(db, tenant, "acme.example")
    await connect(db, tenant, provider)

    answer = await browser.client.post("/console/sso", data={"email": "ann@acme.example"})
    location = await browser.come_back(provider.sign_in(leads_to(answer), "u-1"))

    assert answer.status_code == 200
    assert "It is not known yet who you are" in (await browser.get(location)).text
    nowhere = await browser.client.post("/console/sso", data={"email": "ann@elsewhere.example"})
    assert (nowhere.status_code, "no single sign-on for this address" in nowhere.text) == (404, True)


async def test_signing_out_ends_it_here_and_leads_to_the_providers_own(db, tenant, provider, browser):
    await verified(db, tenant, "acme.example")
    await connect(db, tenant, provider, default_role="viewer")
    await browser.sign_in(provider, tenant=tenant.slug, email="ann@acme.example", email_verified=True)
    assert (await browser.get(f"/console/t/{tenant.slug}/sessions")).status_code == 200

    answer = await browser.client.post("/console/sign-out")

    assert leads_to(answer).startswith(f"{provider.issuer}/logout?id_token_hint=ey")
    assert (await browser.get("/v1/me")).status_code == 401


async def test_my_account_is_closed_to_who_came_by_a_provider_and_says_why(db, tenant, provider, browser):
    await verified(db, tenant, "acme.example")
    await connect(db, tenant, provider, default_role="viewer")
    await browser.sign_in(provider, tenant=tenant.slug, email="ann@acme.example", email_verified=True)

    page = await browser.get("/console/account")

    assert page.status_code == 403
    assert "Single sign-on does not open this" in page.text


async def test_somebody_who_only_looks_sees_no_forms(make, tenant, browser):
    browser.client.cookies.set("session", (await make.person(tenant, "auditor")).session)

    page = await browser.get(f"/console/t/{tenant.slug}/single-sign-on")

    assert page.status_code == 200
    assert f"{tenant.slug}/single-sign-on/connections" not in page.text


async def test_whom_the_provider_does_not_know_is_not_invited_from_the_page_either(db, make, tenant, provider, client):
    await connect(db, tenant, provider, enforced=True)
    owner = await make.signed_in((await make.person(tenant)).account, TWO_FACTORS)
    await client.post("/console/sso/break-glass", headers=owner.headers, data={"tenant": tenant.slug})
    url = f"/console/t/{tenant.slug}/people"

    refused = await client.post(url, headers=owner.headers, data={"email": "x@outside.example", "role": "viewer"})

    assert refused.status_code == 409
    assert "not in its domains" in refused.text
