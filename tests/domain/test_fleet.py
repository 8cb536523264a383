from datetime import timedelta

import pytest

from controlplane.domain import fleet
from controlplane.domain.fleet import Backlog
from controlplane.domain.runtimes import turn
from controlplane.kit.presence import InMemory
from controlplane.kit.problems import NotFound
from tests.rows import Rows
from tests.runtimes import join


@pytest.fixture
def rows(db):
    return Rows(db)


async def ledger_of(db, runtime):
    async with db.tenant(runtime.tenant_id) as tx:
        member = await fleet.get(tx, runtime.id)
        return (await fleet.ledgers(tx, [member], InMemory()))[runtime.id]


async def test_a_runtime_that_has_said_nothing_has_an_empty_ledger(db):
    ledger = await ledger_of(db, await join(db))

    assert (ledger.acknowledged, ledger.lost, ledger.lost_records) == (0, [], 0)
    assert ledger.reported is ledger.backlog is ledger.last_heard_at is ledger.skew_ms is None


async def test_a_ledger_sets_what_was_said_against_what_is_held(db, rows):
    runtime = await join(db)
    await rows.report(runtime, 41, records=3, bytes=900, oldest_age_s=61)

    ledger = await ledger_of(db, runtime)

    assert (ledger.reported, ledger.reported_epoch, ledger.skew_ms) == (41, 1, -3)
    assert ledger.backlog == Backlog(records=3, bytes=900, oldest_age_s=61)
    assert ledger.last_heard_at == db.clock()


async def test_losses_are_counted_all_and_listed_newest_first(db, rows, clock):
    runtime, other = await join(db), await join(db)
    await rows.loss(other, 1000)
    for records in range(1, fleet.LOSSES + 2):
        clock.forward(timedelta(seconds=1))
        await rows.loss(runtime, records)

    ledger = await ledger_of(db, runtime)

    assert [loss.records for loss in ledger.lost] == list(range(fleet.LOSSES + 1, 1, -1))
    assert ledger.lost_records == sum(range(fleet.LOSSES + 2))


async def test_runtimes_are_found_by_state_and_project(db, rows, clock):
    runtime = await join(db)
    staging = await rows.project(runtime, "staging")
    clock.forward(timedelta(seconds=1))
    other = await join(db, runtime.tenant_id, staging)
    async with db.tenant(runtime.tenant_id) as tx:
        await turn(tx, other.id, "lagging", "the backlog is old")

    async with db.tenant(runtime.tenant_id) as tx:
        assert [member.id for member in await fleet.listing(tx)] == [other.id, runtime.id]
        assert [member.id for member in await fleet.listing(tx, before=other.id)] == [runtime.id]
        assert [member.id for member in await fleet.listing(tx, project="staging")] == [other.id]
        [lagging] = await fleet.listing(tx, state="lagging")
    assert (lagging.state_reason, lagging.state_since, lagging.project) == ("the backlog is old", clock(), "staging")


async def test_another_tenants_runtime_is_not_found(db):
    mine, theirs = await join(db), await join(db)

    async with db.tenant(mine.tenant_id) as tx:
        with pytest.raises(NotFound):
            await fleet.get(tx, theirs.id)


async def test_an_operator_sees_every_fleet_with_its_ledgers(db, rows):
    one, other = await join(db), await join(db)
    await rows.loss(other, 7)

    async with db.operator() as tx:
        members = await fleet.listing(tx)
        ledgers = await fleet.ledgers(tx, members, InMemory())
        none = await fleet.ledgers(tx, [], InMemory())

    assert {member.id for member in members} == {one.id, other.id}
    assert len({member.tenant for member in members}) == 2
    assert {each: ledgers[each].lost_records for each in ledgers} == {one.id: 0, other.id: 7}
    assert none == {}
