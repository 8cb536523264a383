"""Rotations are gone on with, one that is stopped says why, and what must not be remembered is forgotten at a nudge."""

import asyncio
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest

from controlplane.chores import keys as chore
from controlplane.db.database import Database
from controlplane.domain import audit, keys, rotations
from controlplane.domain.keys import Context, Shredded
from controlplane.kit.wakeups import InMemory
from tests.conftest import KEYRING
from tests.domain.test_rotations import BOTH, ONLY_NEW
from tests.make import SHELL

HERE = Context("webhooks", "here")


@pytest.fixture
async def replica(app_url, clock):
    db = Database(app_url, clock, sealing=keys.sealing(KEYRING))
    yield db
    await db.close()


async def seal(db, tenant):
    async with db.tenant(tenant.tenant_id) as tx:
        audit.record(tx, SHELL, "keys.tested", ("tenant", "ten_x"))
        return await keys.seal(tx, "webhook-secret", b"secret", HERE)


async def unseal(db, tenant, sealed):
    async with db.tenant(tenant.tenant_id) as tx:
        return await keys.unseal(tx, "webhook-secret", sealed, HERE)


async def ask(db, kind, due_at=None):
    async with db.platform() as tx:
        return (await rotations.ask(tx, SHELL, kind, due_at)).id


async def found(db, rotation_id):
    async with db.platform() as tx:
        return await rotations.get(tx, rotation_id)


class Heard(InMemory):
    """Tells when somebody listens."""

    def __init__(self):
        super().__init__()
        self.heard = asyncio.Event()

    @asynccontextmanager
    async def listen(self, name):
        async with super().listen(name) as listener:
            self.heard.set()
            yield listener


async def test_one_that_is_stopped_says_why_and_does_not_stop_the_others(db, app_url, clock, make):
    await seal(db, await make.tenant())
    master, data = await ask(db, "master", clock() + timedelta(minutes=1)), await ask(db, "data")
    lacking = Database(app_url, clock, sealing=keys.sealing(ONLY_NEW))

    await chore.rotate(lacking, timedelta(0), InMemory())
    await lacking.close()

    assert "no master key 'test'" in (await found(db, master)).problem
    assert (await found(db, data)).step == "done"
    clock.forward(timedelta(minutes=2))
    able = Database(app_url, clock, sealing=keys.sealing(BOTH))
    await chore.rotate(able, timedelta(0), InMemory())
    await able.close()
    assert chore.LATE._value.get() == 1
    assert (await found(db, master)).step == "done"
    assert (await found(db, master)).problem == ""


async def test_a_destroyed_key_is_forgotten_at_a_nudge(db, replica, make):
    tenant, wakeups = await make.tenant(), Heard()
    sealed = await seal(db, tenant)
    assert await unseal(replica, tenant, sealed) == b"secret"
    first = asyncio.create_task(chore.forget(replica, wakeups))
    await wakeups.heard.wait()

    async with db.tenant(tenant.tenant_id) as tx:
        audit.record(tx, SHELL, "keys.tested", ("tenant", "ten_x"))
        await keys.shred(tx)
    await wakeups.nudge(keys.EVICTION)

    assert await first + await chore.forget_stale(replica) == 1
    with pytest.raises(Shredded):
        await unseal(replica, tenant, sealed)
