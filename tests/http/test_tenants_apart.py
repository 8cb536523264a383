"""No operation of the document shows, changes or betrays another tenant's things: generated from the document itself.

A path parameter, a body or a query parameter that this file does not know how to fill fails the run.
"""

import re

import asyncpg
import pytest

from controlplane.db import schema as t
from controlplane.domain import (
    api_keys,
    projects,
    service_accounts,
)
from controlplane.domain.api_keys import Wanted
from controlplane.domain.holdings import Holder
from controlplane.domain.vault import disclosures
from tests.conftest import KEYRING
from tests.http import configured
from tests.http.agents import code
from tests.http.bodies import BODIES, NEEDED, REFERENCES, UNIQUE
from tests.http.companies import CANARY, PREFIX, Company, Operation, serial
from tests.make import SHELL, bearer
from tests.runtimes import join

TENANTS_OWN = sorted({table.name for table in t.metadata.sorted_tables} - t.PLATFORM)

SHARED = {"provider", "kind", "log", "name", "version"}
"""Parameters that name what is the same in every tenant, or what is within a thing that another parameter names."""

FILTERS = {
    *("runtime", "session", "run", "project", "actor", "target", "user", "group", "service_account", "app"),
    "connection",
}
"""Query parameters that name an object. The others of the document do not."""

HARMLESS = {
    *("category", "permission", "replacement", "limit", "cursor", "status", "state", "agent"),
    *("since", "until", "q", "node", "kind", "action", "outcome", "after"),
    *("types", "wait", "provider", "shared", "owner_ref", "label", "offset", "path"),
}
"""Cursors of another tenant are in test_pages."""

WITHOUT_DENIALS = {"audit_events": "outcome <> 'denied'", "audit_heads": "false", "data_keys": "kind <> 'personal'"}
"""What of a table stays as it is when somebody is turned down, which is to be on record, and sealed."""

FOR_PEOPLE = "/disclosures"
"""Below this, keys change nothing, because two people have to."""

ANSWERS = {"GET": {200}, "POST": {200, 201, 202}, "PATCH": {200}, "PUT": {200, 204}, "DELETE": {202, 204}}
"""What its owner gets."""


@pytest.fixture
async def companies(db, make, app):
    found = []
    for _ in range(2):
        tenant = await make.tenant()
        async with db.tenant(tenant.tenant_id) as tx:
            project = await projects.named(tx, projects.DEFAULT)
            await disclosures.set_policy(tx, SHELL, "two_people")
        found.append(Company(db, make, app.state["blobs"], tenant, await join(db, tenant.tenant_id, project.id)))
    return found


@pytest.fixture
async def victim(companies):
    return companies[0]


@pytest.fixture
async def other(companies):
    return companies[1]


@pytest.fixture
async def stranger(request, other, make):
    """Somebody who may do everything, in the other tenant: its key, or at a browser."""
    if getattr(request, "param", "key") == "session":
        return (await make.person(other.tenant)).headers
    return await make.api_key(other.tenant)


@pytest.fixture
async def as_stranger(other, stranger, make):
    """The headers of a stranger who is heard at all."""
    at_a_browser = (await make.person(other.tenant)).headers
    return lambda operation: at_a_browser if is_for_people(operation) else stranger


def is_for_people(operation):
    return FOR_PEOPLE in operation.path and operation.method == "POST"


@pytest.fixture
async def operations(client):
    document = (await client.get("/openapi.json")).json()
    found = [
        _operation(method.upper(), path, operation)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
        if path.startswith(PREFIX)
    ]
    return sorted(found, key=lambda each: each.ends_it)  # after that there is little left to be let through to


@pytest.fixture
async def digest(admin_url):
    """A hash of everything that a tenant has, except when its keys were last used, and who was turned down."""
    connection = await asyncpg.connect(admin_url)

    async def of(company):
        each = [
            f"SELECT '{name}' AS name, (to_jsonb(r) - 'last_used_at')::text AS row FROM {name} r"
            f" WHERE tenant_id = $1 AND {WITHOUT_DENIALS.get(name, 'true')}"
            for name in TENANTS_OWN
        ]
        whole = (
            f"SELECT md5(string_agg(name || row, '' ORDER BY name, row)) FROM ({' UNION ALL '.join(each)}) every_row"
        )
        return await connection.fetchval(whole, company.tenant.tenant_id)

    yield of
    await connection.close()


@pytest.fixture
def call(client):
    async def call(operation, url, headers, **given):
        body = {} if operation.body is None else {"json": BODIES[operation.body]}
        headers = {"If-Match": "*", **headers} if "If-Match" in operation.headers else headers
        return await client.request(operation.method, url, headers=headers, **{**body, **given})

    return call


def _operation(method, path, operation):
    reference = operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema", {})
    return Operation(
        method=method,
        path=path,
        parameters=re.findall(r"{(\w+)}", path),
        queries=[each["name"] for each in operation.get("parameters", []) if each["in"] == "query"],
        headers=[each["name"] for each in operation.get("parameters", []) if each["in"] == "header"],
        body=reference["$ref"].rpartition("/")[2] if reference else None,
    )


async def body_of(operation, company):
    """What its owner is let through with."""
    body = dict(BODIES[operation.body])
    if unique := UNIQUE.get(operation.body):
        field, form = unique
        body[field] = form.format(next(serial))
    for field, kind in NEEDED.get(operation.body, {}).items():
        body[field] = await company.factory[kind]()
    return body


def told(answer):
    """The answer but for the id of its request."""
    return answer.status_code, re.sub(r"req_\w+", "", answer.text), sorted(answer.headers.keys())


def absent(identity):
    """An id like this one that nobody has."""
    return identity[:-6] + "000000"


async def test_everything_that_the_document_asks_for_can_be_filled_in(operations, victim):
    assert len(operations) > 15
    assert {name for each in operations for name in each.parameters} <= victim.factory.keys()
    assert {each.body for each in operations} - {None} <= BODIES.keys()
    assert {name for each in operations for name in each.queries} <= FILTERS | HARMLESS


async def test_without_a_credential_nothing_is_told_and_nothing_changes(operations, victim, call, digest):
    for operation in operations:
        url = await victim.url(operation)
        before = await digest(victim)

        answer = await call(operation, url, {})

        assert answer.status_code == 401, str(operation)
        assert CANARY not in answer.text, str(operation)
        assert await digest(victim) == before, str(operation)


async def test_without_the_permission_nothing_is_told_and_nothing_changes(db, operations, victim, make, call, digest):
    async with db.tenant(victim.tenant.tenant_id) as tx:
        account = await service_accounts.create(tx, SHELL, "can do nothing")
        wanted = Wanted(name="x", owner=Holder("service-account", account.id))
        _, secret = await api_keys.create(tx, SHELL, KEYRING.pepper, wanted)
    key = bearer(secret)
    for operation in operations:
        url = await victim.url(operation)
        before = await digest(victim)

        answer = await call(operation, url, key)

        assert (answer.status_code, answer.json()["code"]) == (403, "permission-denied"), str(operation)
        assert CANARY not in answer.text, str(operation)
        assert await digest(victim) == before, str(operation)


@pytest.mark.parametrize("stranger", ["key", "session"], indirect=True)
async def test_another_tenants_owner_cannot_tell_it_from_what_is_not_there(operations, victim, stranger, call, digest):
    for operation in operations:
        url = await victim.url(operation)
        before = await digest(victim)

        answer = await call(operation, url, stranger)
        nowhere = await call(operation, url.replace(victim.tenant.slug, "nowhere"), stranger)

        assert answer.status_code == 404, str(operation)
        assert told(answer) == told(nowhere), str(operation)
        assert CANARY not in answer.text, str(operation)
        assert await digest(victim) == before, str(operation)


async def test_foreign_ids_inside_ones_own_tenant_are_like_absent_ones(
    operations, victim, other, as_stranger, call, digest
):
    for operation in operations:
        for name in sorted({*operation.parameters[1:]} - SHARED):
            foreign = await victim.factory[name]()
            urls = [await other.url(operation, **{name: each}) for each in (foreign, absent(foreign))]
            before = await digest(victim), await digest(other)

            answer, nothing = [await call(operation, url, as_stranger(operation)) for url in urls]

            assert answer.status_code == 404, f"{operation}: {name}"
            assert told(answer) == told(nothing), f"{operation}: {name}"
            assert (await digest(victim), await digest(other)) == before, f"{operation}: {name}"


async def test_foreign_ids_in_filters_find_nothing(operations, victim, other, stranger, call):
    for operation in operations:
        for name in FILTERS & set(operation.queries):
            foreign, url = await victim.factory[name](), await other.url(operation)

            answer = await call(operation, url, stranger, params={name: foreign})
            nothing = await call(operation, url, stranger, params={name: absent(foreign)})

            assert answer.status_code == 200, f"{operation}: {name}"
            assert answer.json()["data"] == [], f"{operation}: {name}"
            assert told(answer) == told(nothing), f"{operation}: {name}"


async def test_foreign_ids_in_bodies_are_like_absent_ones(operations, victim, other, as_stranger, call, digest):
    for operation in operations:
        for field, kind in REFERENCES.get(operation.body or "", {}).items():
            foreign, url = await victim.factory[kind](), await other.url(operation)
            headers = as_stranger(operation)
            before = await digest(victim), await digest(other)

            answer = await call(operation, url, headers, json={**BODIES[operation.body], field: foreign})
            nothing = await call(operation, url, headers, json={**BODIES[operation.body], field: absent(foreign)})

            assert answer.status_code == 404, f"{operation}: {field}"
            assert told(answer) == told(nothing), f"{operation}: {field}"
            assert (await digest(victim), await digest(other)) == before, f"{operation}: {field}"


async def test_lists_hold_ones_own_and_nothing_of_the_others(operations, victim, other, stranger, call):
    for make_one in [*victim.factory.values()]:
        await make_one()
    theirs = {await make_one() for name, make_one in victim.factory.items() if name not in SHARED}
    for operation in operations:
        if operation.method == "GET" and operation.parameters == ["tenant"]:
            answer = await call(operation, await other.url(operation), stranger)

            assert answer.status_code == 200, str(operation)
            assert CANARY not in answer.text, str(operation)
            assert not [identity for identity in theirs if identity in answer.text], str(operation)


async def ready(db, company, operation):
    """The state in which its owner can do this."""
    async with db.tenant(company.tenant.tenant_id) as tx:
        tx.audited = True
        await tx.run(tx.delete(t.exports).where(t.exports.c.state == "waiting"))
        status = "pending_deletion" if operation.ends_it == 2 else "active"
        await tx.run(tx.update(t.tenants).values(status=status, status_before="active"))


async def test_its_owner_is_let_through_so_that_all_of_this_means_something(db, operations, victim, make, call):
    owner = await make.api_key(victim.tenant)
    person = await make.person(victim.tenant)
    for operation in operations:
        for headers in (person.headers,) if is_for_people(operation) else (owner, person.headers):
            await ready(db, victim, operation)
            victim.person_id = None if headers is owner else person.account.id
            given = {} if operation.body is None else {"json": await body_of(operation, victim)}
            url = await victim.url(operation)
            await configured.settle(db, victim, operation)
            answer = await call(operation, url, headers, **given)

            if "{log}" in operation.path:
                assert code(answer) == (409, "runtime-unreachable"), "nobody is there to be asked"
                continue
            assert answer.status_code in ANSWERS[operation.method], f"{operation}: {answer.text}"
            if operation.method == "GET" and "tenant" not in operation.parameters[1:]:
                assert answer.content, str(operation)
