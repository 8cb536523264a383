"""The life of a tenant: which act leads where from which state, and that no other does anything."""

from datetime import timedelta
from itertools import product

import pytest

from controlplane.db import schema as t
from controlplane.domain import audit, tenants
from controlplane.domain.tenants import TRANSITIONS, TransitionRefused
from tests.make import SHELL

STATES = ("provisioning", "active", "suspended", "pending_deletion", "purging", "deleted")
ACTS = {
    "activate": lambda tx: tenants.activate(tx, SHELL),
    "suspend": lambda tx: tenants.suspend(tx, SHELL, "unpaid", "call us"),
    "resume": lambda tx: tenants.resume(tx, SHELL),
    "delete": lambda tx: tenants.delete(tx, SHELL, timedelta()),
    "undelete": lambda tx: tenants.undelete(tx, SHELL),
    "purge": lambda tx: tenants.begin_purge(tx, SHELL),
    "bury": lambda tx: tenants.bury(tx, SHELL),
}
EDGES = {(act, before): after for act, edges in TRANSITIONS.items() for before, after in edges.items()}


async def put(db, tenant, status, **more):
    async with db.tenant(tenant.tenant_id) as tx:
        await tx.run(tx.update(t.tenants).values(status=status, **more))
        tx.audited = True


@pytest.mark.parametrize(("act", "before"), [pair for pair in product(ACTS, STATES) if pair not in EDGES])
async def test_what_does_not_follow_from_a_state_is_refused_and_changes_nothing(db, make, act, before):
    tenant = await make.tenant()
    await put(db, tenant, before)

    with pytest.raises(TransitionRefused) as refused:
        async with db.tenant(tenant.tenant_id) as tx:
            await ACTS[act](tx)

    assert refused.value.facts() == {"act": act, "tenant_status": before}
    async with db.tenant(tenant.tenant_id) as tx:
        assert (await tenants.get(tx)).status == before


@pytest.mark.parametrize(("act", "before"), list(EDGES))
async def test_what_follows_from_a_state_is_done_and_says_since_when_and_by_whom(db, make, act, before):
    tenant = await make.tenant()
    await put(db, tenant, before, purge_at=db.clock())

    async with db.tenant(tenant.tenant_id) as tx:
        turned = await ACTS[act](tx)

    assert turned.status == EDGES[act, before]
    assert (turned.status_before, turned.status_since) == (before, db.clock())
    assert turned.status_by == ("" if act == "purge" else SHELL.id)


async def test_a_tenant_that_was_suspended_is_suspended_again_when_its_deletion_is_taken_back(db, make):
    tenant = await make.tenant()
    async with db.tenant(tenant.tenant_id) as tx:
        await tenants.suspend(tx, SHELL, "unpaid", "call us")
        await tenants.delete(tx, SHELL, timedelta(days=30))

    async with db.tenant(tenant.tenant_id) as tx:
        back = await tenants.undelete(tx, SHELL)

    assert (back.status, back.status_reason, back.status_message, back.purge_at) == (
        "suspended",
        "unpaid",
        "call us",
        None,
    )


async def test_nothing_is_purged_before_its_grace_is_over(db, make, clock):
    tenant = await make.tenant()
    async with db.tenant(tenant.tenant_id) as tx:
        deleted = await tenants.delete(tx, SHELL, timedelta(days=30))
    assert deleted.purge_at == clock() + timedelta(days=30)

    clock.forward(timedelta(days=30) - timedelta(milliseconds=1))
    with pytest.raises(TransitionRefused, match="grace is not over"):
        async with db.tenant(tenant.tenant_id) as tx:
            await tenants.begin_purge(tx, SHELL)
    clock.forward(timedelta(milliseconds=1))

    async with db.tenant(tenant.tenant_id) as tx:
        assert (await tenants.begin_purge(tx, SHELL)).status == "purging"


async def test_each_turn_stands_in_the_tenants_own_log(db, make):
    tenant = await make.tenant()
    async with db.tenant(tenant.tenant_id) as tx:
        await tenants.suspend(tx, SHELL, "")
        await tenants.resume(tx, SHELL)
        await tenants.delete(tx, SHELL, timedelta(days=1))
        await tenants.undelete(tx, SHELL)

    async with db.tenant(tenant.tenant_id) as tx:
        events = await audit.listing(tx, before=None, limit=4)

    assert [event.action for event in reversed(events)] == [
        "tenant.suspended",
        "tenant.resumed",
        "tenant.deleted",
        "tenant.undeleted",
    ]
