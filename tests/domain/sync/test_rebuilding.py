"""Projections are made again from what was sent, row by row as they were, and nobody is told twice."""

from datetime import timedelta
from uuid import UUID

from msgspec import Struct
from sqlalchemy import text

from controlplane.db import schema as t
from controlplane.domain.sync import rebuilding
from controlplane.domain.sync.rebuilding import Runtime
from runtime_agent.wire.content import Chunk, Content
from tests.logs import checkpoint, run, session

CONTENT = (t.contents, t.content_chunks, t.chunks)
TABLES = (t.sessions, t.runs, t.checkpoints, t.cost_entries, t.agents, t.sync_losses, t.events, *CONTENT)

SPOIL = (
    text("UPDATE sessions SET status = 'running' WHERE tenant_id = :tenant_id"),
    text("DELETE FROM checkpoints WHERE tenant_id = :tenant_id"),
    text("UPDATE runs SET input_tokens = input_tokens + 1 WHERE tenant_id = :tenant_id"),
)

PRUNE = text("""
    WITH gone AS (DELETE FROM content_chunks WHERE tenant_id = :tenant_id AND checkpoint_id = :checkpoint)
    UPDATE contents SET pruned_at = :now WHERE tenant_id = :tenant_id AND checkpoint_id = :checkpoint
""")

LOSE = text("DELETE FROM contents WHERE tenant_id = :tenant_id AND checkpoint_id = :checkpoint")


class Made(Struct, frozen=True):
    checkpoint_id: UUID


def content(n):
    chunk = Chunk(sha256=f"{n:064x}", size=n)
    return Content(policy="plain", size=n, digest=f"{n:064x}", chunks=[chunk])


async def shown(site):
    async with site.db.tenant(site.tenant_id) as tx:
        return {
            table.name: sorted(map(repr, (await tx._connection.execute(tx.select(table))).all())) for table in TABLES
        }


async def test_what_a_bug_has_spoilt_is_as_it_was_before(site, clock):
    log = await site.log()
    log.write(session(1, status="failed"), run(1), checkpoint(1), session(2), run(2), checkpoint(2))
    await site.append(log, 1, 2)
    clock.forward(timedelta(minutes=1))
    await site.append(log, 1, 4)  # the first half came twice
    await site.append(log, 5, 6)
    before = await shown(site)
    async with site.db.tenant(site.tenant_id) as tx:
        for statement in SPOIL:
            await tx.load(statement)
    clock.forward(timedelta(hours=1))

    made = await rebuilding.rebuild(site.db, Runtime(site.tenant_id, site.runtime_id), site.partitions)

    assert made == 6
    assert await shown(site) == before


async def test_what_checkpoints_are_made_of_stays_and_what_was_pruned_does_not_come_back(site, clock):
    log = await site.log()
    log.write(*(checkpoint(n) for n in (1, 2, 3)), *(checkpoint(n, content=content(n)) for n in (1, 2, 3)))
    await site.append(log, 1, 6)
    clock.forward(timedelta(minutes=1))
    async with site.db.tenant(site.tenant_id) as tx:
        kept, pruned, lost = await tx.all(Made, tx.select(t.contents).order_by(t.contents.c.size))
        await tx.run(tx.insert(t.chunks).values(sha256=bytes(31) + b"\1", size=1, state="committed", touched_at=tx.now))
        await tx.load(PRUNE, checkpoint=pruned.checkpoint_id, now=tx.now)
    before = await shown(site)
    async with site.db.tenant(site.tenant_id) as tx:
        await tx.load(LOSE, checkpoint=lost.checkpoint_id)
    clock.forward(timedelta(hours=1))

    await rebuilding.rebuild(site.db, Runtime(site.tenant_id, site.runtime_id), site.partitions)

    assert await shown(site) == before
    assert f"{kept.checkpoint_id}" in str(before["contents"])
