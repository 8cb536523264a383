"""A provider says that somebody's session has ended: it ends here too, by proof, and once."""

from datetime import timedelta

import asyncpg
import pytest
from joserfc import jwt
from joserfc.jwk import RSAKey

from controlplane.domain import people
from controlplane.domain.sso import flows
from controlplane.kit.ids import text_id
from tests import provider as providers
from tests.http.sso import Browser, connect, verified
from tests.make import SHELL


@pytest.fixture
async def provider(clock):
    async with providers.serving(clock) as provider:
        yield provider


@pytest.fixture
async def tenant(db, make):
    tenant = await make.tenant()
    await verified(db, tenant, "acme.example")
    return tenant


@pytest.fixture
async def connection(db, tenant, provider):
    return await connect(db, tenant, provider, default_role="viewer")


@pytest.fixture
def arrive(app, provider, tenant, connection):
    """Somebody who has come in by the provider, in a browser of their own."""

    async def arrive(sub="u-1", **claims):
        browser = Browser(app)
        said = {"email": f"{sub}@acme.example", "email_verified": True, **claims}
        assert "sso=" not in await browser.sign_in(provider, sub, tenant=tenant.slug, **said)
        return browser

    return arrive


@pytest.fixture
def told(client, connection):
    async def told(token, of=None):
        url = f"/v1/auth/sso/{text_id('sso', (of or connection).id)}/backchannel-logout"
        return await client.post(url, data={"logout_token": token})

    return told


async def test_a_session_that_ended_there_ends_here(arrive, provider, told, tenant):
    here, there = await arrive(sid="s-1"), await arrive(sid="s-2")

    answer = await told(provider.logout_token(sub="u-1", sid="s-1"))

    assert (answer.status_code, answer.content) == (200, b"")
    assert answer.headers["cache-control"] == "no-store"
    assert (await here.get("/v1/me")).status_code == 401
    assert await there.may_enter(tenant)


async def test_without_a_session_all_of_the_person_end_and_nobody_elses(arrive, provider, told, tenant):
    browsers = [await arrive(sid="s-1"), await arrive(sid="s-2"), await arrive()]
    other = await arrive("u-2", sid="s-3")

    assert (await told(provider.logout_token(sub="u-1"))).status_code == 200

    assert [(await each.get("/v1/me")).status_code for each in browsers] == [401, 401, 401]
    assert await other.may_enter(tenant)


async def test_a_session_of_the_account_itself_loses_the_tenant_only(db, make, told, provider, app, tenant):
    async with db.platform() as tx:
        account = await people.create_account(tx, SHELL, "u-1@acme.example")
    browser = Browser(app)
    browser.client.cookies.set("session", (await make.signed_in(account)).session)
    said = {"email": account.email, "email_verified": True}
    await browser.sign_in(provider, tenant=tenant.slug, **said)

    await told(provider.logout_token(sub="u-1"))

    assert (await browser.get("/v1/me")).json()["email"] == account.email


async def test_a_logout_token_works_once(arrive, provider, told):
    token = provider.logout_token(sub="u-1")
    assert (await told(token)).status_code == 200
    browser = await arrive()

    again = await told(token)

    assert (again.status_code, again.json()["code"], again.json()["error"]) == (
        400,
        "logout-token-invalid",
        "invalid_request",
    )
    assert (await browser.get("/v1/me")).status_code == 200


@pytest.mark.parametrize(
    "claims",
    [
        {"iss": "https://evil.example"},
        {"aud": "somebody-else"},
        {"aud": ["engine-cloud", "somebody-else"]},
        {"events": None},
        {"events": {}},
        {"events": {providers.LOGOUT_EVENT: "yes"}},
        {"events": [providers.LOGOUT_EVENT]},
        {"nonce": "x"},
        {"sub": None, "sid": None},
        {"sub": 7},
        {"jti": None},
        {"jti": ""},
        {"iat": None},
        {"exp": None},
        {"iat": 1, "exp": 2},
        {"iat": 4_000_000_000, "exp": 4_000_000_100},
    ],
)
async def test_a_logout_token_that_does_not_hold_ends_nothing(arrive, provider, told, claims):
    browser = await arrive()

    answer = await told(provider.logout_token(**{"sub": "u-1", **claims}))

    assert answer.status_code == 400
    assert (await browser.get("/v1/me")).status_code == 200


async def test_an_id_token_and_a_strangers_signature_end_nothing(arrive, provider, told):
    browser = await arrive()
    id_token = provider.id_token({"sub": "u-1", "nonce": "n", "claims": "{}"})
    stranger = RSAKey.generate_key(2048, {"kid": "k1"})
    provider.sign = lambda header, claims: jwt.encode(header, claims, stranger)

    for token in (id_token, provider.logout_token(sub="u-1"), "x", "a.b.c", "." * 3, "x" * 20_000):
        assert (await told(token)).status_code == 400

    assert (await browser.get("/v1/me")).status_code == 200


async def test_one_tenants_provider_ends_nothing_at_another_tenant(db, make, arrive, provider, told):
    browser = await arrive(sid="s-1")
    another = await make.tenant()
    elsewhere = await connect(db, another, provider)

    assert (await told(provider.logout_token(sub="u-1", sid="s-1"), of=elsewhere)).status_code == 200

    assert (await browser.get("/v1/me")).status_code == 200


async def test_it_comes_as_a_form_in_which_more_may_stand(client, arrive, provider, connection):
    """OpenID Connect Back-Channel Logout 1.0, section 2.5."""
    browser = await arrive()
    url = f"/v1/auth/sso/{text_id('sso', connection.id)}/backchannel-logout"
    said = {"logout_token": provider.logout_token(sub="u-1"), "surprise": "1"}

    as_json = await client.post(url, json=said)
    assert (as_json.status_code, as_json.json()["code"]) == (415, "media-type-unsupported")
    assert as_json.headers["accept"] == "application/x-www-form-urlencoded"
    assert (await client.post(url, data={"surprise": "1"})).status_code == 400
    assert (await browser.get("/v1/me")).status_code == 200

    assert (await client.post(url, data=said)).status_code == 200
    assert (await browser.get("/v1/me")).status_code == 401


async def test_a_connection_that_is_not_there_is_absent(client):
    url = f"/v1/auth/sso/sso_{'0' * 26}/backchannel-logout"

    answer = await client.post(url, data={"logout_token": "x"})

    assert answer.status_code == 404


async def test_used_logout_tokens_are_forgotten_when_they_would_be_too_old(db, clock, provider, told):
    await told(provider.logout_token(sub="u-1"))
    clock.forward(timedelta(minutes=5))

    async with db.platform() as tx:
        assert await flows.forget_ended(tx) == 1


async def test_what_is_kept_of_the_providers_token_is_sealed(db, admin_url, arrive, provider):
    await arrive(sid="s-1")

    connection = await asyncpg.connect(admin_url)
    row = await connection.fetchrow("SELECT * FROM session_entries")
    await connection.close()
    assert b"eyJ" not in row["sealed_token"]
    assert len(row["subject_hash"]) == len(row["sid_hash"]) == 32
