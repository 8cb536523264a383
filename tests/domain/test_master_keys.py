import asyncio

import asyncpg
import pytest
from msgspec.structs import replace
from sqlalchemy import text

from controlplane.db import schema as t
from controlplane.db.database import Database
from controlplane.domain import audit, keys
from controlplane.domain.keys import Context, Keyring, masters
from controlplane.domain.keys.masters import MasterKeyMissing, MasterKeyWrong
from controlplane.kit.envelope import NotOpened
from tests.conftest import KEYRING
from tests.make import SHELL
from tests.waiting import until_it_waits

HERE = Context("accounts", "acc_x")
BOTH = Keyring(current="new", keys={**KEYRING.keys, "new": bytes([7] * 32)}, pepper=KEYRING.pepper)
ONLY_NEW = Keyring(current="new", keys={"new": bytes([7] * 32)}, pepper=KEYRING.pepper)
OTHER = Keyring(current="test", keys={"test": bytes([9] * 32)}, pepper=KEYRING.pepper)


async def seal(db, tenant, subject=""):
    async with db.tenant(tenant.tenant_id) as tx:
        audit.record(tx, SHELL, "keys.tested", ("tenant", "ten_x"))
        return await keys.seal(tx, "webhook-secret", b"secret", HERE, subject=subject)


async def check(db, keyring):
    await masters.check(db, keys.sealing(keyring))


async def adopt(db, keyring, name):
    async with db.platform() as tx:
        audit.record(tx, SHELL, "keys.tested", ("tenant", "ten_x"))
        await masters.adopt(tx, keys.sealing(keyring), name)


async def retire(db):
    async with db.platform() as tx:
        audit.record(tx, SHELL, "keys.tested", ("tenant", "ten_x"))
        return await masters.retire(db, tx)


async def states(db):
    async with db.platform() as tx:
        return {master.name: master.state for master in await masters.listing(tx)}


@pytest.fixture
async def of_both(app_url, clock):
    """A replica whose keyring has a new key as well, and calls it the current one."""
    db = Database(app_url, clock, sealing=keys.sealing(BOTH))
    yield db
    await db.close()


async def test_the_first_keyring_is_taken_for_what_it_is(db):
    await check(db, KEYRING)

    assert await states(db) == {"test": "current"}
    await check(db, KEYRING)


async def test_another_key_of_the_same_name_is_found_out_at_once(db):
    await check(db, KEYRING)

    with pytest.raises(MasterKeyWrong, match="'test' is not the one"):
        await check(db, OTHER)


async def test_another_pepper_is_found_out_too(db):
    await check(db, KEYRING)

    with pytest.raises(MasterKeyWrong, match="pepper"):
        await check(db, replace(KEYRING, pepper=bytes([1] * 32)))


async def test_a_key_that_something_is_wrapped_under_must_be_there(db, make):
    await seal(db, await make.tenant())

    with pytest.raises(MasterKeyMissing, match="1 data keys are wrapped under 'test'"):
        await check(db, ONLY_NEW)


@pytest.mark.parametrize("on_platform", [True, False])
async def test_a_database_from_before_there_were_proofs_is_tried(db, make, admin_url, on_platform):
    if on_platform:
        async with db.platform() as tx:
            audit.record(tx, SHELL, "keys.tested", ("tenant", "ten_x"))
            await keys.seal(tx, "mail", b"secret", HERE)
    else:
        await seal(db, await make.tenant())
    await forget_proofs(admin_url)

    with pytest.raises(MasterKeyWrong, match="'test' is not the one"):
        await check(db, OTHER)
    assert await states(db) == {}
    await check(db, BOTH)
    assert await states(db) == {"new": "current", "test": "former"}


async def test_what_wraps_is_what_the_database_says(db, of_both, make):
    tenant = await make.tenant()
    await seal(db, tenant)

    await seal(of_both, tenant, "acc_a")  # its keyring says "new", and nobody has adopted that yet
    await adopt(db, BOTH, "new")
    await seal(of_both, tenant, "acc_b")

    assert await masters_of(db) == {"": "test", "acc_a": "test", "acc_b": "new"}


async def test_a_replica_without_the_new_key_does_not_go_on_with_the_old_one(db, make):
    tenant = await make.tenant()
    await check(db, KEYRING)
    await adopt(db, BOTH, "new")

    with pytest.raises(NotOpened, match="no master key 'new'"):
        await seal(db, tenant)


async def test_a_key_that_something_is_wrapped_under_is_not_retired(db, of_both, make):
    tenant = await make.tenant()
    await seal(db, tenant)
    await adopt(db, BOTH, "new")

    assert await retire(db) == []

    async with of_both.tenant(tenant.tenant_id) as tx:
        audit.record(tx, SHELL, "keys.tested", ("tenant", "ten_x"))
        await keys.shred(tx)
    assert await retire(db) == ["test"]
    assert await states(db) == {"new": "current", "test": "retired"}
    await check(db, ONLY_NEW)


async def test_a_retired_key_comes_back_as_the_current_one(db):
    await check(db, KEYRING)
    await adopt(db, BOTH, "new")
    assert await retire(db) == ["test"]

    await adopt(db, BOTH, "test")

    assert await states(db) == {"new": "former", "test": "current"}


async def test_whoever_is_making_a_key_is_waited_for(db, make):
    tenant = await make.tenant()
    await check(db, KEYRING)
    async with db.tenant(tenant.tenant_id) as tx:
        audit.record(tx, SHELL, "keys.tested", ("tenant", "ten_x"))
        await keys.seal(tx, "webhook-secret", b"secret", HERE)
        await adopt(db, BOTH, "new")
        retiring = asyncio.create_task(retire(db))
        await until_it_waits(db, retiring)
        assert not retiring.done()

    assert await retiring == []


async def test_the_proof_is_nothing_for_those_who_look_across_tenants(db):
    async with db.operator() as tx:
        readable = await tx.scalar(text("SELECT has_column_privilege('cp_operator', 'master_keys', 'proof', 'SELECT')"))
    assert readable is False


async def forget_proofs(admin_url):
    connection = await asyncpg.connect(admin_url)
    await connection.execute("DELETE FROM master_keys")
    await connection.close()


async def masters_of(db):
    async with db.operator() as tx:
        rows = await tx.rows(tx.select(t.data_keys).with_only_columns(t.data_keys.c.subject, t.data_keys.c.master))
    return {row["subject"]: row["master"] for row in rows}
