"""Which credential opens what, until when, and what is said to one that does not."""

from datetime import timedelta

import pytest

from controlplane.db import schema as t
from controlplane.domain import api_keys, operator_keys, people, tenants
from controlplane.kit import tokens
from controlplane.kit.ids import text_id
from tests.conftest import KEYRING
from tests.make import SHELL, bearer


@pytest.fixture
async def tenant(make):
    return await make.tenant()


@pytest.fixture
def ask(client, tenant):
    async def ask(headers, path=""):
        answer = await client.get(f"/v1/tenants/{tenant.slug}{path}", headers=headers)
        return answer.status_code, answer.json().get("code")

    return ask


async def test_a_key_opens_its_tenant_by_slug_and_by_id(client, make, tenant):
    key = await make.api_key(tenant)

    by_slug = await client.get(f"/v1/tenants/{tenant.slug}", headers=key)
    by_id = await client.get(f"/v1/tenants/{text_id('ten', tenant.tenant_id)}", headers=key)

    assert by_slug.status_code == by_id.status_code == 200, by_slug.text
    assert by_slug.json() == by_id.json()


async def test_a_key_ends_when_it_says(make, tenant, ask, clock):
    key = await make.api_key(tenant, lifetime=timedelta(minutes=5))
    assert await ask(key) == (200, None)

    clock.forward(timedelta(minutes=5))

    assert await ask(key) == (401, "api-key-expired")


async def test_a_revoked_key_opens_nothing_from_the_next_call_on(db, make, tenant, ask):
    key = await make.api_key(tenant)
    assert await ask(key) == (200, None)

    async with db.tenant(tenant.tenant_id) as tx:
        [row] = await api_keys.listing(tx, after=None, limit=9)
        await api_keys.revoke(tx, SHELL, row.id)

    assert await ask(key) == (401, "api-key-revoked")


@pytest.mark.parametrize(
    "authorization",
    [
        "",
        "Bearer",
        "Bearer ",
        "Basic eDp5",
        "Bearer x",
        "Bearer ec_sk_",
        "ec_sk_x",
        "Bearer ec_sk_é",
        "Bearer " + "x" * 9000,
    ],
)
async def test_what_cannot_be_a_key_is_refused_without_asking_the_database(client, tenant, authorization, app):
    app.state.db = None

    headers = [(b"authorization", authorization.encode())]
    answer = await client.get(f"/v1/tenants/{tenant.slug}", headers=headers)

    assert (answer.status_code, answer.json()["code"]) == (401, "api-key-unknown")


async def test_a_key_that_nobody_made_is_unknown(ask):
    assert await ask(bearer(tokens.mint("sk"))) == (401, "api-key-unknown")


@pytest.mark.parametrize("kind", ["op", "jt", "rk", "sc"])
async def test_a_secret_of_another_kind_is_not_even_looked_up(ask, kind, app, tenant):
    app.state.db = None

    assert await ask(bearer(tokens.mint(kind))) == (401, "credential-elsewhere")


async def test_a_key_beside_a_session_is_what_counts(make, tenant, ask):
    owner, viewers_key = await make.person(tenant, "owner"), await make.api_key(tenant, "viewer")

    assert await ask(owner.headers, "/api-keys") == (200, None)
    assert await ask({**owner.headers, **viewers_key}, "/api-keys") == (403, "permission-denied")
    assert await ask({**owner.headers, **bearer("nonsense")}, "/api-keys") == (401, "api-key-unknown")


async def test_what_is_denied_is_named(client, make, tenant):
    key = await make.api_key(tenant, "billing")

    answer = await client.get(f"/v1/tenants/{tenant.slug}/sessions", headers=key)

    assert answer.status_code == 403
    assert answer.json()["permission"] == "session:read"


async def test_people_come_in_where_they_are_members_only(make, tenant, ask):
    assert await ask((await make.person(tenant)).headers) == (200, None)
    assert await ask((await make.person()).headers) == (404, "not-found")
    assert await ask((await make.operator()).headers) == (404, "not-found")


async def test_a_disabled_member_is_a_stranger_from_the_next_call_on(db, make, tenant, ask):
    human = await make.person(tenant)
    async with db.tenant(tenant.tenant_id) as tx:
        await tx.run(tx.update(t.users).values(status="disabled"))
        tx.audited = True

    assert await ask(human.headers) == (404, "not-found")


async def test_a_disabled_account_is_signed_out_everywhere(db, make, tenant, ask):
    human = await make.person(tenant)
    async with db.platform() as tx:
        await tx.run(tx.update(t.accounts).values(status="disabled"))
        tx.audited = True

    assert await ask(human.headers) == (401, "authentication-required")


async def test_a_role_counts_from_the_next_call_on(db, make, tenant, ask):
    human = await make.person(tenant, "viewer")
    assert await ask(human.headers, "/api-keys") == (403, "permission-denied")

    async with db.tenant(tenant.tenant_id) as tx:
        await tx.run(tx.update(t.role_assignments).values(built_in="admin"))
        tx.audited = True

    assert await ask(human.headers, "/api-keys") == (200, None)


async def test_a_suspended_tenant_says_so_to_its_own_and_to_nobody_else(db, make, tenant, ask):
    key, human, stranger = await make.api_key(tenant), await make.person(tenant), await make.person()
    async with db.tenant(tenant.tenant_id) as tx:
        await tenants.suspend(tx, SHELL, "unpaid")

    assert await ask(key) == (403, "tenant-suspended")
    assert await ask(human.headers) == (403, "tenant-suspended")
    assert await ask(stranger.headers) == (404, "not-found")


async def test_the_use_of_a_key_is_written_down_apart_from_its_requests(app, db, make, tenant, ask, clock):
    key = await make.api_key(tenant)
    for _ in range(3):
        clock.forward(timedelta(seconds=7))
        assert await ask(key) == (200, None)

    async def used():
        async with db.tenant(tenant.tenant_id) as tx:
            [row] = await api_keys.listing(tx, after=None, limit=9)
        return row.last_used_at, row.last_used_from

    assert await used() == (None, None)
    assert await app.state.key_uses.keep(db) == 1
    assert await used() == (clock.now, "127.0.0.1")
    assert await app.state.key_uses.keep(db) == 0


async def test_one_tenants_trouble_does_not_keep_the_uses_of_others_from_being_written(app, db, make, tenant, ask):
    uses = app.state.key_uses
    uses.note(tenant.tenant_id, "no id of a key", db.clock(), "::1")
    other = await make.tenant()
    async with db.tenant(other.tenant_id) as tx:
        key, _ = await api_keys.for_automation(tx, SHELL, KEYRING.pepper, "ci")
    uses.note(other.tenant_id, key.id, db.clock(), "::1")

    with pytest.raises(ExceptionGroup):
        await uses.keep(db)

    async with db.tenant(other.tenant_id) as tx:
        assert (await api_keys.get(tx, key.id)).last_used_from == "::1"


async def test_an_operator_key_ends_with_its_operator(db, client, make):
    operator = await make.operator()
    key = await make.operator_key(operator)
    assert (await client.get("/v1/operator/tenants", headers=key)).status_code == 200

    async with db.platform() as tx:
        await tx.run(tx.delete(t.operators).where(t.operators.c.account_id == operator.account.id))
        tx.audited = True

    assert (await client.get("/v1/operator/tenants", headers=key)).json()["code"] == "api-key-unknown"


async def test_an_operator_key_ends_when_it_says_or_when_it_is_revoked(db, client, make, clock):
    operator = await make.operator()
    key = await make.operator_key(operator)
    async with db.platform() as tx:
        [row] = await operator_keys.listing(tx, after=None, limit=9)
        _, brief = await operator_keys.create(
            tx, SHELL, KEYRING.pepper, operator.account.id, "brief", lifetime=timedelta(minutes=1)
        )
        await operator_keys.revoke(tx, SHELL, row.id)
    clock.forward(timedelta(minutes=1))

    revoked = await client.get("/v1/operator/tenants", headers=key)
    expired = await client.get("/v1/operator/tenants", headers=bearer(brief))

    assert revoked.json()["code"] == "api-key-revoked"
    assert expired.json()["code"] == "api-key-expired"


async def test_an_operator_does_what_the_role_allows(client, make, db):
    viewer = await make.operator("viewer")

    assert (await client.get("/v1/operator/tenants", headers=viewer.headers)).status_code == 200
    denied = await client.post("/v1/operator/tenants", headers=viewer.headers, json={"slug": "acme", "name": "Acme"})
    assert (denied.status_code, denied.json()["permission"]) == (403, "operator:tenant-write")

    async with db.platform() as tx:
        await people.make_operator(tx, SHELL, viewer.account.id, "admin")
    allowed = await client.post("/v1/operator/tenants", headers=viewer.headers, json={"slug": "acme", "name": "Acme"})
    assert allowed.status_code == 201, allowed.text
