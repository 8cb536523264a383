"""Foreign things in headers and cursors: what another tenant's ETag, key or cursor gets is what an invented one gets."""

import pytest

from tests.http import test_tenants_apart as apart
from tests.http.agents import code
from tests.http.test_tenants_apart import told

companies, victim, other, stranger = apart.companies, apart.victim, apart.other, apart.stranger
operations, digest, call = apart.operations, apart.digest, apart.call

REFUSED = {"tenant-state-conflict", "disclosure-for-people", "nothing-to-retry"}
"""What a key is told all the same where the tenant is not to be deleted, or two people are wanted."""

KEY = {"Idempotency-Key": "the-same-for-everybody"}
INVENTED = '"AAAAAAAAAAAAAAAAAAAA"'
ANOTHER = '"BBBBBBBBBBBBBBBBBBBB"'


@pytest.fixture
async def owner(victim, make):
    return await make.api_key(victim.tenant)


@pytest.fixture
def ask(call, stranger):
    """Somebody of the other tenant, at an object of *company*."""

    async def ask(operation, company, **headers):
        return await call(
            operation, await company.url(operation), {**stranger, **headers}, **await body(operation, company)
        )

    return ask


@pytest.fixture
def ask_first(call, victim, owner):
    """The owner, who has had the key before."""

    async def ask_first(operation):
        return await call(operation, await victim.url(operation), {**owner, **KEY}, **await body(operation, victim))

    return ask_first


async def body(operation, company):
    """What is sent along: it may have to name an object of the company's own."""
    return {"json": await apart.body_of(operation, company)} if operation.body else {}


def with_header(operations, *names):
    return [each for each in operations if not set(names).isdisjoint(each.headers)]


async def test_a_foreign_etag_tells_nothing(operations, victim, other, ask, owner, client):
    found = with_header(operations, "If-Match", "If-None-Match")
    for operation in found:
        theirs = await client.get(await victim.url(operation), headers=owner)
        if "{log}" in operation.path:
            assert code(theirs) == (409, "runtime-unreachable"), "nobody is there to be asked"
        tag = {"If-Match": theirs.headers["etag"] if theirs.is_success else ANOTHER}

        foreign, invented = await ask(operation, victim, **tag), await ask(operation, victim, **{"If-Match": INVENTED})
        inside, nothing = await ask(operation, other, **tag), await ask(operation, other, **{"If-Match": INVENTED})

        assert foreign.status_code == 404, str(operation)
        assert told(foreign) == told(invented), str(operation)
        alike = {*operation.parameters} <= {"tenant", *apart.SHARED}  # as limits and providers are: one ETag for all
        assert alike or told(inside) == told(nothing), str(operation)
    assert len(found) > 10


@pytest.fixture
def etag(client, owner):
    async def etag(url):
        return (await client.get(url, headers=owner)).headers["etag"]

    return etag


async def test_a_foreign_etag_changes_nothing(operations, victim, stranger, etag, call, digest):
    for operation in with_header(operations, "If-Match"):
        url = await victim.url(operation)
        expected = {"If-Match": await etag(url)}
        before = await digest(victim)

        await call(operation, url, {**stranger, **expected})

        assert await digest(victim) == before, str(operation)


async def test_a_foreign_idempotency_key_is_ones_own(operations, victim, other, ask, ask_first):
    found = with_header(operations, "Idempotency-Key")
    for operation in found:
        theirs = await ask_first(operation)

        mine, at_theirs = await ask(operation, other, **KEY), await ask(operation, victim, **KEY)

        assert theirs.is_success or theirs.json()["code"] in REFUSED, str(operation)
        assert mine.status_code == theirs.status_code, str(operation)
        assert "idempotency-replayed" not in mine.headers, str(operation)
        assert at_theirs.status_code == 404, str(operation)
    assert len(found) > 3


async def test_a_foreign_idempotency_key_changes_nothing(operations, victim, other, ask, ask_first, digest):
    for operation in with_header(operations, "Idempotency-Key"):
        await ask_first(operation)
        before = await digest(victim)

        await ask(operation, other, **KEY)

        assert await digest(victim) == before, str(operation)


async def test_a_foreign_cursor_is_no_cursor(operations, victim, other, stranger, owner, client):
    found = [each for each in operations if "cursor" in each.queries and each.parameters == ["tenant"]]
    for make_one in [*victim.factory.values()] * 2:
        await make_one()
    for operation in found:
        page = (await client.get(await victim.url(operation), headers=owner, params={"limit": 1})).json()["page"]
        assert page["next_cursor"] is not None, f"{operation}: one page holds everything"
        url, invented = await other.url(operation), "x" * len(page["next_cursor"])

        foreign = await client.get(url, headers=stranger, params={"cursor": page["next_cursor"]})
        nothing = await client.get(url, headers=stranger, params={"cursor": invented})

        assert foreign.status_code == 400, str(operation)
        assert told(foreign) == told(nothing), str(operation)
    assert len(found) > 5
