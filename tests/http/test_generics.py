"""Services that the catalogue does not have: put in over the API, and leased with what a request carries."""

from uuid import UUID

import pytest
from msgspec import Struct

from controlplane.kit.ids import parse_id
from tests.http.lessees import Lessee, policy


class Made(Struct):
    id: UUID


@pytest.fixture
def put_in(client, make, tenant):
    async def put_in(**given):
        body = {"name": "x", "api_base": "https://api.acme.example", **given}
        headers = await make.api_key(tenant)
        made = await client.post(f"/v1/tenants/{tenant.slug}/connections", headers=headers, json=body)
        return Made(id=parse_id("con", made.json()["id"]))

    return put_in


@pytest.mark.parametrize(
    ("given", "carried"),
    [
        (
            {"provider": "generic-basic", "fields": {"username": "ada", "password": "p:w"}},
            {"Authorization": "Basic YWRhOnA6dw=="},
        ),
        ({"provider": "generic-bearer", "fields": {"token": "t-1"}}, {"Authorization": "Bearer t-1"}),
        (
            {"provider": "generic-custom", "fields": {"one": "1", "two": "2"}, "headers": {"X-Both": "{one}/{two}"}},
            {"X-Both": "1/2"},
        ),
    ],
    ids=["basic", "bearer", "custom"],
)
async def test_what_is_put_in_for_any_service_is_leased_as_requests_carry_it(put_in, tenant, db, agent, given, carried):
    made = await put_in(**given)
    await policy(db, tenant)

    held = await Lessee(agent).lease(made)

    assert (held.contents.inject, held.contents.api_base) == (carried, "https://api.acme.example")
