from datetime import timedelta
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controlplane.domain import outcomes, sessions
from controlplane.domain.outcomes import Filters
from controlplane.domain.sessions import Failure
from controlplane.kit.ids import new_id, text_id
from controlplane.kit.problems import NotFound
from tests.rows import Rows
from tests.runtimes import join


@pytest.fixture
def rows(db):
    return Rows(db)


async def found(db, runtime, **filters):
    async with db.tenant(runtime.tenant_id) as tx:
        return [session.id for session in await sessions.listing(tx, Filters(**filters))]


async def test_a_session_names_its_tenant_and_its_project(db, rows):
    runtime = await join(db)
    await rows.session(runtime, error={"name": "ToolError", "line": "the tool said no"})

    async with db.tenant(runtime.tenant_id) as tx:
        [session] = await sessions.listing(tx, Filters())

    assert session.tenant.startswith("tenant-")
    assert session.project == "default"
    assert (session.path, session.error.name) == (["intake", "report"], "ToolError")


async def test_another_tenants_session_is_not_found(db, rows):
    mine, theirs = await join(db), await join(db)
    session_id = await rows.session(theirs)

    async with db.tenant(mine.tenant_id) as tx:
        with pytest.raises(NotFound):
            await sessions.get(tx, session_id)


async def test_what_the_source_wrote_of_nodes_is_shown_with_defaults_for_the_rest(db, rows):
    runtime = await join(db)
    failed = {"node": "report", "outcome": "failure", "error": {"name": "ToolError"}}
    session_id = await rows.session(runtime, detail={"nodes": [failed], "visits": {"report": 1}, "goal": "refund"})

    async with db.tenant(runtime.tenant_id) as tx:
        more = sessions.detail(await sessions.get(tx, session_id))

    [visit] = more.nodes
    assert (visit.outcome, visit.attempt, visit.error) == ("failure", 1, Failure(name="ToolError"))
    assert (more.goal, more.entry_point, more.visits) == ("refund", None, {"report": 1})


async def test_totals_come_from_runs_checkpoints_and_cost_lines(db, rows):
    runtime = await join(db)
    began = db.clock()
    session_id = await rows.session(runtime)
    await rows.run(runtime, session_id)
    await rows.run(runtime, session_id, began + timedelta(days=40))
    await rows.checkpoint(runtime, session_id, began + timedelta(seconds=9))
    latest = await rows.checkpoint(runtime, session_id, began + timedelta(days=40))
    await rows.cost(runtime, session_id, 30, model="large-1")
    await rows.cost(runtime, session_id, 12)
    await rows.cost(runtime, session_id, 0, model=None, tool="search")
    await rows.session(runtime)

    async with db.tenant(runtime.tenant_id) as tx:
        both = await sessions.listing(tx, Filters())
        totals = await sessions.totals(tx, both)

    assert totals[session_id] == sessions.Totals(
        session_id=session_id,
        run_count=2,
        checkpoint_count=2,
        latest_checkpoint=latest,
        micro_usd=42,
        models=["large-1", "small-1"],
    )
    [bare] = [total for total in totals.values() if total.session_id != session_id]
    assert (bare.run_count, bare.checkpoint_count, bare.latest_checkpoint) == (0, 0, None)
    assert (bare.micro_usd, bare.models) == (None, [])


async def test_totals_of_no_sessions_are_none(db):
    runtime = await join(db)

    async with db.tenant(runtime.tenant_id) as tx:
        assert await sessions.totals(tx, []) == {}


async def test_filters_narrow_each_by_one_thing(db, rows):
    runtime = await join(db)
    other = await join(db, runtime.tenant_id, runtime.project_id)
    staging = await rows.project(runtime, "staging")
    failed = await rows.session(runtime, status="failed")
    elsewhere = await rows.session(other)
    of_agent = await rows.session(runtime, agent="refunds")
    in_project = await rows.session(runtime, project_id=staging)

    assert await found(db, runtime, status="failed") == [failed]
    assert await found(db, runtime, runtime_id=other.id) == [elsewhere]
    assert await found(db, runtime, agent="refunds") == [of_agent]
    assert await found(db, runtime, agent="refund") == []
    assert (
        await found(db, runtime, project="staging")
        == await found(db, runtime, project=text_id("prj", staging))
        == [in_project]
    )
    assert await found(db, runtime, project="nowhere") == []
    assert await found(db, runtime, runtime_id=uuid4()) == []


async def test_since_counts_the_instant_itself_and_until_does_not(db, rows):
    runtime = await join(db)
    began = db.clock()
    early = await rows.session(runtime, began - timedelta(milliseconds=1))
    sharp = await rows.session(runtime, began)

    assert await found(db, runtime, since=began) == [sharp]
    assert await found(db, runtime, until=began) == [early]


@pytest.mark.parametrize("zone_h", [-12, 0, 14])
async def test_since_and_until_find_sessions_of_every_zone(db, rows, zone_h):
    runtime = await join(db)
    began = db.clock()
    there = began + timedelta(hours=zone_h)
    session_id = await rows.session(runtime, began, id=new_id(there))

    assert await found(db, runtime, since=began, until=began + timedelta(milliseconds=1)) == [session_id]


@pytest.mark.parametrize("few", [0, 1000])
async def test_q_is_the_start_of_the_sources_session_id_and_minds_case(db, rows, monkeypatch, few):
    monkeypatch.setattr(outcomes, "FEW", few)
    runtime = await join(db)
    session_id = await rows.session(runtime, source_id="session_20260101_000000_4015a023")
    await rows.session(runtime, db.clock() + timedelta(days=1))

    for q in (
        "session_20260101",
        "session_20260101_00",
        "session_20260101_000000_4015",
        "session_20260101_000000_4015a023",
    ):
        assert await found(db, runtime, q=q) == [session_id]
    assert len(await found(db, runtime, q="session_2026")) == len(await found(db, runtime, q="sess")) == 2
    for q in ("Session_2026", "session_20269999", "session_20260101_000000_4015A", "_2026", "%", "session_20260231"):
        assert await found(db, runtime, q=q) == []


async def test_q_means_agents_where_their_names_start_with_it(db, rows):
    runtime = await join(db)
    await rows.agent(runtime, "refunds_eu")
    session_id = await rows.session(runtime, agent="refunds_eu")
    await rows.session(runtime)

    assert await found(db, runtime, q="refunds") == [session_id]
    assert await found(db, runtime, q="Refunds") == []


@given(limit=st.integers(1, 7), at=st.lists(st.integers(-40, 40), max_size=15), late=st.lists(st.integers(-40, 40)))
async def test_pages_show_every_session_once_whatever_arrives_meanwhile(db, rows, limit, at, late):
    runtime = await join(db)
    began = db.clock()
    there = {await rows.session(runtime, began + timedelta(days=days)) for days in at}
    shown = []
    while True:
        async with db.tenant(runtime.tenant_id) as tx:
            page = await sessions.listing(tx, Filters(), before=shown[-1] if shown else None, limit=limit)
        shown += [session.id for session in page]
        assert len(shown) == len(set(shown))
        if len(page) < limit:
            break
        if late:
            await rows.session(runtime, began + timedelta(days=late.pop()))

    assert shown == sorted(shown, reverse=True)
    assert there <= set(shown)


async def test_an_operator_sees_the_newest_of_all_tenants_by_name(db, rows):
    one, other = await join(db), await join(db)
    began = db.clock()
    ids = [await rows.session(runtime, began + timedelta(minutes=n)) for n, runtime in enumerate((one, other, one))]
    await rows.checkpoint(other, ids[1])

    async with db.operator() as tx:
        newest = await sessions.listing(tx, Filters(), limit=2)
        rest = await sessions.listing(tx, Filters(), before=ids[1], limit=2)
        totals = await sessions.totals(tx, newest)
        again = await sessions.get(tx, ids[0])

    assert [session.id for session in newest] == [ids[2], ids[1]]
    assert newest[0].tenant != newest[1].tenant
    assert [session.id for session in rest] == [again.id] == [ids[0]]
    assert totals[ids[1]].checkpoint_count == 1


async def test_counts_are_by_bucket_and_status_within_the_span(db, rows):
    runtime, stranger = await join(db), await join(db)
    noon = db.clock()
    for minutes, status in ((-1, "failed"), (0, "failed"), (59, "failed"), (60, "lost"), (120, "lost")):
        await rows.session(runtime, noon + timedelta(minutes=minutes), status=status)
    await rows.session(stranger)
    until = noon + timedelta(hours=2)

    async with db.tenant(runtime.tenant_id) as tx:
        mine = await sessions.counts(tx, Filters(), noon, until, timedelta(hours=1))
        lost = await sessions.counts(tx, Filters(status="lost"), noon, until, timedelta(hours=1))
    async with db.operator() as tx:
        everybodys = await sessions.counts(tx, Filters(), noon, until, timedelta(hours=1))

    assert [(count.at, count.status, count.sessions) for count in mine] == [
        (noon, "failed", 2),
        (noon + timedelta(hours=1), "lost", 1),
    ]
    assert lost == mine[1:]
    assert len(everybodys) == 3
    assert len({count.tenant for count in everybodys}) == 2


async def test_unfinished_sessions_are_counted_by_what_they_wait_for(db, rows):
    runtime = await join(db)
    for status, waiting_for in (("running", None), ("waiting", "resume"), ("waiting", "resume"), ("failed", None)):
        await rows.session(runtime, status=status, waiting_for=waiting_for)

    async with db.tenant(runtime.tenant_id) as tx:
        unfinished = await sessions.unfinished(tx)

    assert [(each.status, each.waiting_for, each.sessions) for each in unfinished] == [
        ("running", None, 1),
        ("waiting", "resume", 2),
    ]
