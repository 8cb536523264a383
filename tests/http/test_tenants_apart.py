"""No operation of the document shows, changes or betrays another tenant's things: generated from the document itself.

A path parameter, a body or a query parameter that this file does not know how to fill fails the run.
"""

import re
from collections.abc import Awaitable, Callable

import asyncpg
import pytest
from msgspec import Struct

from controlplane.db import schema as t
from controlplane.domain import api_keys, domains, invitations, join_tokens, people, projects
from controlplane.domain.letters import Letterhead
from controlplane.domain.sso import connections
from controlplane.domain.sso.connections import NewConnection
from controlplane.kit.ids import text_id
from controlplane.kit.secret import Secret
from tests.make import SHELL
from tests.rows import Rows
from tests.runtimes import join

CANARY = "canary"
PREFIX = "/v1/tenants/{tenant}"
TENANTS_OWN = sorted({table.name for table in t.metadata.sorted_tables} - t.PLATFORM)

BODIES = {
    "NewApiKey": {"name": "x", "role": "viewer"},
    "NewInvitation": lambda: {"email": f"{CANARY}-{next(serial)}@example.com", "role": "viewer"},
    "NewInvitations": lambda: {"invitations": [BODIES["NewInvitation"]()]},
    "NewJoinToken": {},
    "NewDomain": lambda: {"name": f"{CANARY}{next(serial)}.example"},
    "NewSsoConnection": {
        "name": "x",
        "issuer": "http://127.0.0.1:9/",
        "client_id": "x",
        "client_secret": "x",
        "default_role": "viewer",
    },
    "SsoConnectionChange": {"name": "y"},
}
"""By the name of the schema: something that its owner is let through with, each time."""

REFERENCES = {"NewJoinToken": {"project": "project"}}
"""Fields of bodies that name an object, and what kind of object."""

FILTERS = {"runtime", "session", "run", "project"}
"""Query parameters that name an object. The others of the document do not."""

HARMLESS = {"limit", "cursor", "status", "state", "agent", "since", "until", "q", "node", "kind"}
"""Cursors of another tenant are in test_pages."""

ANSWERS = {"GET": {200}, "POST": {200, 201}, "PATCH": {200}, "DELETE": {204}}
"""What its owner gets."""


class Operation(Struct, frozen=True):
    method: str
    path: str
    parameters: list[str]
    queries: list[str]
    body: str | None

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


class Company:
    """A tenant with one of everything."""

    def __init__(self, db, make, tenant, runtime):
        self.tenant, self.runtime = tenant, runtime
        self._db, self._make, self._rows = db, make, Rows(db)
        self.factory: dict[str, Callable[[], Awaitable[str]]] = {
            "tenant": self._tenant,
            "agent": self._agent,
            "checkpoint": self._checkpoint,
            "connection": self._connection,
            "domain": self._domain,
            "invitation": self._invitation,
            "key": self._key,
            "project": self._project,
            "run": self._run,
            "runtime": self._runtime,
            "session": self._session,
            "token": self._token,
            "user": self._user,
        }

    async def url(self, operation: Operation, **others: str) -> str:
        """The address of an object of this company, except for the segments in *others*."""
        path = operation.path
        for name in operation.parameters:
            path = path.replace(f"{{{name}}}", others.get(name) or await self.factory[name]())
        return path

    async def _tenant(self):
        return self.tenant.slug

    async def _agent(self):
        return text_id("agt", await self._rows.agent(self.runtime, f"{CANARY}-{next(serial)}"))

    async def _session(self):
        return text_id("ses", await self._rows.session(self.runtime, agent=CANARY, error_line=CANARY))

    async def _run(self):
        session = await self._rows.session(self.runtime, agent=CANARY)
        return text_id("run", await self._rows.run(self.runtime, session, agent=CANARY))

    async def _checkpoint(self):
        session = await self._rows.session(self.runtime, agent=CANARY)
        return text_id("cp", await self._rows.checkpoint(self.runtime, session, node=CANARY))

    async def _runtime(self):
        runtime = await join(self._db, self.tenant.tenant_id, self.runtime.project_id)
        return text_id("rt", runtime.id)

    async def _key(self):
        async with self._db.tenant(self.tenant.tenant_id) as tx:
            key, _ = await api_keys.create(tx, SHELL, bytes(32), CANARY)
        return text_id("key", key.id)

    async def _domain(self):
        async with self._db.tenant(self.tenant.tenant_id) as tx:
            domain = await domains.create(tx, SHELL, f"{CANARY}-{next(serial)}.example")
        return text_id("dom", domain.id)

    async def _connection(self):
        async with self._db.tenant(self.tenant.tenant_id) as tx:
            for earlier in await connections.listing(tx, after=None, limit=connections.MOST):
                await connections.delete(tx, SHELL, earlier.id)
            new = NewConnection(name=CANARY, issuer="http://127.0.0.1:9", client_id=CANARY, client_secret=Secret("s"))
            made = await connections.create(tx, SHELL, new)
        return text_id("sso", made.id)

    async def _invitation(self):
        letterhead = Letterhead(public_url="http://test", pepper=bytes(32))
        async with self._db.tenant(self.tenant.tenant_id) as tx:
            email = f"{CANARY}-{next(serial)}@example.com"
            made = await invitations.create(tx, SHELL, letterhead, email, "viewer")
        return text_id("inv", made.id)

    async def _token(self):
        async with self._db.tenant(self.tenant.tenant_id) as tx:
            token, _ = await join_tokens.create(tx, SHELL, bytes(32), self.runtime.project_id)
        return text_id("jt", token.id)

    async def _project(self):
        async with self._db.tenant(self.tenant.tenant_id) as tx:
            project = await projects.create(tx, SHELL, f"{CANARY}-{next(serial)}", CANARY, "dev")
        return text_id("prj", project.id)

    async def _user(self):
        account = await self._make.account()
        async with self._db.tenant(self.tenant.tenant_id) as tx:
            user = await people.add_user(tx, SHELL, account, "viewer")
        return text_id("usr", user.id)


serial = iter(range(1, 1_000_000))


@pytest.fixture
async def companies(db, make):
    found = []
    for _ in range(2):
        tenant = await make.tenant()
        async with db.tenant(tenant.tenant_id) as tx:
            project = await projects.named(tx, projects.DEFAULT)
        found.append(Company(db, make, tenant, await join(db, tenant.tenant_id, project.id)))
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
async def operations(client):
    document = (await client.get("/openapi.json")).json()
    return [
        _operation(method.upper(), path, operation)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
        if path.startswith(PREFIX)
    ]


@pytest.fixture
async def digest(admin_url):
    """A hash of everything that a tenant has, except when its keys were last used."""
    connection = await asyncpg.connect(admin_url)

    async def of(company):
        each = [
            f"SELECT '{name}' AS name, (to_jsonb(r) - 'last_used_at')::text AS row FROM {name} r WHERE tenant_id = $1"
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
        body = {} if operation.body is None else {"json": body_for(operation)}
        return await client.request(operation.method, url, headers=headers, **{**body, **given})

    return call


def _operation(method, path, operation):
    reference = operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema", {})
    return Operation(
        method=method,
        path=path,
        parameters=re.findall(r"{(\w+)}", path),
        queries=[each["name"] for each in operation.get("parameters", []) if each["in"] == "query"],
        body=reference["$ref"].rpartition("/")[2] if reference else None,
    )


def body_for(operation):
    body = BODIES[operation.body]
    return body() if callable(body) else body


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
    key = await make.api_key(victim.tenant, "viewer")
    async with db.tenant(victim.tenant.tenant_id) as tx:
        await tx.run(tx.update(t.api_keys).values(role="nothing"))
        tx.audited = True
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
    operations, victim, other, stranger, call, digest
):
    for operation in operations:
        for name in operation.parameters[1:]:
            foreign = await victim.factory[name]()
            before = await digest(victim), await digest(other)

            answer = await call(operation, await other.url(operation, **{name: foreign}), stranger)
            nothing = await call(operation, await other.url(operation, **{name: absent(foreign)}), stranger)

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


async def test_foreign_ids_in_bodies_are_like_absent_ones(operations, victim, other, stranger, call, digest):
    for operation in operations:
        for field, kind in REFERENCES.get(operation.body or "", {}).items():
            foreign, url = await victim.factory[kind](), await other.url(operation)
            before = await digest(victim), await digest(other)

            answer = await call(operation, url, stranger, json={**body_for(operation), field: foreign})
            nothing = await call(operation, url, stranger, json={**body_for(operation), field: absent(foreign)})

            assert answer.status_code == 404, f"{operation}: {field}"
            assert told(answer) == told(nothing), f"{operation}: {field}"
            assert (await digest(victim), await digest(other)) == before, f"{operation}: {field}"


async def test_lists_hold_ones_own_and_nothing_of_the_others(operations, victim, other, stranger, call):
    for make_one in [*victim.factory.values()]:
        await make_one()
    theirs = {await make_one() for make_one in victim.factory.values()}
    for operation in operations:
        if operation.method == "GET" and operation.parameters == ["tenant"]:
            answer = await call(operation, await other.url(operation), stranger)

            assert answer.status_code == 200, str(operation)
            assert CANARY not in answer.text, str(operation)
            assert not [identity for identity in theirs if identity in answer.text], str(operation)


async def test_its_owner_is_let_through_so_that_all_of_this_means_something(operations, victim, make, call):
    owner = await make.api_key(victim.tenant)
    person = await make.person(victim.tenant)
    for operation in operations:
        for headers in (owner, person.headers):
            answer = await call(operation, await victim.url(operation), headers)

            assert answer.status_code in ANSWERS[operation.method], f"{operation}: {answer.text}"
            if operation.method == "GET" and "tenant" not in operation.parameters[1:]:
                assert answer.json(), str(operation)
