"""Confirming: what came back counts once whoever began it says so, and is taken back otherwise."""

from datetime import timedelta
from uuid import UUID

import pytest

from controlplane.db import schema as t
from controlplane.domain import audit, events, quotas
from controlplane.domain.quotas import QuotaExceeded
from controlplane.domain.vault import confirming, connections, histories, leaving
from controlplane.domain.vault.confirming import CONFIRM_WITHIN, AnotherAccount, NothingToConfirm, NotTheirs
from controlplane.domain.vault.connections import ConnectionGone, ConnectionUnconfirmed
from controlplane.kit.secret import Secret
from tests.domain.vault.begun import arrive, begin, connected
from tests.make import SHELL


async def test_what_came_back_waits_and_shows_whose_account_it_is(db, make):
    tenant = await make.tenant()
    async with db.tenant(tenant.tenant_id) as tx:
        pending = await arrive(tx, scopes=["a"])

    assert (pending.state, pending.account_key, pending.account_email) == ("pending_confirm", "ada", "ada@example.com")
    assert (pending.name, pending.owner_ref) == ("Ada", "u-7")
    assert (pending.granted_scopes, pending.missing_scopes) == (["a"], ["b"])


async def test_scopes_that_are_not_said_are_those_that_were_asked_for(db, make):
    tenant = await make.tenant()
    async with db.tenant(tenant.tenant_id) as tx:
        pending = await arrive(tx)

    assert pending.granted_scopes == ["a", "b"]


async def test_the_tenants_program_confirms_for_the_end_user_who_began(db, make):
    tenant = await make.tenant()
    async with db.tenant(tenant.tenant_id) as tx:
        pending = await arrive(tx)

        for somebody_else in ({"owner_ref": "u-8"}, {"owner_ref": ""}, {"person_id": UUID(int=7), "owner_ref": "u-7"}):
            with pytest.raises(NotTheirs):
                await confirming.confirm(tx, SHELL, pending.id, **somebody_else)
        confirmed = await confirming.confirm(tx, SHELL, pending.id, owner_ref="u-7")
        _, access = await connections.access(tx, confirmed.id)

    assert (confirmed.state, confirmed.confirm_until) == ("active", None)
    assert access.token.reveal() == "at-of-ada"


async def test_the_person_who_began_confirms_and_nobody_else(db, make):
    tenant = await make.tenant()
    person = await make.account()
    async with db.tenant(tenant.tenant_id) as tx:
        session, _ = await begin(tx, person_id=person.id, owner_ref="u-7")
        pending = await arrive(tx, session)

        for somebody_else in ({"person_id": UUID(int=7)}, {"owner_ref": "u-7"}):
            with pytest.raises(NotTheirs):
                await confirming.confirm(tx, SHELL, pending.id, **somebody_else)
        confirmed = await confirming.confirm(tx, SHELL, pending.id, person_id=person.id)

    assert confirmed.state == "active"


async def test_what_nobody_confirms_is_taken_back_here_and_at_the_provider(db, make, clock):
    tenant = await make.tenant()
    async with db.tenant(tenant.tenant_id) as tx:
        pending = await arrive(tx)
    clock.forward(CONFIRM_WITHIN)

    async with db.tenant(tenant.tenant_id) as tx:
        with pytest.raises(NothingToConfirm):
            await confirming.confirm(tx, SHELL, pending.id, owner_ref="u-7")
        assert await confirming.end_unconfirmed(tx) == 1
        assert await confirming.end_unconfirmed(tx) == 0
        ended = await connections.get(tx, pending.id)
        _, access = await connections.access(tx, pending.id)
        waiting = await tx.rows(tx.select(t.connection_revocations))

    assert (ended.state, ended.state_reason, access) == ("revoking", "unconfirmed", None)
    assert [(row["connection_id"], row["state"], row["reason"]) for row in waiting] == [
        (pending.id, "pending", "unconfirmed")
    ]


async def test_nothing_is_confirmed_twice(db, make):
    tenant = await make.tenant()
    async with db.tenant(tenant.tenant_id) as tx:
        made = await connected(tx)

        with pytest.raises(NothingToConfirm):
            await confirming.confirm(tx, SHELL, made.id, owner_ref="u-7")


async def test_what_waits_to_be_confirmed_is_not_disabled(db, make):
    tenant = await make.tenant()
    async with db.tenant(tenant.tenant_id) as tx:
        pending = await arrive(tx)

        with pytest.raises(ConnectionUnconfirmed):
            await leaving.disable(tx, SHELL, pending.id)


async def test_connected_anew_it_keeps_its_id_and_what_it_was_called(db, make, clock):
    tenant = await make.tenant()
    async with db.tenant(tenant.tenant_id) as tx:
        made = await connected(tx)
        await connections.needs_reauth(tx, SHELL, made.id, "invalid_grant")
    clock.forward(timedelta(minutes=1))
    async with db.tenant(tenant.tenant_id) as tx:
        session, _ = await begin(tx, connection_id=made.id, scopes=["a", "b", "c"])
        pending = await arrive(tx, session, access=Secret("at-2"), refresh=Secret("rt-2"))
        listed = await connections.listing(tx, limit=10)
        before = await connections.get(tx, made.id)

        renewed = await confirming.confirm(tx, SHELL, pending.id, owner_ref="u-7")

        _, access = await connections.access(tx, made.id)
        version, refresh = await connections.refresh_token(tx, made.id)
        history = [entry.type for entry in await histories.listing(tx, made.id, after=None, limit=1)]

    assert [each.id for each in listed] == [made.id]
    assert before.state == "needs_reauth"
    assert (renewed.id, renewed.name, renewed.state, renewed.cred_version) == (made.id, made.name, "active", 2)
    assert renewed.requested_scopes == ["a", "b", "c"]
    assert (access.token.reveal(), version, refresh.reveal()) == ("at-2", 2, "rt-2")
    assert history == ["connection.reconnected"]


async def test_another_account_does_not_take_its_place_unless_that_is_allowed(db, make):
    tenant = await make.tenant()
    async with db.tenant(tenant.tenant_id) as tx:
        made = await connected(tx)
        session, _ = await begin(tx, connection_id=made.id)
        for account in ("grace", None):
            with pytest.raises(AnotherAccount):
                await arrive(tx, session, account_key=account)

        allowed, _ = await begin(tx, connection_id=made.id, other_account=True)
        pending = await arrive(tx, allowed, account_key="grace")
        renewed = await confirming.confirm(tx, SHELL, pending.id, owner_ref="u-7")

    assert (renewed.id, renewed.account_key) == (made.id, "grace")


async def test_what_was_deleted_meanwhile_is_not_connected_anew(db, make):
    tenant = await make.tenant()
    async with db.tenant(tenant.tenant_id) as tx:
        made = await connected(tx)
        session, _ = await begin(tx, connection_id=made.id)
        pending = await arrive(tx, session)
        await leaving.delete(tx, SHELL, made.id)

        with pytest.raises(NothingToConfirm):
            await confirming.confirm(tx, SHELL, pending.id, owner_ref="u-7")
        with pytest.raises(ConnectionGone):
            await arrive(tx, session)
        assert (await connections.get(tx, pending.id)).state == "revoking"


async def test_one_too_many_is_not_kept(db, make):
    tenant = await make.tenant()
    async with db.tenant(tenant.tenant_id) as tx:
        await quotas.agree(tx, SHELL, None, {"connections": 1})
        made = await connected(tx)
        with pytest.raises(QuotaExceeded):
            await arrive(tx)

        session, _ = await begin(tx, connection_id=made.id)
        await arrive(tx, session)  # anew is no other
        await leaving.delete(tx, SHELL, made.id)
        await arrive(tx)


async def test_each_step_is_audited_and_told(db, make):
    tenant = await make.tenant()
    async with db.tenant(tenant.tenant_id) as tx:
        made = await connected(tx)
    async with db.tenant(tenant.tenant_id) as tx:
        await leaving.disable(tx, SHELL, made.id, "for a while")
        await leaving.enable(tx, SHELL, made.id)
        await connections.needs_reauth(tx, SHELL, made.id, "invalid_grant")
        await leaving.delete(tx, SHELL, made.id)

    async with db.tenant(tenant.tenant_id) as tx:
        written = {event.action for event in await audit.listing(tx, limit=50)}
        told = [event.type for event in await events.after(tx, 0, 50)]

    acts = ["connected", "confirmed", "disabled", "enabled", "needs_reauth", "deleted"]
    assert written >= {f"connection.{act}" for act in ["begun", *acts]}
    assert [each for each in told if each.startswith("connection.")] == [f"connection.{act}" for act in acts]
