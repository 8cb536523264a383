"""Every key is replaced while connections are refreshed and read, at a provider that forgives no refresh token twice."""

import asyncio
import random

import pytest
from msgspec.structs import replace

from controlplane.db import schema as t
from controlplane.db.database import Database
from controlplane.domain import keys
from controlplane.domain.keys import masters
from controlplane.domain.rotations import resealing
from controlplane.domain.vault import connections
from tests.domain.test_rotations import BOTH, ONLY_NEW
from tests.domain.test_rotations_under_load import finish
from tests.refreshing.rig import QUICK, Rig

PATIENT = replace(QUICK, call_s=20.0, deadline_s=25.0, adopt_s=30.0, block_s=60.0)
"""Nothing is late here: what is asked is whether keys that change hurt anybody."""

CONNECTIONS = 8
READERS, ASKERS = 4, 4


@pytest.fixture
async def replicas(app_url):
    """Three, each with its own memory of keys, by the clock on the wall."""
    replicas = [Database(app_url, sealing=keys.sealing(BOTH), pool_size=4) for _ in range(3)]
    yield replicas
    for each in replicas:
        await each.close()


@pytest.fixture
async def rigs(replicas, make, strict):
    """Connections of one tenant, a third of them made by each replica; the first three have a refresher each."""
    tenant = await make.tenant()
    rigs = [
        await Rig(replicas[number % 3], make, strict, pace=PATIENT).connect(tenant=tenant)
        for number in range(CONNECTIONS)
    ]
    yield rigs
    for each in rigs:
        await each.close()


class Load:
    """What goes on meanwhile: any failure of it ends the test."""

    def __init__(self, strict, rigs):
        self.strict, self.rigs = strict, rigs
        self.refreshers = [rig.refresher() for rig in rigs[:3]]
        self.reads, self.over = 0, False

    async def read(self, replicas, roll):
        while not self.over:
            rig, db = roll.choice(self.rigs), roll.choice(replicas)
            async with db.tenant(rig.tenant_id) as tx:
                _, access = await connections.access(tx, rig.id)
            assert self.strict.is_good(access.token.reveal())
            self.reads += 1

    async def ask(self, roll):
        while not self.over:
            rig = roll.choice(self.rigs)
            await roll.choice(self.refreshers).refresh(rig.tenant_id, rig.id)
            await asyncio.sleep(0)


async def test_no_read_fails_and_no_refresh_token_is_lost_and_the_old_key_is_needed_no_more(
    replicas, rigs, strict, app_url, monkeypatch
):
    monkeypatch.setattr(resealing, "AT_ONCE", 2)
    load = Load(strict, rigs)
    async with asyncio.TaskGroup() as group:
        for number in range(READERS):
            group.create_task(load.read(replicas, random.Random(number)))
        for number in range(ASKERS):
            group.create_task(load.ask(random.Random(100 + number)))
        for kind in ("data", "master", "data", "emergency"):
            await finish(replicas[0], kind, rigs[0])
        load.over = True

    assert load.reads > 50
    assert strict.refreshed > 20
    after = Database(app_url, sealing=keys.sealing(ONLY_NEW))
    await masters.check(after, keys.sealing(ONLY_NEW))
    for rig in rigs:
        rig.db = after
        before = (await rig.seen()).cred_version
        assert await rig.refresher().refresh(rig.tenant_id, rig.id)
        assert (await rig.seen()).cred_version == before + 1
        assert strict.is_good(await rig.access())
        assert await rig.orphans() == []
    assert [(grant.alive, grant.reused) for grant in {*strict.grants.values()}] == [(True, 0)] * CONNECTIONS
    async with after.tenant(rigs[0].tenant_id) as tx:
        left = await tx.rows(tx.select(t.data_keys))
    assert {row["state"] for row in left if row["master"] == "test"} <= {"destroyed"}
    await after.close()
