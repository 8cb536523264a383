"""A request that is sent again with its Idempotency-Key is answered again, and done once."""

import asyncio
from datetime import timedelta

import pytest

from controlplane.db import schema as t
from controlplane.domain import idempotency
from controlplane.domain.idempotency import Claim
from tests.make import bearer

KEY = {"Idempotency-Key": '"8e03978e-40d5-43dd-bc93-6894a57f9324"'}


@pytest.fixture
async def key(make, tenant):
    return await make.api_key(tenant)


@pytest.fixture
def call(client, key, tenant):
    async def call(method, path, headers=(), **given):
        return await client.request(
            method, f"/v1/tenants/{tenant.slug}{path}", headers={**key, **dict(headers)}, **given
        )

    return call


@pytest.fixture
def create(call):
    async def create(headers=(), **fields):
        return await call("POST", "/api-keys", {**KEY, **dict(headers)}, json={"name": "ci", **fields})

    return create


async def test_sent_again_it_is_answered_again_and_done_once(call, create):
    first, again = await create(), await create()

    assert (first.status_code, again.status_code) == (201, 201)
    assert again.headers["idempotency-replayed"] == "true"
    assert "idempotency-replayed" not in first.headers
    assert again.headers["location"] == first.headers["location"]
    assert again.json()["id"] == first.json()["id"]
    assert len((await call("GET", "/api-keys")).json()["data"]) == 2
    events = [event["action"] for event in (await call("GET", "/audit-events")).json()["data"]]
    assert events.count("api-key.created") == 2


async def test_a_secret_is_not_shown_a_second_time_and_not_kept(db, create, tenant):
    first, again = await create(), await create()

    secret = first.json().pop("key")
    assert "key" not in again.json()
    assert "shown once" in again.json()["notice"]
    assert secret not in again.text
    assert {**again.json(), "key": secret} == {**first.json(), "notice": again.json()["notice"]}
    async with db.tenant(tenant.tenant_id) as tx:
        body = await tx.scalar(tx.select(t.idempotency_records).with_only_columns(t.idempotency_records.c.body))
    assert b"ec_sk_" not in body.replace(first.json()["hint"].encode(), b"")


async def test_where_its_object_can_be_found_is_said(call, create):
    made = await create()

    assert made.headers["location"].endswith(f"/api-keys/{made.json()['id']}")
    assert (await call("GET", f"/api-keys/{made.json()['id']}")).status_code == 200


async def test_the_key_of_another_request_is_refused(call, create):
    await create()

    refused = await create(name="another")
    written_otherwise = await call("POST", "/api-keys", KEY, content=b'{ "name" :"ci" }', timeout=5)
    as_json = {**KEY, "content-type": "application/json"}
    the_same = await call("POST", "/api-keys", as_json, content=b'{ "name" :"ci" }')

    assert (refused.status_code, refused.json()["code"]) == (422, "idempotency-key-reused")
    assert written_otherwise.status_code == 415
    assert the_same.headers["idempotency-replayed"] == "true"


async def test_slug_and_id_are_one_tenant(client, key, tenant, create):
    first = await create()

    again = await client.post(
        f"/v1/tenants/{(await client.get(f'/v1/tenants/{tenant.slug}', headers=key)).json()['id']}/api-keys",
        headers={**key, **KEY},
        json={"name": "ci"},
    )

    assert again.json()["id"] == first.json()["id"]


async def test_callers_operations_and_tenants_have_keys_of_their_own(client, make, tenant, call, create):
    other = await make.tenant()
    mine = await create()

    colleague = await create(await make.api_key(tenant))
    elsewhere = await client.post(
        f"/v1/tenants/{other.slug}/api-keys", headers={**await make.api_key(other), **KEY}, json={"name": "ci"}
    )
    another_thing = await call("POST", "/join-tokens", KEY, json={})

    assert [each.status_code for each in (mine, colleague, elsewhere, another_thing)] == [201] * 4
    assert not any("idempotency-replayed" in each.headers for each in (colleague, elsewhere, another_thing))
    assert len({mine.json()["id"], colleague.json()["id"], elsewhere.json()["id"]}) == 3


async def test_what_was_refused_may_be_tried_again_with_the_same_key(call):
    refused = await call("POST", "/join-tokens", KEY, json={"project": "later"})

    mended = await call("POST", "/join-tokens", KEY, json={"project": "default"})

    assert (refused.status_code, mended.status_code) == (404, 201)


async def test_of_many_at_the_same_time_one_is_done(call, create):
    answers = await asyncio.gather(*(create() for _ in range(6)))

    others = [answer for answer in answers if answer.status_code == 409]
    made = {answer.json()["id"] for answer in answers if answer.status_code == 201}
    assert len(made) == 1
    assert {answer.json()["code"] for answer in others} <= {"idempotency-in-progress"}
    assert all(int(answer.headers["retry-after"]) > 0 for answer in others)
    assert len((await call("GET", "/api-keys")).json()["data"]) == 2


async def test_one_that_is_being_worked_on_is_not_waited_for(client, db, tenant, key, create, call):
    me = (await call("GET", "/api-keys")).json()["data"][0]["id"]
    operation = "POST /v1/tenants/{tenant}/api-keys"
    claim = Claim(
        principal=f"api-key {me}", operation=operation, key=KEY["Idempotency-Key"].strip('"'), fingerprint=bytes(32)
    )
    async with db.tenant(tenant.tenant_id) as tx:
        await idempotency.earlier(tx, claim)

        waiting = await create()

    assert (waiting.status_code, waiting.json()["code"]) == (409, "idempotency-in-progress")
    assert (await create()).status_code == 201


@pytest.mark.parametrize("given", ['""', '"a', "a b", '"a"b', "é", "x" * 256, '"\\n"', '"a" ; b'])
async def test_what_is_no_key_is_refused_by_its_name(create, given):
    answer = await create({"Idempotency-Key": given.encode()})

    assert (answer.status_code, answer.json()["errors"][0]["name"]) == (400, "Idempotency-Key")


async def test_a_key_may_be_in_quotes_or_bare(create):
    first = await create({"Idempotency-Key": '"a\\"b"'})
    bare = await create({"Idempotency-Key": "plain"})
    quoted = await create({"Idempotency-Key": '"plain"'})

    assert first.status_code == 201
    assert quoted.json()["id"] == bare.json()["id"]


async def test_a_key_is_good_for_a_day(db, clock, create, tenant):
    first = await create()
    clock.forward(idempotency.LIFETIME - timedelta(seconds=1))
    within = await create()
    assert await idempotency.forget_expired(db) == 0
    clock.forward(timedelta(seconds=1))
    assert await idempotency.forget_expired(db) == 1

    after = await create()

    assert within.json()["id"] == first.json()["id"] != after.json()["id"]


async def test_one_that_has_expired_and_is_still_there_counts_for_nothing(clock, create):
    first = await create()
    clock.forward(idempotency.LIFETIME)

    after = await create()
    again = await create()

    assert first.json()["id"] != after.json()["id"] == again.json()["id"]


async def test_whoever_may_no_longer_is_not_answered_from_memory(call, create, make, tenant):
    made = (await call("POST", "/api-keys", json={"name": "short-lived"})).json()
    mine = bearer(made["key"])
    await create(mine)
    await call("DELETE", f"/api-keys/{made['id']}")

    assert (await create(mine)).json()["code"] == "api-key-revoked"


async def test_operators_have_keys_too(client, make, db):
    operator = await make.operator()

    async def create():
        return await client.post(
            "/v1/operator/tenants", headers={**operator.headers, **KEY}, json={"slug": "acme", "name": "Acme"}
        )

    first, again = await create(), await create()

    assert (first.status_code, again.status_code) == (201, 201)
    assert again.content == first.content
    assert again.headers["idempotency-replayed"] == "true"


async def test_an_operators_expired_answer_is_forgotten(client, make, db, clock):
    headers = {**(await make.operator()).headers, **KEY}
    await client.post("/v1/operator/keys", headers=headers, json={"name": "x"})
    clock.forward(idempotency.LIFETIME)

    assert await idempotency.forget_expired(db) == 1
