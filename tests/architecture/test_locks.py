"""Every door is locked: what no credential, and somebody else's, gets at each route."""

import re

import pytest
from litestar import get

from controlplane.app import assemble
from controlplane.domain.permission_names import DANGEROUS
from controlplane.http import authentication, problems, proof
from controlplane.http.authorize import Rule, Surface, open_to_all, rule
from controlplane.http.proof import Unlocked
from controlplane.kit import tokens
from runtime_agent.wire.channel import REFUSED
from tests.http.dialling import Line
from tests.make import bearer

OPEN = {
    "/.well-known/jwks.json",
    "/health",
    "/livez",
    "/metrics",
    "/openapi.json",
    "/readyz",
    "/v1/auth/invitations/accept",
    "/v1/auth/invitations/show",
    "/v1/auth/link",
    "/v1/auth/passkey",
    "/v1/auth/passkey/options",
    "/v1/auth/password-reset",
    "/v1/auth/second-factor",
    "/v1/auth/sign-in",
    "/v1/auth/sso/callback",
    "/v1/auth/sso/start",
    "/v1/auth/sso/{connection}/backchannel-logout",
    "/oauth/callback/{app}",
    "/oauth/clients/{app}",
    "/oauth/clients/{app}/public",
    "/oauth/connect",
    "/oauth/done",
    "/v1/runtime/enroll",
    "/v1/runtime/token",
}
"""Routes that ask for no credential before they run; the reason stands in each one's rule."""

SENT_WHERE_IT_GOES = "sends what the address gets anyway"

OPEN_IN_THE_CONSOLE = re.compile(
    r"/console/(sign-in|sso|sso/operators|second-factor|forgot|invitation|invitation/accept|welcome|static/.*|\{rest\})"
)


TAKES_BACK = "ends what somebody was let in for"

HARMLESS = {
    "POST /v1/tenants/{tenant}/sso-connections/{connection}/test": "asks the provider, and changes nothing",
    "POST /console/t/{tenant}/single-sign-on/connections/{connection}/examine": "asks the provider, and changes nothing",
    **dict.fromkeys(
        (
            f"POST {at}/{{tenant}}/impersonations/{{impersonation}}/{act}"
            for at in ("/v1/tenants", "/console/t")
            for act in ("refuse", "end")
        ),
        TAKES_BACK,
    ),
    "POST /v1/tenants/{tenant}/disclosures/{disclosure}/refuse": TAKES_BACK,
    "POST /console/t/{tenant}/connections/{connection}/disclosures/{disclosure}/refuse": TAKES_BACK,
    "POST /v1/tenants/{tenant}/connections/{connection}/refresh": "gets what is got by itself anyway",
    "POST /v1/tenants/{tenant}/webhooks/{webhook}/test": SENT_WHERE_IT_GOES,
    "POST /v1/tenants/{tenant}/webhooks/{webhook}/replay": SENT_WHERE_IT_GOES,
    "POST /v1/tenants/{tenant}/webhooks/{webhook}/deliveries/{delivery}/replay": SENT_WHERE_IT_GOES,
    "POST /console/t/{tenant}/webhooks/{webhook}/test": SENT_WHERE_IT_GOES,
    "POST /console/t/{tenant}/webhooks/{webhook}/deliveries/{delivery}/replay": SENT_WHERE_IT_GOES,
}
"""What is done by a dangerous permission without a fresh proof, each with its reason. This list only shrinks."""

TAKEN_AWAY = {
    "GET /v1/tenants/{tenant}/exports/{export}/archive",
    "GET /console/t/{tenant}/settings/exports/{export}",
}
"""What is only read, and dangerous all the same."""


def locked(app):
    return [each for each in proof.rules(app) if not each[2].open_because]


async def asked(app, client, method, path, headers=None):
    """Status, code and challenge of an answer; a WebSocket is closed with them."""
    if method == proof.WEBSOCKET:
        async with Line(app, path=path, **(headers or {})) as line:
            assert line.refused is not None, path
            return line.refused[0] - REFUSED, line.refused[1]
    answer = await client.request(method, path, headers=headers)
    if answer.status_code == 401:
        assert answer.headers["www-authenticate"].startswith("Bearer") or path.startswith("/console"), (method, path)
    is_problem = answer.headers.get("content-type") == problems.PROBLEM_JSON
    return answer.status_code, answer.json()["code"] if is_problem else ""


def at(path, tenant="acme"):
    return re.sub(r"{(\w+)(:\w+)?}", lambda found: tenant if found[1] == "tenant" else "none", path)


def test_only_these_routes_are_open(app):
    found = {path for path, _, its in proof.rules(app) if its.open_because}

    assert {path for path in found if not OPEN_IN_THE_CONSOLE.fullmatch(path)} == OPEN


def test_whoever_has_a_dangerous_permission_proves_who_they_are_before_they_use_it(app):
    dangerous = {
        f"{method} {path}": its.fresh
        for path, method, its in locked(app)
        if DANGEROUS & set(its.permissions) and (method not in ("GET", "HEAD") or f"GET {path}" in TAKEN_AWAY)
    }

    assert dangerous.keys() > TAKEN_AWAY
    assert {name for name, fresh in dangerous.items() if not fresh} == HARMLESS.keys()
    assert {each for _, _, its in locked(app) for each in its.permissions} >= DANGEROUS


async def test_without_a_credential_every_other_route_asks_for_one(app, client):
    for path, method, its in locked(app):
        status, _ = await asked(app, client, method, at(path))
        assert status in ((303, 401) if its.surface is Surface.CONSOLE else (401,)), (method, path)


async def test_another_tenants_key_finds_nothing(app, client, make):
    victim, key = await make.tenant(), await make.api_key(await make.tenant())

    for path, method, its in locked(app):
        if its.surface is Surface.TENANT:
            assert await asked(app, client, method, at(path, victim.slug), key) == (404, "not-found"), (method, path)


async def test_a_credential_is_worth_nothing_at_another_surface(app, client, make):
    tenant = await make.tenant()
    kinds = {
        Surface.TENANT: await make.api_key(tenant),
        Surface.OPERATOR: await make.operator_key(),
        Surface.SCIM: await make.scim_token(tenant),
        Surface.CREDENTIALS: bearer(tokens.mint("rk")),
        Surface.RUNTIME: bearer("eyJhbGciOiJFZDI1NTE5In0.e30.c2lnbmF0dXJl"),
    }

    for path, method, its in locked(app):
        for surface, headers in kinds.items():
            if its.surface not in (surface, Surface.CONSOLE):
                status, _ = await asked(app, client, method, at(path, tenant.slug), headers)
                assert status == 401, (method, path, surface)


async def test_nor_is_whoever_a_surface_recognizes_by_mistake(app, client, make):
    """The second lock: the first looks up no credential of another kind."""
    everywhere = dict.fromkeys(Surface, authentication.person_or_api_key)
    app.state.authentication = {**app.state.authentication, **everywhere}
    key = await make.api_key(await make.tenant())

    for path, method, its in locked(app):
        if its.surface not in (Surface.TENANT, Surface.CONSOLE):
            status, _ = await asked(app, client, method, at(path), key)
            assert status == 404, (method, path)


async def test_a_tenants_people_do_not_learn_what_operators_have(app, client, make):
    person = await make.person()

    for path, method, its in locked(app):
        if its.surface is Surface.OPERATOR:
            answer = await client.request(method, at(path), headers=person.headers)
            assert (answer.status_code, answer.json()["code"]) == (404, "not-found"), (method, path)


async def test_options_tell_everybody_which_methods_there_are(client):
    answer = await client.options("/v1/tenants/acme/api-keys")

    assert answer.status_code == 204
    assert set(answer.headers["allow"].split(", ")) == {"GET", "HEAD", "OPTIONS", "POST"}


@pytest.mark.parametrize(
    ("path", "opt", "complaint"),
    [
        ("/v1/tenants/{tenant:str}/x", {}, "no rule"),
        ("/v1/tenants/x", rule(Surface.TENANT, "run:read"), "no tenant in the path"),
        ("/v1/tenants/{tenant:str}/x", rule(Surface.TENANT), "no permission"),
        ("/v1/tenants/{tenant:str}/x", rule(Surface.TENANT, "run:raed"), "no permission is called run:raed"),
        ("/v1/tenants/{tenant:str}/x", rule(Surface.OPERATOR, "operator:tenant-read"), "its address for tenant"),
        ("/v1/operator/x", rule(Surface.OPERATOR, "run:read"), "no permission is called run:read"),
        ("/elsewhere", rule(Surface.ME), "its address for None"),
        ("/elsewhere", {"rule": Rule(permission="run:read")}, "its rule is for None"),
    ],
)
def test_a_route_without_the_right_rule_keeps_the_app_from_starting(path, opt, complaint):
    app = assemble()

    @get(path, opt=opt)
    async def forgotten() -> None: ...

    app.register(forgotten)

    with pytest.raises(Unlocked, match=re.escape(complaint)):
        proof.prove(app)


def test_an_open_route_needs_no_more_than_its_reason():
    app = assemble()

    @get("/elsewhere", opt=open_to_all("a test"))
    async def fine() -> None: ...

    app.register(fine)

    proof.prove(app)
