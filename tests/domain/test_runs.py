from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Struct
from sqlalchemy import text

from controlplane.domain import outcomes, runs
from controlplane.domain.outcomes import Filters
from controlplane.kit.problems import NotFound
from tests.rows import Rows
from tests.runtimes import join


@pytest.fixture
def rows(db):
    return Rows(db)


async def found(db, runtime, session_id=None, **filters):
    async with db.tenant(runtime.tenant_id) as tx:
        return [run.id for run in await runs.listing(tx, Filters(**filters), session_id=session_id)]


async def test_runs_of_a_session_are_those_that_carry_its_id(db, rows):
    runtime = await join(db)
    session_id, same_second = await rows.session(runtime), await rows.session(runtime)
    first = await rows.run(runtime, session_id)
    resumed = await rows.run(runtime, session_id, db.clock() + timedelta(days=50))
    await rows.run(runtime, same_second)

    assert set(await found(db, runtime, session_id)) == {first, resumed}


async def test_a_run_of_an_old_session_counts_by_its_own_start(db, rows):
    runtime = await join(db)
    now = db.clock()
    old = await rows.session(runtime, now - timedelta(days=90))
    await rows.run(runtime, old, now - timedelta(days=90))
    resumed = await rows.run(runtime, old, now)
    fresh = await rows.run(runtime, await rows.session(runtime, now), now)

    assert await found(db, runtime, since=now) == [fresh, resumed]
    assert await found(db, runtime, since=now, until=now + timedelta(seconds=1), status="succeeded") == [fresh, resumed]
    assert await found(db, runtime, since=now, status="failed") == []
    assert len(await found(db, runtime, until=now)) == 1


@pytest.mark.parametrize("few", [0, 1000])
async def test_q_finds_runs_by_their_sessions_name_and_by_their_agents(db, rows, monkeypatch, few):
    monkeypatch.setattr(outcomes, "FEW", few)
    runtime = await join(db)
    await rows.agent(runtime, "refunds")
    session_id = await rows.session(runtime, source_id="session_20260101_000000_4015a023")
    by_name = await rows.run(runtime, session_id)
    by_agent = await rows.run(runtime, await rows.session(runtime), agent="refunds")

    assert await found(db, runtime, q="session_20260101_000000_4015") == [by_name]
    assert set(await found(db, runtime, q="session_2026")) == {by_name, by_agent}
    assert await found(db, runtime, q="refu") == [by_agent]
    assert await found(db, runtime, q="session_2027") == []


async def test_another_tenants_run_is_not_found(db, rows):
    mine, theirs = await join(db), await join(db)
    run_id = await rows.run(theirs, await rows.session(theirs))

    async with db.tenant(mine.tenant_id) as tx:
        with pytest.raises(NotFound):
            await runs.get(tx, run_id)
    async with db.tenant(theirs.tenant_id) as tx:
        assert (await runs.get(tx, run_id)).id == run_id


@given(limit=st.integers(1, 5), at=st.lists(st.tuples(st.integers(0, 60), st.booleans()), max_size=12))
async def test_pages_since_an_instant_show_every_run_once(db, rows, limit, at):
    runtime = await join(db)
    now = db.clock()
    there = set()
    for days, resumed in at:
        session_id = await rows.session(runtime, now - timedelta(days=days))
        run_id = await rows.run(runtime, session_id, now if resumed else now - timedelta(days=days))
        there |= {run_id} if resumed or not days else set()
    shown = []
    while True:
        async with db.tenant(runtime.tenant_id) as tx:
            page = await runs.listing(tx, Filters(since=now), before=shown[-1] if shown else None, limit=limit)
        shown += [run.id for run in page]
        assert len(shown) == len(set(shown))
        if len(page) < limit:
            break

    assert shown == sorted(there, reverse=True)


async def test_an_operator_sees_runs_of_all_tenants(db, rows):
    one, other = await join(db), await join(db)
    now = db.clock()
    for runtime in (one, other):
        await rows.run(runtime, await rows.session(runtime, now - timedelta(days=90)), now)

    async with db.operator() as tx:
        seen = await runs.listing(tx, Filters(since=now))
        named = await runs.listing(tx, Filters(q="session_"))

    assert {run.tenant_id for run in seen} == {run.tenant_id for run in named} == {one.tenant_id, other.tenant_id}


async def test_a_pages_limit_stands_in_its_statement_so_that_postgres_may_keep_the_plan(db):
    runtime = await join(db)
    newest = text("SELECT statement FROM pg_prepared_statements WHERE statement LIKE 'SELECT runs.id,%'")

    async with db.tenant(runtime.tenant_id) as tx:
        await runs.listing(tx, Filters(status="succeeded"), limit=17)
        asked = [found.statement for found in await tx.query(Asked, newest)]
    assert [statement.split()[-2:] for statement in asked].count(["LIMIT", "17"]) == 1


class Asked(Struct, frozen=True):
    statement: str
