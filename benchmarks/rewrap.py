"""100,000 records sealed anew while people read and write: no read fails, and nothing old is written over anything new.

What is measured is how many records a second that makes, with four who read and one who writes all the time. The
limit is five minutes for all of them.
"""

import asyncio
import os
import random
import time
from datetime import timedelta

from msgspec import Struct
from sqlalchemy import text

from benchmarks import history
from controlplane.db import roles, upgrade
from controlplane.db import schema as t
from controlplane.db.database import Database
from controlplane.domain import keys, rotations, tenants
from controlplane.domain.keys import Context, Purpose
from controlplane.domain.mails import SEALED
from controlplane.embedded import Services
from controlplane.kit import envelope
from controlplane.kit.ids import TenantId, new_id

RECORDS = int(os.environ.get("REWRAP_RECORDS", "100000"))
LIMIT_S = 300.0 * RECORDS / 100_000
READERS = 4
AT_ONCE = 5_000
PURPOSE: Purpose = "mail"
SECRET = b"a token of forty characters or thereabouts"

WRITE = text("UPDATE mails SET sealed = :sealed WHERE tenant_id = :tenant_id AND id = :id")


class Row(Struct, frozen=True):
    sealed: bytes


class Users:
    """Those who go on meanwhile, and what they have met."""

    def __init__(self, db: Database, tenant_id: TenantId, ids: list[object]) -> None:
        self._db, self._tenant_id, self._ids = db, tenant_id, ids
        self.over = False
        self.reads = self.writes = self.failed = 0

    async def read(self, roll: random.Random) -> None:
        while not self.over:
            mail_id = roll.choice(self._ids)
            try:
                async with self._db.tenant(self._tenant_id) as tx:
                    row = await tx.first(Row, tx.select(t.mails).where(t.mails.c.id == mail_id))
                    assert row is not None
                    opened = await keys.unseal(tx, PURPOSE, row.sealed, place(mail_id))
                self.failed += not opened.startswith(SECRET)
            except (envelope.NotOpened, keys.Shredded):
                self.failed += 1
            self.reads += 1

    async def write(self, roll: random.Random) -> None:
        while not self.over:
            mail_id = roll.choice(self._ids)
            async with self._db.tenant(self._tenant_id) as tx:
                sealed = await keys.seal(tx, PURPOSE, SECRET + b"!", place(mail_id))
                await tx.load(WRITE, sealed=sealed, id=mail_id)
                tx.audited = True
            self.writes += 1


def run() -> dict[str, object]:
    with Services() as services:
        took, users = asyncio.run(_measure(services.postgres()))
    assert users.failed == 0, f"{users.failed} of {users.reads} reads failed"
    told = {"ours": round(took, 1), "limit": LIMIT_S, "unit": "seconds", "records": RECORDS}
    met = {"reads": users.reads, "writes": users.writes, "failed_reads": users.failed}
    return {
        "name": "rewrap",
        "ratio": round(took / LIMIT_S, 3),
        **told,
        "records_a_second": round(RECORDS / took),
        **met,
    }


async def _measure(admin_url: str) -> tuple[float, Users]:
    urls = await roles.prepare(admin_url, "bench")
    await upgrade.upgrade(urls.owner)
    ring = keys.new()
    db, others = (Database(urls.app, sealing=keys.sealing(ring), pool_size=8) for _ in range(2))
    async with db.new_tenant() as tx:
        tenant_id = (await tenants.create(tx, history.SHELL, "acme", "Acme")).tenant_id
    users = Users(others, tenant_id, await _fill(db, tenant_id))
    going_on = [asyncio.create_task(users.read(random.Random(number))) for number in range(READERS)]
    going_on.append(asyncio.create_task(users.write(random.Random(READERS))))
    began = time.perf_counter()
    async with db.tenant(tenant_id) as inside:
        rotation = await rotations.ask(inside, history.SHELL, "data")
    while rotation.step != "done":
        assert db.sealing is not None
        async for last in rotations.go_on(db, db.sealing, history.SHELL, rotation.id, timedelta(0)):
            rotation = last
    took = time.perf_counter() - began
    users.over = True
    await asyncio.gather(*going_on)
    await db.close()
    await others.close()
    return took, users


async def _fill(db: Database, tenant_id: TenantId) -> list[object]:
    ids: list[object] = []
    while len(ids) < RECORDS:
        async with db.tenant(tenant_id) as tx:
            rows = []
            for _ in range(min(AT_ONCE, RECORDS - len(ids))):
                mail_id = new_id(tx.now)
                sealed = await keys.seal(tx, PURPOSE, SECRET, place(mail_id))
                rows.append({"id": mail_id, "kind": "x", "sealed": sealed, "created_at": tx.now, "due_at": tx.now})
            await tx.run(tx.insert(t.mails).values(attempts=0, error=""), rows)
            tx.audited = True  # the data key that was made on the way
        ids += [row["id"] for row in rows]
    return ids


def place(mail_id: object) -> Context:
    return SEALED[0].place({"id": mail_id})
