"""Connections: what is typed in is kept sealed, for its place and version alone."""

from datetime import timedelta
from uuid import UUID

import pytest

from controlplane.db import schema as t
from controlplane.domain import audit, quotas
from controlplane.domain.quotas import QuotaExceeded
from controlplane.domain.vault import connections, histories, sealed, statics
from controlplane.domain.vault.connections import Change, ConnectionGone, Filters
from controlplane.domain.vault.sealed import Access, Proof
from controlplane.domain.vault.statics import FieldsUnfit, NewStatic, NotStatic
from controlplane.kit.envelope import NotOpened
from controlplane.kit.problems import NotFound
from controlplane.kit.secret import Secret
from tests.holdings import dumped
from tests.make import SHELL

BASIC = {"username": Secret("ada"), "password": Secret("correct horse")}


def new(auth="api_key", fields=None, **given):
    return NewStatic(auth=auth, name="Ours", fields=fields or {"key": Secret("sk-very-secret")}, **given)


async def put(tx, **columns):
    await tx.run(tx.update(t.connections).values(**columns))


async def blob_of(tx, column):
    return await tx.scalar(tx.select(t.connections).with_only_columns(t.connections.c[column]))


async def test_an_api_key_is_active_at_once_and_opened_again(db, make):
    tenant = await make.tenant()

    async with db.tenant(tenant.tenant_id) as tx:
        made = await statics.create(tx, SHELL, new(labels={"team": "data"}, owner_ref="u-7"))
        found, access = await connections.access(tx, made.id)

    assert (made.state, made.cred_version, made.labels, made.owner_ref) == ("active", 1, {"team": "data"}, "u-7")
    assert found == made
    assert access.token.reveal() == "sk-very-secret"


async def test_what_has_several_parts_keeps_them_apart(db, make):
    tenant = await make.tenant()

    async with db.tenant(tenant.tenant_id) as tx:
        made = await statics.create(tx, SHELL, new("basic", BASIC))
        _, access = await connections.access(tx, made.id)

    assert access.token is None
    assert {name: value.reveal() for name, value in access.fields.items()} == {
        "username": "ada",
        "password": "correct horse",
    }


@pytest.mark.parametrize(
    ("auth", "fields"),
    [
        ("api_key", {"token": "x"}),
        ("basic", {"username": "x"}),
        ("basic", {"username": "x", "password": "y", "more": "z"}),
        ("bearer", {"token": ""}),
        ("secret", {"value": "x" * 8_193}),
        ("custom", {}),
        ("custom", {str(number): "x" for number in range(21)}),
        ("oauth2", {"token": "x"}),
    ],
)
async def test_fields_that_do_not_fit_are_refused(db, make, auth, fields):
    tenant = await make.tenant()

    async with db.tenant(tenant.tenant_id) as tx:
        with pytest.raises(FieldsUnfit):
            await statics.create(
                tx, SHELL, NewStatic(auth=auth, name="x", fields={name: Secret(each) for name, each in fields.items()})
            )


async def test_a_dump_of_the_database_shows_nothing_of_it(db, make, admin_url):
    tenant = await make.tenant()
    async with db.tenant(tenant.tenant_id) as tx:
        made = await statics.create(tx, SHELL, new("basic", BASIC))
        await statics.replace(tx, SHELL, made.id, {**BASIC, "password": Secret("battery staple")})

    everything = await dumped(admin_url)

    for secret in ("correct horse", "battery staple"):
        assert secret not in everything
        assert secret.encode().hex() not in everything


async def test_a_replaced_credential_is_another_version_and_the_one_before_opens_no_more(db, make):
    tenant = await make.tenant()
    async with db.tenant(tenant.tenant_id) as tx:
        made = await statics.create(tx, SHELL, new())
        before = await blob_of(tx, "access_blob")
        replaced = await statics.replace(tx, SHELL, made.id, {"key": Secret("sk-other")})
        _, access = await connections.access(tx, made.id)
        await put(tx, access_blob=before)  # a row that somebody rolled back

    async with db.tenant(tenant.tenant_id) as tx:
        with pytest.raises(NotOpened):
            await connections.access(tx, made.id)
    assert (replaced.cred_version, access.token.reveal()) == (2, "sk-other")


async def test_envelopes_do_not_open_for_another_row_or_another_purpose(db, make):
    tenant = await make.tenant()
    async with db.tenant(tenant.tenant_id) as tx:
        made = await statics.create(tx, SHELL, new())
        access = await blob_of(tx, "access_blob")
        refresh = await sealed.seal_refresh(tx, made.id, 1, Secret("a refresh token"))

        assert (await sealed.open_refresh(tx, made.id, 1, refresh)).reveal() == "a refresh token"
        with pytest.raises(NotOpened):
            await sealed.open_access(tx, UUID(int=7), 1, access)
        with pytest.raises(NotOpened):
            await sealed.open_refresh(tx, made.id, 2, refresh)
        await put(tx, access_blob=refresh)  # a refresh token where an access token is expected
        with pytest.raises(NotOpened):
            await connections.access(tx, made.id)


async def test_access_and_refresh_tokens_are_of_two_classes_of_keys(db, make):
    tenant = await make.tenant()
    async with db.tenant(tenant.tenant_id) as tx:
        await statics.create(tx, SHELL, new())
        await sealed.seal_access(tx, UUID(int=7), 1, Access(token=Secret("x")))
        await sealed.seal_refresh(tx, UUID(int=7), 1, Secret("x"))
        await sealed.seal_proof(tx, UUID(int=7), 1, Proof(secret=Secret("x")))
        await sealed.seal_verifier(tx, UUID(int=7), Secret("x"))
        kinds = [row["kind"] for row in await tx.rows(tx.select(t.data_keys).with_only_columns(t.data_keys.c.kind))]

    assert sorted(kind for kind in kinds if kind in ("access", "refresh")) == ["access", "refresh"]


async def test_another_tenants_connection_is_absent(db, make):
    mine, theirs = await make.tenant(), await make.tenant()
    async with db.tenant(theirs.tenant_id) as tx:
        made = await statics.create(tx, SHELL, new())

    async with db.tenant(mine.tenant_id) as tx:
        for asking in (connections.get, connections.access, connections.refresh_token, connections.endpoints):
            with pytest.raises(NotFound):
                await asking(tx, made.id)
        assert await connections.listing(tx, limit=10) == []


async def test_a_list_shows_what_is_asked_for_newest_first(db, make, clock):
    tenant = await make.tenant()
    async with db.tenant(tenant.tenant_id) as tx:
        first = await statics.create(tx, SHELL, new(provider="openai", labels={"team": "data", "tier": "1"}))
    clock.forward(timedelta(seconds=1))
    async with db.tenant(tenant.tenant_id) as tx:
        second = await statics.create(tx, SHELL, new(provider="twilio", owner_ref="u-7"))

        async def ids(**filters):
            return [each.id for each in await connections.listing(tx, Filters(**filters), limit=10)]

        assert await ids() == [second.id, first.id]
        assert await ids(provider="openai") == [first.id]
        assert await ids(owner_ref="u-7") == [second.id]
        assert await ids(labels={"team": "data"}) == [first.id]
        assert await ids(state="disabled") == []
        assert [each.id for each in await connections.listing(tx, after=second.id, limit=10)] == [first.id]


async def test_a_change_is_audited_and_stands_in_its_history(db, make, clock):
    tenant = await make.tenant()
    async with db.tenant(tenant.tenant_id) as tx:
        made = await statics.create(tx, SHELL, new())
    clock.forward(timedelta(seconds=1))
    async with db.tenant(tenant.tenant_id) as tx:
        changed = await connections.change(tx, SHELL, made.id, Change(name="Theirs", labels={"a": "b"}))

    async with db.tenant(tenant.tenant_id) as tx:
        history = await histories.listing(tx, made.id, after=None, limit=10)
        [event, *_] = await audit.listing(tx, limit=10)

    assert (changed.name, changed.labels) == ("Theirs", {"a": "b"})
    assert [entry.type for entry in history] == ["connection.changed", "connection.created"]
    assert (event.action, event.facts["changed"]) == ("connection.changed", ["labels", "name"])


async def test_whoever_needs_a_person_again_forgets_the_refresh_token(db, make):
    tenant = await make.tenant()
    async with db.tenant(tenant.tenant_id) as tx:
        made = await statics.create(tx, SHELL, new())
        await put(tx, refresh_blob=await sealed.seal_refresh(tx, made.id, 1, Secret("dead")), auth="oauth2")

    async with db.tenant(tenant.tenant_id) as tx:
        turned = await connections.needs_reauth(tx, SHELL, made.id, "invalid_grant")
        version, token = await connections.refresh_token(tx, made.id)

    assert (turned.state, turned.state_reason) == ("needs_reauth", "invalid_grant")
    assert (version, token) == (1, None)


async def test_what_comes_from_a_provider_is_not_typed_in(db, make):
    tenant = await make.tenant()
    async with db.tenant(tenant.tenant_id) as tx:
        made = await statics.create(tx, SHELL, new())
        await put(tx, auth="oauth2")

        with pytest.raises(NotStatic):
            await statics.replace(tx, SHELL, made.id, {"key": Secret("x")})


async def test_what_is_deleted_is_not_changed_any_more(db, make):
    tenant = await make.tenant()
    async with db.tenant(tenant.tenant_id) as tx:
        made = await statics.create(tx, SHELL, new())
        await put(tx, state="deleted")

        with pytest.raises(ConnectionGone):
            await connections.change(tx, SHELL, made.id, Change(name="x"))
        with pytest.raises(ConnectionGone):
            await statics.replace(tx, SHELL, made.id, {"key": Secret("x")})
        assert await connections.listing(tx, limit=10) == []
        assert [each.id for each in await connections.listing(tx, Filters(state="deleted"), limit=10)] == [made.id]


async def test_a_tenant_has_no_more_than_its_plan_allows(db, make):
    tenant = await make.tenant()
    async with db.tenant(tenant.tenant_id) as tx:
        await quotas.agree(tx, SHELL, None, {"connections": 1})
        await statics.create(tx, SHELL, new())

        with pytest.raises(QuotaExceeded):
            await statics.create(tx, SHELL, new())
