"""Many connections ended at once, a hundred at a time, and on record."""

import pytest

from controlplane.domain import audit
from controlplane.domain.vault import ending
from controlplane.kit.ids import text_id
from tests.domain.vault import begun


@pytest.fixture
async def api(client, make, tenant):
    key = {**await make.api_key(tenant), "If-Match": "*"}

    async def api(method, path, **given):
        return await client.request(method, f"/v1/tenants/{tenant.slug}{path}", headers=key, **given)

    return api


@pytest.fixture
async def three(db, tenant):
    """Of three apps at one provider."""
    async with db.tenant(tenant.tenant_id) as tx:
        return [await begun.connected(tx) for _ in range(3)]


async def states(api):
    found = (await api("GET", "/connections")).json()["data"]
    return sorted(each["state"] for each in found)


async def test_what_came_through_one_app_wants_a_person_again_and_nothing_else_does(api, three):
    said = {"how": "needs_reauth", "reason": "stolen", "app": text_id("app", three[0].app_id)}

    answers = [(await api("POST", "/connections/end", json=said)).json() for _ in range(2)]

    assert answers == [{"done": 1, "left": 0}, {"done": 0, "left": 0}]
    assert await states(api) == ["active", "active", "needs_reauth"]


async def test_many_go_some_at_a_time_and_each_is_on_record(api, three, db, tenant, monkeypatch):
    monkeypatch.setattr(ending, "AT_ONCE", 2)
    said = {"how": "revoke", "reason": "stolen", "provider": "generic-oauth2"}

    answers = [(await api("POST", "/connections/end", json=said)).json() for _ in range(2)]

    assert answers == [{"done": 2, "left": 1}, {"done": 1, "left": 0}]
    assert await states(api) == []
    async with db.tenant(tenant.tenant_id) as tx:
        acts = [each.action for each in await audit.listing(tx, limit=5)]
    one = "connection.deleted"
    assert acts == ["connections.ended", one, "connections.ended", one, one]


async def test_what_was_typed_in_wants_no_person(api, three):
    typed = {"provider": "generic-api-key", "name": "x", "fields": {"api_key": "k"}}
    await api("POST", "/connections", json=typed)

    marked = await api("POST", "/connections/end", json={"how": "needs_reauth", "reason": "x", "all": True})

    assert marked.json() == {"done": 3, "left": 0}
    assert await states(api) == ["active"] + ["needs_reauth"] * 3


async def test_all_has_to_be_said(api, three):
    answer = await api("POST", "/connections/end", json={"how": "revoke", "reason": "x"})

    assert (answer.json()["code"], await states(api)) == ("connections-unnamed", ["active"] * 3)
