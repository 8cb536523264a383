"""Having logs collected: for what it can be asked, what the runtime is told, and what is kept of the answer."""

from datetime import timedelta

import pytest

from controlplane.domain.commands import Range, RangeUnfit
from runtime_agent.wire.commands import Bundle, Collecting
from tests.domain.test_commands import accept, ask, handed, receipt, say
from tests.rows import Rows
from tests.runtimes import join

BUNDLE = Bundle(
    name="logs-cmd_1.zip",
    bytes=5,
    sha256="ab" * 32,
    sessions=1,
    files=2,
    lines=3,
    shortened=0,
    refused=1,
    beyond=0,
)


@pytest.fixture
async def runtime(db):
    return await join(db)


async def collect(db, runtime, session_id=None, **given):
    return await ask(db, runtime, "collect-logs", session_id, collecting=Range(logs=("details", "raw"), **given))


async def test_the_runtime_is_told_which_logs_of_what_time_and_its_word_of_the_file_is_kept(db, runtime):
    asked = await collect(db, runtime, since=db.clock() - timedelta(hours=1))

    [order] = await handed(db, runtime)
    assert order.command.collecting == Collecting(logs=["details", "raw"], since="2025-12-31T23:00:00.000Z")
    await accept(db, runtime, asked)
    await say(db, runtime, asked, "succeeded", bundle=BUNDLE)

    done = await receipt(db, runtime, asked)
    assert (done.state, done.bundle) == (
        "succeeded",
        {name: getattr(BUNDLE, name) for name in Bundle.__struct_fields__},
    )


async def test_it_neither_supersedes_what_else_is_asked_of_a_session_nor_is_superseded_by_it(db, runtime):
    session_id = await Rows(db).session(runtime, status="running")
    pause = await ask(db, runtime, "pause", session_id)
    first = await collect(db, runtime, session_id)
    await ask(db, runtime, "cancel", session_id)
    second = await collect(db, runtime, session_id)

    states = [(await receipt(db, runtime, each)).state for each in (pause, first, second)]

    assert states == ["superseded", "superseded", "queued"]
    assert (await receipt(db, runtime, first)).superseded_by == second.id


@pytest.mark.parametrize("status", ["running", "succeeded"])
async def test_a_session_can_be_asked_about_whatever_it_does(db, runtime, status):
    session_id = await Rows(db).session(runtime, status=status)

    assert (await collect(db, runtime, session_id)).source_id != ""


async def test_a_time_in_which_nothing_can_have_been_written_is_refused(db, runtime):
    now, hour = db.clock(), timedelta(hours=1)

    for given in ({}, {"since": now + hour}, {"since": now - hour, "until": now - hour}):
        with pytest.raises(RangeUnfit):
            await collect(db, runtime, **given)
