"""Foreign things in headers and cursors: what another tenant's ETag, key or cursor gets is what an invented one gets."""

import pytest

from tests.http import test_tenants_apart as apart
from tests.http.test_tenants_apart import BODIES, told

companies, victim, other, stranger = apart.companies, apart.victim, apart.other, apart.stranger
operations, digest, call = apart.operations, apart.digest, apart.call

KEY = {"Idempotency-Key": "the-same-for-everybody"}
INVENTED = '"AAAAAAAAAAAAAAAAAAAA"'


@pytest.fixture
async def owner(victim, make):
    return await make.api_key(victim.tenant)


def with_header(operations, *names):
    return [each for each in operations if not set(names).isdisjoint(each.headers)]


async def test_a_foreign_etag_tells_and_changes_nothing(
    operations, victim, other, stranger, owner, call, client, digest
):
    found = 0
    for operation in with_header(operations, "If-Match", "If-None-Match"):
        theirs = await victim.url(operation)
        tag = (await client.get(theirs, headers=owner)).headers["etag"]
        before = await digest(victim), await digest(other)

        for name in ("If-Match", "If-None-Match"):
            foreign = await call(operation, theirs, {**stranger, name: tag})
            invented = await call(operation, theirs, {**stranger, name: INVENTED})
            inside = await call(operation, await other.url(operation), {**stranger, name: tag})
            inside_invented = await call(operation, await other.url(operation), {**stranger, name: INVENTED})

            assert told(foreign) == told(invented), f"{operation}: {name}"
            assert foreign.status_code == 404, f"{operation}: {name}"
            assert inside.status_code == inside_invented.status_code, f"{operation}: {name}"
            found += 1
        assert await digest(victim) == before[0], str(operation)
    assert found > 10


async def test_a_foreign_idempotency_key_is_ones_own(operations, victim, other, stranger, owner, call, digest):
    found = 0
    for operation in with_header(operations, "Idempotency-Key"):
        theirs = await call(operation, await victim.url(operation), {**owner, **KEY})
        before = await digest(victim)

        mine = await call(operation, await other.url(operation), {**stranger, **KEY})
        at_theirs = await call(operation, await victim.url(operation), {**stranger, **KEY})

        assert theirs.is_success, str(operation)
        assert mine.is_success, str(operation)
        assert "idempotency-replayed" not in mine.headers, str(operation)
        assert apart.CANARY not in mine.text, str(operation)
        assert at_theirs.status_code == 404, str(operation)
        assert await digest(victim) == before, str(operation)
        found += 1
    assert found >= len(BODIES) - 1


async def test_a_foreign_cursor_is_no_cursor(operations, victim, other, stranger, owner, client):
    found = 0
    for operation in operations:
        if operation.method != "GET" or "cursor" not in operation.queries:
            continue
        for make_one in [*victim.factory.values()] * 2:
            await make_one()
        page = await client.get(await victim.url(operation), headers=owner, params={"limit": 1})
        cursor = page.json()["page"]["next_cursor"]
        assert cursor is not None, f"{operation}: one page holds everything"

        foreign = await client.get(await other.url(operation), headers=stranger, params={"cursor": cursor})
        invented = await client.get(await other.url(operation), headers=stranger, params={"cursor": "x" * len(cursor)})

        assert foreign.status_code == 400, str(operation)
        assert told(foreign) == told(invented), str(operation)
        found += 1
    assert found > 5
