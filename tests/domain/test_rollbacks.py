"""Rollbacks and their undoing as commands: what may be asked, what the runtime is handed, and what can be taken back."""

from datetime import timedelta
from uuid import UUID

import pytest

from controlplane.domain import commands, events
from controlplane.domain.commands import NothingToUndo, SessionMayRun, SessionUnfit
from controlplane.kit.clock import rfc3339
from controlplane.kit.ids import new_id, text_id
from controlplane.kit.problems import NotFound
from tests.domain.test_commands import accept, ask, handed, receipt, say
from tests.rows import Rows
from tests.runtimes import join


@pytest.fixture
async def runtime(db):
    return await join(db)


@pytest.fixture
def rows(db):
    return Rows(db)


@pytest.fixture
async def session_id(rows, runtime):
    return await rows.session(runtime)


async def done(db, runtime, kind, session_id, **given):
    """A command of *kind* that has succeeded."""
    asked = await ask(db, runtime, kind, session_id, **given)
    await accept(db, runtime, asked)
    await say(db, runtime, asked, "running", "succeeded")
    return asked


async def test_a_rollback_is_handed_out_with_the_checkpoint_it_goes_to_and_is_on_record(db, rows, runtime, session_id):
    checkpoint_id = await rows.checkpoint(runtime, session_id)

    asked = await ask(db, runtime, "rollback", session_id, checkpoint_id=checkpoint_id)

    [order] = await handed(db, runtime)
    place = order.command.place
    assert (place.id, place.checkpoint) == (text_id("cp", checkpoint_id), asked.checkpoint)
    assert (place.created_at, place.digest, place.kid) == (rfc3339(asked.checkpoint_made_at), "", "")
    async with db.tenant(runtime.tenant_id) as tx:
        [event] = [each for each in await events.after(tx, 0, 100, []) if each.type == "command.created"]
    assert event.data["checkpoint"] == text_id("cp", checkpoint_id)


async def test_a_checkpoint_that_is_not_the_sessions_is_not_there(db, rows, runtime, session_id):
    other = await rows.checkpoint(runtime, await rows.session(runtime))
    elsewhere = await join(db)
    foreign = await rows.checkpoint(elsewhere, await rows.session(elsewhere))

    for checkpoint_id in (other, foreign, new_id(db.clock()), UUID(int=1)):
        with pytest.raises(NotFound):
            await ask(db, runtime, "rollback", session_id, checkpoint_id=checkpoint_id)


async def test_what_runs_is_neither_rolled_back_nor_resumed_from_elsewhere_nor_undone(db, rows, runtime):
    runs = await rows.session(runtime, status="running")
    checkpoint_id = await rows.checkpoint(runtime, runs)

    for kind, given in (("rollback", {"checkpoint_id": checkpoint_id}), ("undo", {})):
        with pytest.raises(SessionUnfit):
            await ask(db, runtime, kind, runs, **given)
    with pytest.raises(SessionUnfit):
        await ask(db, runtime, "resume", runs, checkpoint_id=checkpoint_id)


async def test_what_only_looks_lost_takes_somebodys_word_that_it_has_ended(db, rows, runtime):
    lost = await rows.session(runtime, status="lost")
    checkpoint_id = await rows.checkpoint(runtime, lost)

    for kind in ("rollback", "resume"):
        with pytest.raises(SessionMayRun):
            await ask(db, runtime, kind, lost, checkpoint_id=checkpoint_id)
    await ask(db, runtime, "rollback", lost, checkpoint_id=checkpoint_id, though_lost=True)

    [order] = await handed(db, runtime)
    assert order.command.though_lost


async def test_a_session_that_has_ended_is_resumed_from_a_checkpoint_only(db, rows, runtime, session_id):
    checkpoint_id = await rows.checkpoint(runtime, session_id)
    with pytest.raises(SessionUnfit):
        await ask(db, runtime, "resume", session_id)

    await ask(db, runtime, "resume", session_id, checkpoint_id=checkpoint_id)

    [order] = await handed(db, runtime)
    assert order.command.place.id == text_id("cp", checkpoint_id)


async def test_rollbacks_are_taken_back_in_the_opposite_order_each_once(db, rows, runtime, session_id):
    checkpoint_id = await rows.checkpoint(runtime, session_id)
    with pytest.raises(NothingToUndo):
        await ask(db, runtime, "undo", session_id)
    first = await done(db, runtime, "rollback", session_id, checkpoint_id=checkpoint_id)
    second = await done(db, runtime, "rollback", session_id, checkpoint_id=checkpoint_id)
    failed = await ask(db, runtime, "rollback", session_id, checkpoint_id=checkpoint_id)
    await say(db, runtime, failed, "failed", code="session-running")

    undone = [await done(db, runtime, "undo", session_id) for _ in range(2)]

    assert [each.undoes for each in undone] == [second.id, first.id]
    with pytest.raises(NothingToUndo):
        await ask(db, runtime, "undo", session_id)
    assert (await receipt(db, runtime, undone[0])).checkpoint == second.checkpoint


async def test_the_runtime_hears_what_an_undo_takes_back(db, rows, runtime, session_id):
    checkpoint_id = await rows.checkpoint(runtime, session_id)
    rollback = await done(db, runtime, "rollback", session_id, checkpoint_id=checkpoint_id)

    await ask(db, runtime, "undo", session_id)

    [order] = await handed(db, runtime, after=1)
    assert (order.command.undoes, order.command.place) == (text_id("cmd", rollback.id), None)


async def test_what_runtimes_keep_no_longer_cannot_be_taken_back(db, clock, rows, runtime, session_id):
    checkpoint_id = await rows.checkpoint(runtime, session_id)
    await done(db, runtime, "rollback", session_id, checkpoint_id=checkpoint_id)

    clock.forward(timedelta(days=30))

    async with db.tenant(runtime.tenant_id) as tx:
        assert await commands.undoable(tx, [runtime.tenant_id], [session_id]) == {}
