"""Two owners remove each other at the same moment: one of them stays."""

import asyncio

import pytest

from controlplane.domain import assignments, people, users
from controlplane.domain.assignments import Found
from controlplane.domain.holdings import Holder, LastOwner
from tests.make import SHELL
from tests.waiting import until_it_waits


@pytest.fixture
async def two_owners(db, make):
    tenant = await make.tenant()
    found = []
    for _ in range(2):
        account = await make.account()
        async with db.tenant(tenant.tenant_id) as tx:
            found.append(await people.add_user(tx, SHELL, account, "owner"))
    return tenant, found


async def _remove(tx, user):
    await users.remove(tx, SHELL, user.id)


async def _deactivate(tx, user):
    await users.set_status(tx, SHELL, user.id, "disabled")


async def _demote(tx, user):
    [held] = await assignments.listing(tx, Found(holders=(Holder("user", user.id),)))
    await assignments.withdraw(tx, SHELL, held)


@pytest.mark.parametrize("second", [_remove, _deactivate, _demote])
@pytest.mark.parametrize("first", [_remove, _deactivate, _demote])
async def test_of_two_that_go_at_the_same_time_one_stays(db, two_owners, first, second):
    tenant, [one, other] = two_owners

    async def go_second():
        async with db.tenant(tenant.tenant_id) as tx:
            await second(tx, other)

    async with db.tenant(tenant.tenant_id) as tx:
        await first(tx, one)
        follows = asyncio.create_task(go_second())
        await until_it_waits(db, follows)

    with pytest.raises(LastOwner):
        await follows
    async with db.tenant(tenant.tenant_id) as tx:
        assert await people.member(tx, other.account_id) is not None


async def test_a_tenant_that_nobody_owns_may_stay_so(db, make):
    tenant, account = await make.tenant(), await make.account()

    async with db.tenant(tenant.tenant_id) as tx:
        user = await people.add_user(tx, SHELL, account, "viewer")
        await users.remove(tx, SHELL, user.id)
