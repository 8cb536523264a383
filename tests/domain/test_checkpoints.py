from datetime import timedelta
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controlplane.domain import checkpoints
from controlplane.domain.checkpoints import Filters
from controlplane.kit.problems import NotFound
from tests.rows import Rows
from tests.runtimes import join


@pytest.fixture
def rows(db):
    return Rows(db)


async def found(db, runtime, **filters):
    async with db.tenant(runtime.tenant_id) as tx:
        return [checkpoint.id for checkpoint in await checkpoints.listing(tx, Filters(**filters))]


async def test_filters_narrow_each_by_one_thing(db, rows):
    runtime = await join(db)
    now = db.clock()
    session_id, other = await rows.session(runtime), await rows.session(runtime)
    mine = await rows.checkpoint(runtime, session_id, now)
    at_intake = await rows.checkpoint(runtime, other, now + timedelta(hours=1), node="intake")
    done = await rows.checkpoint(runtime, other, now + timedelta(hours=2), type="node_complete")

    assert await found(db, runtime) == [done, at_intake, mine]
    assert await found(db, runtime, session_id=session_id) == [mine]
    assert await found(db, runtime, session_id=uuid4()) == []
    assert await found(db, runtime, node="intake") == [at_intake]
    assert await found(db, runtime, type="node_complete") == [done]
    assert await found(db, runtime, since=now + timedelta(hours=1)) == [done, at_intake]
    assert await found(db, runtime, until=now + timedelta(hours=1)) == [mine]


async def test_a_runs_checkpoints_are_those_until_the_sessions_next_run(db, rows):
    runtime = await join(db)
    began = db.clock()
    session_id = await rows.session(runtime, began)
    first = await rows.run(runtime, session_id, began)
    second = await rows.run(runtime, session_id, began + timedelta(days=3))
    stranger = await rows.run(runtime, await rows.session(runtime, began), began)
    of_first = await rows.checkpoint(runtime, session_id, began + timedelta(hours=5))
    of_second = await rows.checkpoint(runtime, session_id, began + timedelta(days=3, seconds=1))

    assert await found(db, runtime, run_id=first) == [of_first]
    assert await found(db, runtime, run_id=second) == [of_second]
    assert await found(db, runtime, run_id=stranger) == []
    assert await found(db, runtime, run_id=first, session_id=uuid4()) == []


async def test_a_run_of_another_tenant_has_no_checkpoints_here(db, rows):
    mine, theirs = await join(db), await join(db)
    session_id = await rows.session(theirs)
    run_id = await rows.run(theirs, session_id)
    checkpoint_id = await rows.checkpoint(theirs, session_id)

    assert await found(db, mine, run_id=run_id) == []
    assert await found(db, mine, session_id=session_id) == []
    assert await found(db, theirs, run_id=run_id) == [checkpoint_id]
    async with db.tenant(mine.tenant_id) as tx:
        with pytest.raises(NotFound):
            await checkpoints.get(tx, checkpoint_id)


@given(limit=st.integers(1, 5), at=st.lists(st.integers(0, 90), max_size=12), of_session=st.booleans())
async def test_pages_show_every_checkpoint_once(db, rows, limit, at, of_session):
    runtime = await join(db)
    session_id = await rows.session(runtime)
    there = [await rows.checkpoint(runtime, session_id, db.clock() + timedelta(days=days)) for days in at]
    filters = Filters(session_id=session_id if of_session else None)
    shown = []
    while True:
        async with db.tenant(runtime.tenant_id) as tx:
            page = await checkpoints.listing(tx, filters, before=shown[-1] if shown else None, limit=limit)
        shown += [checkpoint.id for checkpoint in page]
        assert len(shown) == len(set(shown))
        if len(page) < limit:
            break

    assert shown == sorted(there, reverse=True)
