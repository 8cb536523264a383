"""Leaving: what was kept goes at once, and waits in no other place than for the provider to be told."""

from datetime import timedelta

import pytest

from controlplane.db import schema as t
from controlplane.domain import audit
from controlplane.domain.vault import connections, histories, leaving, revocations
from controlplane.domain.vault.leaving import NotDisabled
from controlplane.domain.vault.revocations import DELAYS_S, HELD_FOR
from tests.domain.vault.begun import connected, typed
from tests.make import SHELL


async def test_a_credential_that_was_typed_in_is_gone_at_once(db, make):
    tenant = await make.tenant()
    async with db.tenant(tenant.tenant_id) as tx:
        made = await typed(tx)

        gone = await leaving.delete(tx, SHELL, made.id)

        _, access = await connections.access(tx, made.id)
        assert (gone.state, access) == ("deleted", None)
        assert await leaving.delete(tx, SHELL, made.id) == gone
        assert await revocations.of_connection(tx, made.id) is None


async def test_what_is_disabled_comes_back_as_it_was(db, make):
    tenant = await make.tenant()
    async with db.tenant(tenant.tenant_id) as tx:
        made = await connected(tx)

        disabled = await leaving.disable(tx, SHELL, made.id, "holidays")
        assert await leaving.disable(tx, SHELL, made.id) == disabled
        enabled = await leaving.enable(tx, SHELL, made.id)
        _, access = await connections.access(tx, made.id)

        assert (disabled.state, disabled.state_reason) == ("disabled", "holidays")
        assert (enabled.state, enabled.state_reason) == ("active", "")
        assert access.token.reveal() == "at-of-ada"
        with pytest.raises(NotDisabled):
            await leaving.enable(tx, SHELL, made.id)


async def test_what_has_nothing_left_needs_a_person_when_it_is_enabled(db, make):
    tenant = await make.tenant()
    async with db.tenant(tenant.tenant_id) as tx:
        made = await connected(tx)
        await leaving.disable(tx, SHELL, made.id)
        await tx.run(tx.update(t.connections).values(access_blob=None, refresh_blob=None))

        enabled = await leaving.enable(tx, SHELL, made.id)

        assert (enabled.state, enabled.state_reason) == ("needs_reauth", "nothing_kept")


async def test_the_provider_is_told_by_one_and_then_nothing_is_left(db, make, clock):
    tenant = await make.tenant()
    async with db.tenant(tenant.tenant_id) as tx:
        made = await connected(tx)
        gone = await leaving.delete(tx, SHELL, made.id, "no longer needed")
        assert gone.state == "revoking"
    clock.forward(timedelta(seconds=1))

    async with db.tenant(tenant.tenant_id) as tx:
        [parcel] = await revocations.claim(tx, 10)
        assert await revocations.claim(tx, 10) == []
    async with db.tenant(tenant.tenant_id) as tx:
        await revocations.ended(tx, parcel, "done", "revoked")
        await revocations.ended(tx, parcel, "failed", "twice")
        [row] = await tx.rows(tx.select(t.connection_revocations))
        ended = await revocations.of_connection(tx, made.id)
        [newest] = await histories.listing(tx, made.id, after=None, limit=1)
        [event] = await audit.listing(tx, limit=1)

    assert (parcel.access.reveal(), parcel.refresh.reveal()) == ("at-of-ada", "rt-of-ada")
    assert parcel.endpoints["revoke"] == "https://as.example/revoke"
    assert (row["access_blob"], row["refresh_blob"], row["next_at"]) == (None, None, None)
    assert (ended.state, ended.attempts) == ("done", 1)
    assert newest.type == "connection.revoked"
    async with db.tenant(tenant.tenant_id) as tx:
        assert (await connections.get(tx, made.id)).state == "deleted"
        [event] = await audit.listing(tx, limit=1)
    assert (event.action, event.facts["outcome"]) == ("connection.revoked", "revoked")


async def test_whoever_dies_telling_the_provider_is_followed_by_another(db, make, clock):
    tenant = await make.tenant()
    async with db.tenant(tenant.tenant_id) as tx:
        made = await connected(tx)
        await leaving.delete(tx, SHELL, made.id)
    async with db.tenant(tenant.tenant_id) as tx:
        assert len(await revocations.claim(tx, 10)) == 1
    clock.forward(HELD_FOR)

    async with db.tenant(tenant.tenant_id) as tx:
        [parcel] = await revocations.claim(tx, 10)

    assert parcel.attempt == 2


async def test_a_provider_that_never_answers_is_given_up_and_that_is_said(db, make, clock):
    tenant = await make.tenant()
    async with db.tenant(tenant.tenant_id) as tx:
        made = await connected(tx)
        await leaving.delete(tx, SHELL, made.id)

    for _ in range(len(DELAYS_S) + 1):
        async with db.tenant(tenant.tenant_id) as tx:
            [parcel] = await revocations.claim(tx, 10)
            await revocations.postponed(tx, parcel, "timeout", 0.5)
        clock.forward(timedelta(hours=7))

    async with db.tenant(tenant.tenant_id) as tx:
        ended = await revocations.of_connection(tx, made.id)
        assert (ended.state, ended.last_error) == ("failed", "timeout")
        assert (await connections.get(tx, made.id)).state == "deleted"
        assert await revocations.claim(tx, 10) == []
