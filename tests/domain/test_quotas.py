"""Quotas: what is one too many, whoever is quicker, and counters that go wrong."""

import asyncio
import itertools

import pytest

from controlplane.chores import lifecycle
from controlplane.db import schema as t
from controlplane.domain import api_keys, people, projects, quotas, runtimes, users
from controlplane.domain.holdings import Holder
from controlplane.domain.plans import Plan
from controlplane.domain.quotas import QuotaExceeded, UnknownLimit, UnknownPlan
from tests.make import SHELL
from tests.runtimes import join

_serial = itertools.count(1)

PLANS = {"free": Plan(users=2, api_keys=2, runtimes=1, projects=3), "standard": Plan()}


@pytest.fixture
async def tenant(db, make):
    async with db.platform() as tx:
        await quotas.configure(tx, SHELL, PLANS, "free")
    return await make.tenant()


@pytest.fixture
def used(db, tenant):
    async def used(kind):
        async with db.tenant(tenant.tenant_id) as tx:
            return {limit.kind: limit.used for limit in await quotas.limits(tx)}[kind]

    return used


@pytest.fixture
def makes(db, make, tenant):
    """Makes one more of a kind."""

    async def project(tx):
        await projects.create(tx, SHELL, f"project-{next(_serial)}", "One more", "dev")

    async def key(tx):
        return (await api_keys.for_automation(tx, SHELL, bytes(32), f"one more {next(_serial)}"))[0]

    async def one(kind):
        if kind == "users":
            account = await make.account()
            async with db.tenant(tenant.tenant_id) as tx:
                return await people.add_user(tx, SHELL, account, "viewer")
        if kind == "runtimes":
            async with db.tenant(tenant.tenant_id) as tx:
                place = await projects.named(tx, projects.DEFAULT)
            return await join(db, tenant.tenant_id, place.id)
        async with db.tenant(tenant.tenant_id) as tx:
            return await (key if kind == "api_keys" else project)(tx)

    return one


@pytest.mark.parametrize(("kind", "before", "most"), [("users", 0, 2), ("api_keys", 0, 2), ("runtimes", 0, 1)])
async def test_one_too_many_is_refused_with_the_limit_and_what_is_in_use(makes, used, kind, before, most):
    for _ in range(most - before):
        await makes(kind)

    with pytest.raises(QuotaExceeded) as refused:
        await makes(kind)

    assert refused.value.facts() == {"kind": kind, "limit": most, "used": most}
    assert await used(kind) == most


async def test_of_many_at_once_as_many_get_through_as_there_is_room_for(makes, used):
    made = await asyncio.gather(*(makes("projects") for _ in range(8)), return_exceptions=True)

    assert sum(isinstance(each, QuotaExceeded) for each in made) == 6
    assert await used("projects") == 3


async def test_a_key_that_replaces_another_takes_a_place_until_one_of_them_is_revoked(db, tenant, makes, used):
    old = await makes("api_keys")
    async with db.tenant(tenant.tenant_id) as tx:
        new, _ = await api_keys.rotate(tx, SHELL, bytes(32), old)

    assert await used("api_keys") == 2
    with pytest.raises(QuotaExceeded):
        async with db.tenant(tenant.tenant_id) as tx:
            await api_keys.rotate(tx, SHELL, bytes(32), new)
    async with db.tenant(tenant.tenant_id) as tx:
        await api_keys.revoke(tx, SHELL, old.id)
        await api_keys.rotate(tx, SHELL, bytes(32), new)
    assert await used("api_keys") == 2
    assert await lifecycle.recount(db) == 0


async def test_what_is_revoked_makes_room(db, tenant, makes, used):
    keys = [await makes("api_keys") for _ in range(2)]
    runtime = await makes("runtimes")

    async with db.tenant(tenant.tenant_id) as tx:
        await api_keys.revoke(tx, SHELL, keys[0].id)
        await api_keys.revoke(tx, SHELL, keys[0].id)
        await runtimes.revoke(tx, SHELL, runtime.id)

    assert (await used("api_keys"), await used("runtimes")) == (1, 0)
    await makes("api_keys")
    await makes("runtimes")


async def test_whoever_goes_makes_room_with_all_their_keys(db, make, tenant, makes, used):
    key = await makes("api_keys")
    person = (await makes("users")).id
    async with db.tenant(tenant.tenant_id) as tx:
        wanted = api_keys.Wanted(name="theirs", owner=Holder("user", person))
        await api_keys.create(tx, SHELL, bytes(32), wanted)
    assert await used("api_keys") == 2

    async with db.tenant(tenant.tenant_id) as tx:
        await users.remove(tx, SHELL, person)
        await api_keys.delete_service_account(tx, SHELL, key.service_account_id)

    assert (await used("api_keys"), await used("users")) == (0, 0)
    assert await lifecycle.recount(db) == 0


async def test_whose_keys_are_all_revoked_makes_room(db, tenant, makes, used):
    keys = [await makes("api_keys") for _ in range(2)]
    async with db.tenant(tenant.tenant_id) as tx:
        await api_keys.revoke(tx, SHELL, keys[1].id)
        assert await api_keys.revoke_all_of(tx, keys[0].owner) == 1
        assert await api_keys.revoke_all_of(tx, keys[1].owner) == 0

    assert await used("api_keys") == 0
    assert await lifecycle.recount(db) == 0


async def test_what_is_agreed_with_a_tenant_holds_instead_of_its_plan(db, tenant, makes):
    await makes("runtimes")
    async with db.tenant(tenant.tenant_id) as tx:
        await quotas.agree(tx, SHELL, None, {"runtimes": 2, "users": None})

    await makes("runtimes")
    for _ in range(4):
        await makes("users")
    with pytest.raises(QuotaExceeded):
        await makes("runtimes")

    async with db.tenant(tenant.tenant_id) as tx:
        shown = {limit.kind: (limit.most, limit.overridden) for limit in await quotas.limits(tx)}
    assert (shown["runtimes"], shown["users"], shown["projects"]) == ((2, True), (None, True), (3, False))


async def test_a_tenant_of_another_plan_has_that_plans_limits(db, tenant, makes):
    async with db.tenant(tenant.tenant_id) as tx:
        await quotas.agree(tx, SHELL, "standard", {})

    for _ in range(5):
        await makes("users")


async def test_fewer_than_there_are_takes_nothing_away(db, tenant, makes, used):
    await makes("users")
    await makes("users")
    async with db.tenant(tenant.tenant_id) as tx:
        await quotas.agree(tx, SHELL, None, {"users": 1})

    assert await used("users") == 2
    with pytest.raises(QuotaExceeded):
        await makes("users")


async def test_a_plan_or_a_limit_that_there_is_not_is_refused(db, tenant):
    with pytest.raises(UnknownPlan):
        async with db.tenant(tenant.tenant_id) as tx:
            await quotas.agree(tx, SHELL, "gold", {})
    with pytest.raises(UnknownLimit):
        async with db.tenant(tenant.tenant_id) as tx:
            await quotas.agree(tx, SHELL, None, {"wishes": 3})


async def test_a_refused_thing_is_not_counted(db, tenant, used):
    with pytest.raises(projects.ProjectSlugTaken):
        async with db.tenant(tenant.tenant_id) as tx:
            await projects.create(tx, SHELL, projects.DEFAULT, "Again", "dev")

    assert await used("projects") == 1


async def test_a_counter_that_went_wrong_is_set_right_and_told(db, tenant, makes, used):
    await makes("users")
    async with db.tenant(tenant.tenant_id) as tx:
        await tx.run(tx.update(t.usage_counters).where(t.usage_counters.c.kind == "users").values(used=7))
        tx.audited = True

    assert await lifecycle.recount(db) == 1

    assert await used("users") == 1
    assert lifecycle.DRIFT.labels("users")._value.get() == 1
    assert await lifecycle.recount(db) == 0
    assert lifecycle.DRIFT.labels("users")._value.get() == 0


async def test_configuring_the_same_plans_again_changes_nothing(db, tenant):
    async with db.platform() as tx:
        assert not await quotas.configure(tx, SHELL, PLANS, "free")
        assert await quotas.configure(tx, SHELL, PLANS, "standard")
        assert list(await quotas.plans(tx)) == ["standard", "free"]
