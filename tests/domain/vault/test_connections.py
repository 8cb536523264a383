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
from tests.domain.vault.begun import API_KEY, BASIC_AUTH, CUSTOM, GENERIC, TWILIO
from tests.holdings import dumped
from tests.make import SHELL

BASIC = {"username": Secret("ada"), "password": Secret("correct horse")}


async def put_in(tx, which=API_KEY, fields=None, **given):
    new = NewStatic(name="Ours", fields={"api_key": Secret("sk-very-secret")} if fields is None else fields, **given)
    return await statics.create(tx, SHELL, which, new)


async def put(tx, **columns):
    await tx.run(tx.update(t.connections).values(**columns))


async def blob_of(tx, column):
    return await tx.scalar(tx.select(t.connections).with_only_columns(t.connections.c[column]))


async def test_an_api_key_is_active_at_once_and_opened_again(db, make):
    tenant = await make.tenant()

    async with db.tenant(tenant.tenant_id) as tx:
        made = await put_in(tx, labels={"team": "data"}, owner_ref="u-7")
        found, access = await connections.access(tx, made.id)

    assert (made.state, made.cred_version, made.labels, made.owner_ref) == ("active", 1, {"team": "data"}, "u-7")
    assert found == made
    assert access.fields["api_key"].reveal() == "sk-very-secret"


async def test_what_has_several_parts_keeps_them_apart(db, make):
    tenant = await make.tenant()

    async with db.tenant(tenant.tenant_id) as tx:
        made = await put_in(tx, BASIC_AUTH, BASIC)
        _, access = await connections.access(tx, made.id)

    assert access.token is None
    assert {name: value.reveal() for name, value in access.fields.items()} == {
        "username": "ada",
        "password": "correct horse",
    }


@pytest.mark.parametrize(
    ("which", "fields"),
    [
        (API_KEY, {"token": "x"}),
        (API_KEY, {"api_key": ""}),
        (API_KEY, {"api_key": "x" * 8_193}),
        (BASIC_AUTH, {"username": "x"}),
        (BASIC_AUTH, {"username": "x", "password": "y", "more": "z"}),
        (TWILIO, {"account_sid": "a/b", "auth_token": "x"}),
        (CUSTOM, {}),
        (CUSTOM, {"Not A Name": "x"}),
        (CUSTOM, {f"f{number}": "x" for number in range(21)}),
    ],
)
async def test_fields_that_do_not_fit_are_refused(db, make, which, fields):
    tenant = await make.tenant()

    async with db.tenant(tenant.tenant_id) as tx:
        with pytest.raises(FieldsUnfit):
            await put_in(tx, which, {name: Secret(each) for name, each in fields.items()})


@pytest.mark.parametrize("headers", [{"X-Key": "{other}"}, {"X Key": "{api_key}"}, {"X-Key": "a\r\nHost: b"}])
async def test_headers_carry_what_there_is_and_nothing_else(db, make, headers):
    tenant = await make.tenant()

    async with db.tenant(tenant.tenant_id) as tx:
        with pytest.raises(FieldsUnfit):
            await put_in(tx, headers=headers)
        made = await put_in(tx, headers={"X-Key": "k {api_key}"}, api_base="https://api.example")

    assert made.facts == {"api_base": "https://api.example", "headers": {"X-Key": "k {api_key}"}}


async def test_a_provider_that_is_known_says_itself_where_it_is_used(db, make):
    tenant = await make.tenant()
    fields = {"account_sid": Secret("AC1"), "auth_token": Secret("x")}

    async with db.tenant(tenant.tenant_id) as tx:
        with pytest.raises(FieldsUnfit):
            await put_in(tx, TWILIO, fields, api_base="https://evil.example")


async def test_a_dump_of_the_database_shows_nothing_of_it(db, make, admin_url):
    tenant = await make.tenant()
    async with db.tenant(tenant.tenant_id) as tx:
        made = await put_in(tx, BASIC_AUTH, BASIC)
        await statics.replace(tx, SHELL, BASIC_AUTH, made.id, {**BASIC, "password": Secret("battery staple")})

    everything = await dumped(admin_url)

    for secret in ("correct horse", "battery staple"):
        assert secret not in everything
        assert secret.encode().hex() not in everything


async def test_a_replaced_credential_is_another_version_and_the_one_before_opens_no_more(db, make):
    tenant = await make.tenant()
    async with db.tenant(tenant.tenant_id) as tx:
        made = await put_in(tx)
        before = await blob_of(tx, "access_blob")
        replaced = await statics.replace(tx, SHELL, API_KEY, made.id, {"api_key": Secret("sk-other")})
        _, access = await connections.access(tx, made.id)
        await put(tx, access_blob=before)  # a row that somebody rolled back

    async with db.tenant(tenant.tenant_id) as tx:
        with pytest.raises(NotOpened):
            await connections.access(tx, made.id)
    assert (replaced.cred_version, access.fields["api_key"].reveal()) == (2, "sk-other")


async def test_envelopes_do_not_open_for_another_row_or_another_purpose(db, make):
    tenant = await make.tenant()
    async with db.tenant(tenant.tenant_id) as tx:
        made = await put_in(tx)
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
        await put_in(tx)
        await sealed.seal_access(tx, UUID(int=7), 1, Access(token=Secret("x")))
        await sealed.seal_refresh(tx, UUID(int=7), 1, Secret("x"))
        await sealed.seal_proof(tx, UUID(int=7), 1, Proof(secret=Secret("x")))
        await sealed.seal_verifier(tx, UUID(int=7), Secret("x"))
        kinds = [row["kind"] for row in await tx.rows(tx.select(t.data_keys).with_only_columns(t.data_keys.c.kind))]

    assert sorted(kind for kind in kinds if kind in ("access", "refresh")) == ["access", "refresh"]


async def test_another_tenants_connection_is_absent(db, make):
    mine, theirs = await make.tenant(), await make.tenant()
    async with db.tenant(theirs.tenant_id) as tx:
        made = await put_in(tx)

    async with db.tenant(mine.tenant_id) as tx:
        for asking in (connections.get, connections.access, connections.refresh_token, connections.endpoints):
            with pytest.raises(NotFound):
                await asking(tx, made.id)
        assert await connections.listing(tx, limit=10) == []


async def test_a_list_shows_what_is_asked_for_newest_first(db, make, clock):
    tenant = await make.tenant()
    async with db.tenant(tenant.tenant_id) as tx:
        first = await put_in(tx, labels={"team": "data", "tier": "1"})
    clock.forward(timedelta(seconds=1))
    async with db.tenant(tenant.tenant_id) as tx:
        second = await put_in(tx, BASIC_AUTH, BASIC, owner_ref="u-7")

        async def ids(**filters):
            return [each.id for each in await connections.listing(tx, Filters(**filters), limit=10)]

        assert await ids() == [second.id, first.id]
        assert await ids(provider="generic-api-key") == [first.id]
        assert await ids(owner_ref="u-7") == [second.id]
        assert await ids(labels={"team": "data"}) == [first.id]
        assert await ids(state="disabled") == []
        assert [each.id for each in await connections.listing(tx, after=second.id, limit=10)] == [first.id]


async def test_a_change_is_audited_and_stands_in_its_history(db, make, clock):
    tenant = await make.tenant()
    async with db.tenant(tenant.tenant_id) as tx:
        made = await put_in(tx)
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
        made = await put_in(tx)
        await put(tx, refresh_blob=await sealed.seal_refresh(tx, made.id, 1, Secret("dead")), auth="oauth2")

    async with db.tenant(tenant.tenant_id) as tx:
        turned = await connections.needs_reauth(tx, SHELL, made.id, "invalid_grant")
        version, token = await connections.refresh_token(tx, made.id)

    assert (turned.state, turned.state_reason) == ("needs_reauth", "invalid_grant")
    assert (version, token) == (1, None)


async def test_what_comes_from_a_provider_is_not_typed_in(db, make):
    tenant = await make.tenant()
    async with db.tenant(tenant.tenant_id) as tx:
        with pytest.raises(NotStatic):
            await put_in(tx, GENERIC)


async def test_what_is_deleted_is_not_changed_any_more(db, make):
    tenant = await make.tenant()
    async with db.tenant(tenant.tenant_id) as tx:
        made = await put_in(tx)
        await put(tx, state="deleted")

        with pytest.raises(ConnectionGone):
            await connections.change(tx, SHELL, made.id, Change(name="x"))
        with pytest.raises(ConnectionGone):
            await statics.replace(tx, SHELL, API_KEY, made.id, {"api_key": Secret("x")})
        assert await connections.listing(tx, limit=10) == []
        assert [each.id for each in await connections.listing(tx, Filters(state="deleted"), limit=10)] == [made.id]


async def test_a_tenant_has_no_more_than_its_plan_allows(db, make):
    tenant = await make.tenant()
    async with db.tenant(tenant.tenant_id) as tx:
        await quotas.agree(tx, SHELL, None, {"connections": 1})
        await put_in(tx)

        with pytest.raises(QuotaExceeded):
            await put_in(tx)
