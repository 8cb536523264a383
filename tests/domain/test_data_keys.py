import asyncio

import pytest
from sqlalchemy import text

from controlplane.db.database import Database, Unaudited
from controlplane.domain import audit, keys
from controlplane.domain.keys import Context, Keyring, Shredded
from controlplane.kit.envelope import NotOpened
from controlplane.kit.sealing import REMEMBERED
from tests.conftest import KEYRING
from tests.make import SHELL

HERE = Context("accounts", "acc_x")
SEED = b"a seed of twenty bytes"


async def seal(db, tenant, plaintext=SEED, context=HERE, subject=""):
    async with db.tenant(tenant.tenant_id) as tx:
        said(tx)
        return await keys.seal(tx, "totp-seed", plaintext, context, subject=subject)


async def unseal(db, tenant, sealed, context=HERE, purpose="totp-seed"):
    async with db.tenant(tenant.tenant_id) as tx:
        return await keys.unseal(tx, purpose, sealed, context)


async def shred(db, tenant, subject=None):
    async with db.tenant(tenant.tenant_id) as tx:
        said(tx)
        return await keys.shred(tx, subject=subject)


def said(tx):
    audit.record(tx, SHELL, "keys.tested", ("tenant", "ten_x"))


@pytest.fixture
async def elsewhere(app_url, clock):
    """Another replica."""
    db = Database(app_url, clock, sealing=keys.sealing(KEYRING))
    yield db
    await db.close()


async def test_what_one_replica_seals_another_unseals(db, elsewhere, make):
    tenant = await make.tenant()

    sealed = await seal(db, tenant)

    assert SEED not in sealed
    assert await unseal(db, tenant, sealed) == SEED
    assert await unseal(elsewhere, tenant, sealed) == SEED


async def test_the_platform_has_data_keys_of_its_own(db):
    async with db.platform() as tx:
        said(tx)
        sealed = await keys.seal(tx, "totp-seed", SEED, HERE)

    async with db.platform() as tx:
        assert await keys.unseal(tx, "totp-seed", sealed, HERE) == SEED


async def test_it_opens_in_no_other_row_version_table_or_purpose(db, make):
    tenant = await make.tenant()
    sealed = await seal(db, tenant)

    for other in (Context("accounts", "acc_y"), Context("accounts", "acc_x", 1), Context("users", "acc_x")):
        with pytest.raises(NotOpened):
            await unseal(db, tenant, sealed, other)
    with pytest.raises(NotOpened):
        await unseal(db, tenant, sealed, purpose="audit-personal")


async def test_another_tenant_does_not_even_have_the_key(db, make):
    sealed = await seal(db, await make.tenant())

    with pytest.raises(Shredded):
        await unseal(db, await make.tenant(), sealed)


async def test_a_subject_is_shredded_alone(db, elsewhere, clock, make):
    tenant = await make.tenant()
    mine, yours = await seal(db, tenant, subject="acc_me"), await seal(db, tenant, subject="acc_you")
    assert await unseal(elsewhere, tenant, mine) == SEED

    assert await shred(db, tenant, "acc_me") == 1

    with pytest.raises(Shredded):
        await unseal(db, tenant, mine)
    assert await unseal(db, tenant, yours) == SEED
    clock.forward(REMEMBERED)
    with pytest.raises(Shredded):
        await unseal(elsewhere, tenant, mine)


async def test_a_tenant_is_shredded_whole_and_its_neighbor_is_not(db, make):
    tenant, neighbor = await make.tenant(), await make.tenant()
    sealed = [await seal(db, tenant), await seal(db, tenant, subject="acc_me")]
    theirs = await seal(db, neighbor)

    assert await shred(db, tenant) == 2

    async with db.tenant(tenant.tenant_id) as tx:
        assert await keys.unseal_all(tx, "totp-seed", [(each, HERE) for each in sealed]) == [None, None]
    assert await unseal(db, neighbor, theirs) == SEED


async def test_many_at_once_make_one_key(app_url, clock, make):
    tenant = await make.tenant()
    replicas = [Database(app_url, clock, sealing=keys.sealing(KEYRING)) for _ in range(4)]

    sealed = await asyncio.gather(*(seal(db, tenant) for db in replicas))

    assert {await unseal(db, tenant, each) for db, each in zip(replicas, sealed, strict=True)} == {SEED}
    assert len({each[2:18] for each in sealed}) == 1
    for each in replicas:
        await each.close()


async def test_a_key_whose_transaction_failed_is_not_used_again(db, make):
    tenant = await make.tenant()

    with pytest.raises(Unaudited):  # nothing was said
        async with db.tenant(tenant.tenant_id) as tx:
            await keys.seal(tx, "totp-seed", SEED, HERE)

    assert await unseal(db, tenant, await seal(db, tenant)) == SEED


async def test_a_new_master_key_leaves_the_old_ones_work_readable(db, app_url, clock, make):
    tenant = await make.tenant()
    sealed = await seal(db, tenant)
    both = Keyring(current="new", keys={**KEYRING.keys, "new": bytes([7] * 32)}, pepper=KEYRING.pepper)
    only_new = Keyring(current="new", keys={"new": bytes([7] * 32)}, pepper=KEYRING.pepper)

    rotated = Database(app_url, clock, sealing=keys.sealing(both))
    lacking = Database(app_url, clock, sealing=keys.sealing(only_new))

    assert await unseal(rotated, tenant, sealed) == SEED
    with pytest.raises(NotOpened, match="no master key 'test'"):
        await unseal(lacking, tenant, sealed)
    await rotated.close()
    await lacking.close()


async def test_a_wrapped_key_moved_to_another_row_does_not_open(db, elsewhere, make):
    tenant = await make.tenant()
    await seal(db, tenant, subject="acc_other")
    sealed = await seal(db, tenant)
    swap = text("UPDATE data_keys SET wrapped = (SELECT wrapped FROM data_keys WHERE subject = 'acc_other')")

    async with db.tenant(tenant.tenant_id) as tx:
        await tx.run(swap)

    with pytest.raises(NotOpened):
        await unseal(elsewhere, tenant, sealed)


async def test_the_wrapped_key_is_nothing_for_those_who_look_across_tenants(db, make):
    await seal(db, await make.tenant())

    async with db.operator() as tx:
        readable = await tx.scalar(text("SELECT has_column_privilege('cp_operator', 'data_keys', 'wrapped', 'SELECT')"))
    assert readable is False
