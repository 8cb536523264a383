"""Keys are replaced while people read and write; whoever does it is killed between any two commits."""

import asyncio
import random
import sys
from datetime import timedelta
from pathlib import Path

import pytest

from controlplane.db import schema as t
from controlplane.db.database import Database
from controlplane.domain import keys, rotations
from controlplane.domain.rotations import resealing
from controlplane.domain.webhooks import endpoints
from tests.domain.test_rotations import BOTH
from tests.make import SHELL

URL = "https://hooks.example.com/in"
WEBHOOKS = 40
READERS, WRITERS = 6, 3


@pytest.fixture
async def replicas(app_url):
    """Three, each with its own memory of keys, by the clock on the wall."""
    replicas = [Database(app_url, sealing=keys.sealing(BOTH), pool_size=4) for _ in range(3)]
    yield replicas
    for each in replicas:
        await each.close()


class Holder:
    """A tenant with webhooks, and what their secrets have been."""

    def __init__(self, tenant):
        self.tenant_id = tenant.tenant_id
        self.newest = {}
        self.older = {}
        self.reads = self.writes = 0
        self.over = False

    async def fill(self, db):
        for _ in range(WEBHOOKS):
            async with db.tenant(self.tenant_id) as tx:
                webhook, plain = await endpoints.create(tx, SHELL, URL)
            self.newest[webhook.id], self.older[webhook.id] = plain, set()

    async def read(self, db, roll):
        """Whatever is read is the newest secret, or became old while it was read."""
        while not self.over:
            webhook_id = roll.choice(list(self.newest))
            known = self.newest[webhook_id]
            async with db.tenant(self.tenant_id) as tx:
                found = (await endpoints.secrets_of(tx, [webhook_id]))[webhook_id]
            assert found, "shredded"
            assert known in found or known in self.older[webhook_id]
            self.reads += 1

    async def write(self, db, mine):
        """Only the writer of a webhook changes it: what it wrote last must be what is there."""
        while not self.over:
            for webhook_id in mine:
                async with db.tenant(self.tenant_id) as tx:
                    _, plain = await endpoints.rotate(tx, SHELL, webhook_id)
                self.older[webhook_id].add(self.newest[webhook_id])
                self.newest[webhook_id] = plain
                self.writes += 1

    async def check(self, db):
        for webhook_id, plain in self.newest.items():
            async with db.tenant(self.tenant_id) as tx:
                assert (await endpoints.secrets_of(tx, [webhook_id]))[webhook_id][0] == plain

    async def states(self, db):
        async with db.tenant(self.tenant_id) as tx:
            wanted = tx.select(t.data_keys).where(t.data_keys.c.kind == "webhook").order_by(t.data_keys.c.id)
            return [row["state"] for row in await tx.rows(wanted)]


@pytest.fixture
async def holder(replicas, make):
    holder = Holder(await make.tenant())
    await holder.fill(replicas[0])
    return holder


async def test_nobody_notices_that_keys_are_replaced(replicas, holder, monkeypatch):
    monkeypatch.setattr(resealing, "AT_ONCE", 5)
    webhooks = list(holder.newest)
    async with asyncio.TaskGroup() as group:
        for number in range(READERS):
            group.create_task(holder.read(replicas[number % 3], random.Random(number)))
        for number in range(WRITERS):
            group.create_task(holder.write(replicas[number % 3], webhooks[number::WRITERS]))
        for kind in ("data", "master", "data", "emergency"):
            await finish(replicas[0], kind, holder)
        holder.over = True

    assert (await holder.states(replicas[1]))[-2:] == ["destroyed", "primary"]
    assert holder.reads > 100
    assert holder.writes > 20
    await holder.check(replicas[2])


@pytest.mark.parametrize("kind", ["data", "emergency"])
async def test_whoever_is_killed_is_followed_by_one_who_goes_on(replicas, holder, app_url, kind):
    async with replicas[0].scoped(holder.tenant_id if kind == "data" else None) as tx:
        rotation = await rotations.ask(tx, SHELL, kind)

    command = [sys.executable, "-m", "tests.rotate_and_die", app_url, str(rotation.id), "80"]
    program = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE, cwd=Path(__file__).parents[2]
    )
    reading = asyncio.create_task(holder.read(replicas[1], random.Random(1)))
    killed, complaint = await program.communicate()
    holder.over = True
    await reading

    assert program.returncode == 0, complaint.decode()
    assert int(killed) >= WEBHOOKS // 7
    async with replicas[0].platform() as tx:
        assert (await rotations.get(tx, rotation.id)).step == "done"
    assert await holder.states(replicas[2]) == ["destroyed", "primary"]
    await holder.check(replicas[2])


async def finish(db, kind, holder):
    """Ask for it and go on until it is over."""
    async with db.scoped(holder.tenant_id if kind == "data" else None) as tx:
        rotation = await rotations.ask(tx, SHELL, kind)
    async for last in rotations.go_on(db, db.sealing, SHELL, rotation.id, timedelta(seconds=0.3)):
        rotation = last
    while rotation.step != "done":
        await asyncio.sleep(0.05)
        async for last in rotations.go_on(db, db.sealing, SHELL, rotation.id, timedelta(seconds=0.3)):
            rotation = last
