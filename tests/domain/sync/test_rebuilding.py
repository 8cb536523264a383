"""Projections are made again from what was sent, row by row as they were, and nobody is told twice."""

from datetime import timedelta

from sqlalchemy import text

from controlplane.db import schema as t
from controlplane.domain.sync import rebuilding
from controlplane.domain.sync.rebuilding import Runtime
from tests.logs import checkpoint, run, session

TABLES = (t.sessions, t.runs, t.checkpoints, t.cost_entries, t.agents, t.sync_losses, t.events)

SPOIL = (
    text("UPDATE sessions SET status = 'running' WHERE tenant_id = :tenant_id"),
    text("DELETE FROM checkpoints WHERE tenant_id = :tenant_id"),
    text("UPDATE runs SET input_tokens = input_tokens + 1 WHERE tenant_id = :tenant_id"),
)


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
