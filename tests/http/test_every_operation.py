"""Every operation of the document is tried by those it is not for; the tenants' ones are in test_tenants_apart.

What is for one surface is shut to the credentials of all others, to nobody's, and to those without its permission.
"""

import re

import asyncpg
import pytest

from controlplane.db import schema as t
from controlplane.domain import operator_keys, people, rotations
from controlplane.domain.impersonation import requests
from controlplane.domain.impersonation.requests import Wanted
from controlplane.domain.vault import apps
from controlplane.domain.vault.apps import NewApp
from controlplane.http.authorize import Surface
from controlplane.http.document.operations import OPENS
from controlplane.kit.ids import text_id
from tests.http.test_tenants_apart import PREFIX
from tests.make import SHELL, bearer

OPEN = {
    "GET /.well-known/jwks.json",
    "GET /livez",
    "GET /oauth/callback/{app}",
    "GET /oauth/clients/{app}",
    "GET /oauth/clients/{app}/public",
    "GET /readyz",
    "GET /v1/auth/sso/callback",
    "POST /v1/auth/invitations/accept",
    "POST /v1/auth/invitations/show",
    "POST /v1/auth/link",
    "POST /v1/auth/passkey",
    "POST /v1/auth/passkey/options",
    "POST /v1/auth/password-reset",
    "POST /v1/auth/second-factor",
    "POST /v1/auth/sign-in",
    "POST /v1/auth/sso/start",
    "POST /v1/auth/sso/{connection}/backchannel-logout",
    "POST /v1/runtime/enroll",
    "POST /v1/runtime/token",
}
"""Operations that ask for no credential before they run: each has its reason in its rule."""

BODIES = {
    "NewImpersonation": {"tenant": "nowhere", "user": "nobody", "reason": "x"},
    "NewOperatorKey": {"name": "x"},
    "NewRotation": {"kind": "data"},
    "NewSharedApp": {"provider": "github-oauth", "name": "x", "client_id": "x"},
    "SharedAppChange": {"name": "y"},
    "NewTenant": {"slug": "made", "name": "Made"},
    "Suspension": {},
}
"""By the name of the schema: something that an operator is let through with."""

NOT_OF_THE_LIVING = {
    "GET /v1/operator/tenants/{target}/certificate",
    "POST /v1/operator/tenants/{target}/resume",
    "POST /v1/operator/tenants/{target}/undelete",
}
"""What there is to do with a tenant that is suspended or gone, and with no other: it is refused by the tenant's state."""

NOT_AGREED_TO = "POST /v1/operator/impersonations/{impersonation}/start"
"""What an owner has to agree to first."""

AT_A_BROWSER = {"POST /v1/operator/tenants", NOT_AGREED_TO}
"""What is tried by a person: a key has done the one already, and cannot do the other."""

FLEETING = "last_used_at", "seen_at"


@pytest.fixture
async def operations(client):
    document = (await client.get("/openapi.json")).json()
    found = {
        f"{method.upper()} {path}": operation
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    }
    return {name: each for name, each in found.items() if PREFIX not in name}


def of(operations, surface):
    ways = [{name: []} for name in OPENS[surface]]
    return {name: each for name, each in operations.items() if each["security"] == ways}


@pytest.fixture
def factory(db, make):
    """What a path parameter of the operators' surface is filled with."""

    async def key():
        operator = await make.operator()
        async with db.platform() as tx:
            made, _ = await operator_keys.create(tx, SHELL, bytes(32), operator.account.id, "canary")
        return text_id("key", made.id)

    async def target():
        return (await make.tenant()).slug

    async def user():
        """Somebody of a tenant."""
        tenant, account = await make.tenant(), await make.account()
        async with db.tenant(tenant.tenant_id) as tx:
            return tenant, await people.add_user(tx, SHELL, account, "viewer")

    async def impersonation():
        operator, (tenant, somebody) = await make.operator(), await user()
        async with db.tenant(tenant.tenant_id) as tx:
            wanted = Wanted(user_id=somebody.id, reason="canary")
            made = await requests.request(tx, SHELL, operator.account.id, "http://test", wanted)
        return text_id("imp", made.id)

    async def rotation():
        async with db.platform() as tx:
            return rotations.shown((await rotations.ask(tx, SHELL, "rewrap")).id)

    async def asked():
        tenant, somebody = await user()
        return {"tenant": tenant.slug, "user": text_id("usr", somebody.id)}

    async def app():
        async with db.platform() as tx:
            new = NewApp(provider="github-oauth", name="canary", client_id="canary")
            return text_id("app", (await apps.create(tx, SHELL, new)).id)

    made = {"key": key, "target": target, "impersonation": impersonation, "rotation": rotation, "app": app}
    return {**made, "NewImpersonation": asked}


@pytest.fixture
def call(client, factory):
    async def call(name, operation, headers, *, ready=False):
        method, path = name.split()
        for parameter in re.findall(r"{(\w+)}", path):
            assert parameter in factory, f"{name}: no factory for {parameter}"
            path = path.replace(f"{{{parameter}}}", await factory[parameter]())
        if any(each["name"] == "If-Match" for each in operation.get("parameters", ())):
            headers = {"If-Match": "*", **headers}
        schema = operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema")
        if not schema:
            return await client.request(method, path, headers=headers)
        called = schema["$ref"].rpartition("/")[2]
        more = await factory[called]() if ready and called in factory else {}
        return await client.request(method, path, headers=headers, json={**BODIES.get(called, {}), **more})

    return call


@pytest.fixture
async def digest(admin_url):
    """A hash of everything that is written on the platform, but for when a credential was last used."""
    connection = await asyncpg.connect(admin_url)
    tables = sorted(t.PLATFORM - {"browser_sessions", "master_keys", "platform_data_keys"})
    tables = [name for name in tables if not name.startswith("platform_audit")]  # who was turned down is on record

    async def digest():
        rows = [
            await connection.fetch(f"SELECT to_jsonb(r) - $1::text[] AS row FROM {name} r", FLEETING) for name in tables
        ]
        return sorted(str(row["row"]) for each in rows for row in each)

    yield digest
    await connection.close()


@pytest.fixture
async def strangers(make):
    """Credentials of everybody else, by the surface they are for."""
    tenant = await make.tenant()
    return {
        Surface.TENANT: await make.api_key(tenant),
        Surface.OPERATOR: await make.operator_key(),
        Surface.RUNTIME: bearer("eyJhbGciOiJFZDI1NTE5In0.e30.c2lnbmF0dXJl"),
    }


def test_every_operation_is_for_one_surface_or_open(operations):
    locked = [name for surface in OPENS if surface is not Surface.TENANT for name in of(operations, surface)]

    assert {name for name, each in operations.items() if each["security"] == []} == OPEN
    assert {*locked, *OPEN} == operations.keys()


def test_what_is_about_oneself_names_nobody_else(operations):
    named = {each for name in of(operations, Surface.ME) for each in re.findall(r"{(\w+)}", name)}

    assert named == {"passkey", "session"}, "one's own: whose else, is tested where they are"
    of_runtimes = {each for name in of(operations, Surface.RUNTIME) for each in re.findall(r"{(\w+)}", name)}
    assert of_runtimes == {"checkpoint", "lease", "sha256", "tail"}, "one's own: another's is tested where these are"


async def test_nobody_gets_in(operations, call, digest):
    before = await digest()
    for name, operation in operations.items():
        if name not in OPEN and "{" not in name:
            answer = await call(name, operation, {})

            assert (answer.status_code, answer.json()["code"]) == (401, "authentication-required"), name
    assert await digest() == before


async def test_a_credential_for_another_surface_gets_nobody_in(operations, call, strangers, digest):
    before = await digest()
    for surface in (Surface.OPERATOR, Surface.RUNTIME, Surface.ME):
        for name, operation in of(operations, surface).items():
            for other, headers in strangers.items():
                if other is not surface and "{" not in name:
                    answer = await call(name, operation, headers)

                    assert answer.status_code == 401, (name, other)
    assert await digest() == before


async def test_a_tenants_people_learn_nothing_of_the_operators_operations(operations, call, make, digest):
    person = await make.person()
    before = await digest()
    for name, operation in of(operations, Surface.OPERATOR).items():
        if "{" not in name:
            answer = await call(name, operation, person.headers)

            assert (answer.status_code, answer.json()["code"]) == (404, "not-found"), name
    assert await digest() == before


async def test_an_operator_without_the_permission_changes_nothing(operations, call, make, digest):
    viewer = await make.operator("viewer")
    for name, operation in of(operations, Surface.OPERATOR).items():
        if operation["x-required-permission"] not in ("operator:tenant-read", "operator:operator-read"):
            answer = await call(name, operation, viewer.headers)

            assert (answer.status_code, answer.json()["code"]) == (403, "permission-denied"), name


async def test_an_operator_is_let_through_so_that_all_of_this_means_something(operations, call, make):
    key, person = await make.operator_key(), await make.operator()
    for name, operation in of(operations, Surface.OPERATOR).items():
        answer = await call(name, operation, person.headers if name in AT_A_BROWSER else key, ready=True)

        refused = name in NOT_OF_THE_LIVING or name == NOT_AGREED_TO
        there = answer.status_code in (404, 409) if refused else answer.is_success
        assert there, f"{name}: {answer.text}"


async def test_whoever_is_signed_in_is_let_through_to_what_is_about_them(operations, call, make):
    for name, operation in of(operations, Surface.ME).items():
        if name.startswith("GET"):
            answer = await call(name, operation, (await make.person()).headers)

            assert answer.is_success, f"{name}: {answer.text}"
