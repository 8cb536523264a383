"""Many keys or join tokens at once: each with its own result and its own audit event, or none."""

import pytest

from controlplane.kit.ids import new_id, text_id

KEY = {"Idempotency-Key": "once"}


@pytest.fixture
async def call(client, make, tenant):
    key = await make.api_key(tenant)

    async def call(method, path, headers=(), **given):
        return await client.request(
            method, f"/v1/tenants/{tenant.slug}{path}", headers={**key, **dict(headers)}, **given
        )

    return call


@pytest.fixture(params=["api-keys", "join-tokens"])
def kind(request):
    return request.param


@pytest.fixture
async def two(call, kind):
    return [
        (await call("POST", f"/{kind}", json={"name": "x"} if kind == "api-keys" else {})).json()["id"] for _ in "ab"
    ]


@pytest.fixture
def absent(clock, kind):
    return text_id("key" if kind == "api-keys" else "jt", new_id(clock()))


async def revoked(call, kind, ids):
    return [(await call("GET", f"/{kind}/{each}")).json()["revoked_at"] is not None for each in ids]


async def events(call):
    actions = [event["action"] for event in (await call("GET", "/audit-events")).json()["data"]]
    return sum(action.endswith(".revoked") for action in actions)


async def test_each_is_revoked_and_each_is_in_the_audit_log(call, kind, two):
    answer = await call("POST", f"/{kind}/revoke", json={"ids": two})

    assert answer.status_code == 200, answer.text
    assert answer.json() == {
        "done": 2,
        "refused": 0,
        "results": [{"id": each, "status": 204, "problem": None} for each in two],
    }
    assert await revoked(call, kind, two) == [True, True]
    assert await events(call) == 2


async def test_what_cannot_be_done_is_said_of_each_and_the_others_are_done(call, kind, two, absent):
    answer = (await call("POST", f"/{kind}/revoke", json={"ids": [two[0], absent, "nonsense", two[1]]})).json()

    assert [each["status"] for each in answer["results"]] == [204, 404, 404, 204]
    assert (answer["done"], answer["refused"]) == (2, 2)
    assert answer["results"][1]["problem"]["code"] == "not-found"
    assert answer["results"][1]["problem"] == answer["results"][2]["problem"]
    assert await revoked(call, kind, two) == [True, True]
    assert await events(call) == 2


async def test_all_or_none(call, kind, two, absent):
    answer = await call("POST", f"/{kind}/revoke", json={"ids": [*two, absent], "atomic": True})

    assert (answer.status_code, answer.json()["code"]) == (409, "batch-refused")
    assert [each["status"] for each in answer.json()["results"]] == [204, 204, 404]
    assert await revoked(call, kind, two) == [False, False]
    assert await events(call) == 0


async def test_another_tenants_are_absent_and_stay(client, call, kind, two, make, absent):
    other = await make.tenant()
    key = await make.api_key(other)
    path = f"/v1/tenants/{other.slug}/{kind}/revoke"

    foreign = await client.post(path, headers=key, json={"ids": two})
    nothing = await client.post(path, headers=key, json={"ids": [absent, absent]})

    assert [each["problem"] for each in foreign.json()["results"]] == [
        each["problem"] for each in nothing.json()["results"]
    ]
    assert await revoked(call, kind, two) == [False, False]


async def test_sent_again_with_its_key_it_is_answered_again(call, kind, two):
    first = await call("POST", f"/{kind}/revoke", KEY, json={"ids": two})
    again = await call("POST", f"/{kind}/revoke", KEY, json={"ids": two})

    assert again.content == first.content
    assert again.headers["idempotency-replayed"] == "true"
    assert await events(call) == 2


async def test_all_or_none_is_said_with_true_or_false(call, kind, two):
    for said in (1, 0, "true", None):
        answer = await call("POST", f"/{kind}/revoke", json={"ids": two, "atomic": said})

        assert (answer.status_code, answer.json()["errors"][0]["name"]) == (400, "atomic")
    assert await revoked(call, kind, two) == [False, False]


@pytest.mark.parametrize("ids", [[], ["x"] * 101, "x", [""], [5]])
async def test_a_batch_has_one_to_a_hundred(call, kind, ids):
    answer = await call("POST", f"/{kind}/revoke", json={"ids": ids})

    assert (answer.status_code, answer.json()["code"]) == (400, "validation-failed")
