"""What a provider, a stranger or a page could send instead of the truth: refused, written down, and nothing opens."""

import asyncio
import base64
import hmac
import json
from datetime import timedelta
from urllib.parse import parse_qs, urlencode, urlsplit

import asyncpg
import pytest
from joserfc import jwt
from joserfc.jwk import RSAKey

from controlplane.db import schema as t
from controlplane.domain import people, tenants
from controlplane.kit.openid.discovery import ASKED_AGAIN_AFTER, REMEMBERED_FOR
from tests import provider as providers
from tests.http.sso import Browser, connect, denials, refused, verified
from tests.make import SHELL
from tests.provider import reply


@pytest.fixture
async def provider(clock):
    async with providers.serving(clock) as provider:
        yield provider


@pytest.fixture
async def tenant(db, make, provider):
    """Entered by *provider*; somebody new becomes a viewer."""
    tenant = await make.tenant()
    await verified(db, tenant, "acme.example")
    await connect(db, tenant, provider, default_role="viewer")
    return tenant


@pytest.fixture
async def browser(app):
    browser = Browser(app)
    yield browser
    await browser.client.aclose()


@pytest.fixture
def sign_in(browser, provider, tenant):
    async def sign_in(sub="u-1"):
        url = provider.sign_in(
            await browser.leave(tenant=tenant.slug), sub, email="ann@acme.example", email_verified=True
        )
        return await browser.come_back(url)

    return sign_in


def unsigned(header, claims):
    parts = [json.dumps({"alg": "none"}).encode(), json.dumps(claims).encode(), b""]
    return ".".join(base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in parts)


def by_hmac(secret):
    """HS256 by hand: libraries refuse to take a public key for a secret."""

    def sign(header, claims):
        parts = [json.dumps({**header, "alg": "HS256"}).encode(), json.dumps(claims).encode()]
        said = b".".join(base64.urlsafe_b64encode(part).rstrip(b"=") for part in parts)
        mac = hmac.digest(secret, said, "sha256")
        return f"{said.decode()}.{base64.urlsafe_b64encode(mac).rstrip(b'=').decode()}"

    return sign


def by_public_key(provider):
    """With what everybody knows, as if it were a secret."""
    return by_hmac(provider.key.as_pem(private=False))


def by_client_secret(provider):
    return by_hmac(provider.client_secret.encode())


def by_another_key(provider):
    other = RSAKey.generate_key(2048, {"kid": "k1"})
    return lambda header, claims: jwt.encode(header, claims, other)


async def test_what_is_right_opens_so_that_the_rest_means_something(sign_in, browser, tenant):
    assert await sign_in() == f"/console/t/{tenant.slug}/"
    assert await browser.may_enter(tenant)


@pytest.mark.parametrize(
    ("claims", "why"),
    [
        ({"iss": "https://evil.example"}, "issuer or audience"),
        ({"iss": None}, "issuer or audience"),
        ({"aud": "somebody-else"}, "issuer or audience"),
        ({"aud": ["engine-cloud", "somebody-else"], "azp": "engine-cloud"}, "issuer or audience"),
        ({"aud": None}, "issuer or audience"),
        ({"azp": "somebody-else"}, "claims: azp"),
        ({"nonce": "another"}, "nonce"),
        ({"nonce": None}, "nonce"),
        ({"sub": None}, "claims: sub"),
        ({"sub": ""}, "claims"),
        ({"sub": "x" * 300}, "claims"),
        ({"sub": 7}, "claims: sub"),
        ({"iat": None}, "no times"),
        ({"exp": None}, "no times"),
        ({"exp": "soon"}, "no times"),
        ({"exp": 1e300}, "no times"),
        ({"at_hash": "wrong"}, "claims: at_hash"),
        ({"events": {providers.LOGOUT_EVENT: {}}}, "a logout token"),
    ],
)
async def test_claims_that_are_not_ours_now_and_for_this_sign_in_open_nothing(
    db, sign_in, provider, tenant, claims, why
):
    provider.claims = claims

    assert refused(await sign_in()) == "sso-token-refused"

    assert await denials(db, tenant) == [f"sso-token-refused {why}"]


@pytest.mark.parametrize("forged", [lambda _: unsigned, by_public_key, by_client_secret, by_another_key])
async def test_only_the_providers_own_signature_counts(db, sign_in, provider, browser, tenant, forged):
    provider.sign = forged(provider)
    provider.metadata = {"id_token_signing_alg_values_supported": ["none", "HS256", "RS256"]}

    assert refused(await sign_in()) == "sso-token-refused"

    assert "session" not in browser.client.cookies
    assert await denials(db, tenant) == ["sso-token-refused signature"]


@pytest.mark.parametrize(
    ("issued_s", "expires_s", "opens"),
    [(-60, 60, True), (100, 400, True), (200, 400, False), (-300, -100, True), (-300, -150, False), (-900, 900, False)],
)
async def test_clocks_may_be_two_minutes_apart_and_no_more(sign_in, provider, clock, issued_s, expires_s, opens):
    now = int(clock().timestamp())
    provider.claims = {"iat": now + issued_s, "exp": now + expires_s}

    location = await sign_in()

    assert ("sso=" not in location) is opens


async def test_a_state_works_once(browser, provider, tenant):
    url = provider.sign_in(await browser.leave(tenant=tenant.slug), email="ann@acme.example", email_verified=True)

    assert "sso=" not in await browser.come_back(url)
    assert refused(await browser.come_back(url)) == "sso-flow-over"


async def test_a_code_that_was_used_or_was_for_another_sign_in_is_worth_nothing(browser, provider, tenant):
    first = provider.sign_in(await browser.leave(tenant=tenant.slug), email="ann@acme.example", email_verified=True)
    second = await browser.leave(tenant=tenant.slug)
    state = parse_qs(urlsplit(second).query)["state"][0]
    code = parse_qs(urlsplit(first).query)["code"][0]

    mixed = f"/v1/auth/sso/callback?{urlencode({'code': code, 'state': state})}"

    assert refused(await browser.come_back(mixed)) == "sso-token-refused"
    assert refused(await browser.come_back(first)) == "sso-token-refused", "the provider takes a code once"


@pytest.mark.parametrize("state", ["", "x" * 43, "x" * 5_000, "\u00e9"])
async def test_a_state_that_nobody_gave_leads_nowhere(browser, tenant, state):
    await browser.leave(tenant=tenant.slug)

    location = await browser.come_back(f"/v1/auth/sso/callback?{urlencode({'code': 'x', 'state': state})}")

    assert refused(location) == "sso-flow-over"


async def test_another_browser_finishes_nothing_and_spoils_nothing(app, browser, provider, tenant):
    url = provider.sign_in(await browser.leave(tenant=tenant.slug), email="ann@acme.example", email_verified=True)
    thief = Browser(app)
    await thief.leave(tenant=tenant.slug)

    assert refused(await thief.come_back(url)) == "sso-flow-over"
    assert "session" not in thief.client.cookies

    assert "sso=" not in await browser.come_back(url)


async def test_too_late_is_too_late(browser, provider, tenant, clock):
    url = provider.sign_in(await browser.leave(tenant=tenant.slug))
    clock.forward(timedelta(minutes=10))

    assert refused(await browser.come_back(url)) == "sso-flow-over"


async def test_an_answer_that_names_another_issuer_never_gets_its_code_sent_anywhere(browser, provider, tenant):
    provider.iss = "https://honest.example"

    url = provider.sign_in(await browser.leave(tenant=tenant.slug))

    assert refused(await browser.come_back(url)) == "sso-mixed-up"
    assert "/token" not in provider.seen


async def test_who_announces_its_name_in_answers_has_to_give_it(sign_in, provider):
    provider.metadata = {"authorization_response_iss_parameter_supported": True}
    assert refused(await sign_in()) == "sso-mixed-up"

    provider.iss = provider.issuer
    assert "sso=" not in await sign_in()


async def test_a_code_is_sent_to_the_provider_that_was_asked_and_to_no_other(
    db, make, browser, provider, tenant, clock
):
    async with providers.serving(clock) as evil:
        attacker = await make.tenant()
        await connect(db, attacker, evil)
        url = provider.sign_in(await browser.leave(tenant=tenant.slug))
        state = parse_qs(urlsplit(await browser.leave(tenant=attacker.slug)).query)["state"][0]
        code = parse_qs(urlsplit(url).query)["code"][0]

        location = await browser.come_back(f"/v1/auth/sso/callback?{urlencode({'code': code, 'state': state})}")

        assert refused(location).startswith("sso-")
        assert provider.forms == []
        assert "session" not in browser.client.cookies


async def test_a_refusal_of_the_provider_is_told_in_our_words(db, browser, provider, tenant):
    state = parse_qs(urlsplit(await browser.leave(tenant=tenant.slug)).query)["state"][0]

    location = await browser.come_back(
        f"/v1/auth/sso/callback?{urlencode({'error': 'access_denied', 'error_description': '<b>x', 'state': state})}"
    )

    assert refused(location) == "sso-provider-said-no"
    assert await denials(db, tenant) == ["sso-provider-said-no access_denied"]


async def test_new_keys_are_found_at_once_and_old_ones_end(sign_in, provider, clock, browser):
    assert "sso=" not in await sign_in()
    old = provider.key
    clock.forward(ASKED_AGAIN_AFTER)
    provider.rotate()
    assert "sso=" not in await sign_in()

    clock.forward(ASKED_AGAIN_AFTER)
    provider.sign = lambda header, claims: jwt.encode({**header, "kid": old.kid}, claims, old)
    assert refused(await sign_in()) == "sso-token-refused"


async def test_tokens_that_name_unknown_keys_do_not_make_us_ask_without_end(sign_in, provider):
    await sign_in()
    provider.header = {"kid": "nobody-has-this"}

    for _ in range(5):
        assert refused(await sign_in()) == "sso-token-refused"

    assert provider.seen.count("/jwks") == 1


async def huge(writer):
    await reply(writer, b'{"issuer": "' + b"x" * 300_000 + b'"}')


async def slow(writer):
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{")
    await writer.drain()
    await asyncio.Event().wait()


async def broken(writer):
    await reply(writer, b"<html>not what was asked for</html>")


async def deep(writer):
    await reply(writer, b"[" * 100_000)


async def listed(writer):
    await reply(writer, b'{"keys": [{"kty": "oct", "k": "AAAA"}, {"kty": "RSA", "n": "AQAB", "e": "AQAB"}, {}, 7]}')


async def moved(writer):
    writer.write(b"HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n")


async def nothing(writer):
    writer.close()


@pytest.mark.parametrize("answer", [huge, broken, deep, listed, moved, nothing])
@pytest.mark.parametrize("path", ["/.well-known/openid-configuration", "/jwks", "/token"])
async def test_an_answer_that_is_none_is_a_refusal_and_not_a_bug(sign_in, browser, provider, tenant, path, answer):
    provider.answers = {path: answer}

    if path.startswith("/.well-known"):
        reply = await browser.client.post("/v1/auth/sso/start", json={"tenant": tenant.slug})
        assert (reply.status_code, reply.json()["code"]) == (400, "sso-provider-unusable")
    else:
        assert refused(await sign_in()) in ("sso-provider-unusable", "sso-token-refused")
        assert "session" not in browser.client.cookies


async def test_a_provider_that_takes_for_ever_is_not_waited_for(monkeypatch, browser, provider, tenant):
    monkeypatch.setattr("controlplane.kit.openid.discovery.WITHIN_S", 0.2)
    provider.answers = {"/.well-known/openid-configuration": slow}

    reply = await browser.client.post("/v1/auth/sso/start", json={"tenant": tenant.slug})

    assert reply.json()["code"] == "sso-provider-unusable"


@pytest.mark.parametrize(
    "metadata",
    [
        {"issuer": "https://accounts.example"},
        {"issuer": None},
        {"authorization_endpoint": "javascript:alert(1)"},
        {"authorization_endpoint": "ftp://x/y"},
        {"jwks_uri": "file:///etc/passwd"},
        {"token_endpoint": None},
        {"id_token_signing_alg_values_supported": ["none", "HS256"]},
        {"code_challenge_methods_supported": ["plain"]},
        {"response_types_supported": ["id_token"]},
    ],
)
async def test_a_discovery_document_that_cannot_be_relied_on_is_not_used(browser, provider, tenant, metadata):
    provider.metadata = metadata

    reply = await browser.client.post("/v1/auth/sso/start", json={"tenant": tenant.slug})

    assert (reply.status_code, reply.json()["code"]) == (400, "sso-provider-unusable")


async def test_what_a_provider_says_of_itself_is_remembered_for_an_hour(browser, provider, tenant, clock):
    for _ in range(3):
        await browser.leave(tenant=tenant.slug)
    assert provider.seen.count("/.well-known/openid-configuration") == 1

    clock.forward(REMEMBERED_FOR)
    await browser.leave(tenant=tenant.slug)
    assert provider.seen.count("/.well-known/openid-configuration") == 2


async def test_a_suspended_tenant_lets_nobody_in(db, tenant, sign_in):
    async with db.tenant(tenant.tenant_id) as tx:
        await tenants.suspend(tx, SHELL, "unpaid")

    assert refused(await sign_in()) == "tenant-suspended"


async def test_a_disabled_account_stays_out(db, sign_in):
    async with db.platform() as tx:
        account = await people.create_account(tx, SHELL, "ann@acme.example")
        await tx.run(tx.update(t.accounts).where(t.accounts.c.id == account.id).values(status="disabled"))

    assert refused(await sign_in()) == "sso-not-let-in"


async def test_nothing_of_a_flow_that_could_be_used_is_in_the_database(db, admin_url, browser, provider, tenant):
    url = await browser.leave(tenant=tenant.slug)
    provider.sign_in(url)
    asked = {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}

    connection = await asyncpg.connect(admin_url)
    rows = [
        str(row)
        for table in ("sso_flows", "sso_connections")
        for row in await connection.fetch(f"SELECT to_jsonb(r)::text AS row FROM {table} r")
    ]
    await connection.close()

    everything = "".join(rows)
    for secret in (asked["state"], asked["nonce"], browser.client.cookies["sso"], provider.client_secret):
        assert secret not in everything
        assert secret.encode().hex() not in everything
