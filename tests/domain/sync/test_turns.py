"""Sessions that fail or wait are told once each, with the batch that says so, and nobody pays where none does."""

from contextlib import contextmanager
from datetime import timedelta

import msgspec
import pytest
from sqlalchemy import event

from controlplane.domain import events
from controlplane.domain.sync import cursors, log, turns
from controlplane.kit.ids import text_id
from runtime_agent.wire.records import Error
from tests.logs import T0, Log, checkpoint, run, session

FAILED = session(1, status="failed", error=Error(name="ToolError", line="the tool said no"))
WAITS = session(2, status="waiting", waiting_for="human_approval")
RUNS = {"status": "running", "source_status": "active"}


@pytest.fixture
def told(site):
    async def told():
        """What was told of sessions, oldest first."""
        async with site.db.tenant(site.tenant_id) as tx:
            return await events.after(tx, 0, 1_000, types=["session.failed", "session.waiting"])

    return told


@pytest.fixture
async def report(site):
    """Sends states of sessions, one batch each time."""
    writing = await site.log()

    async def report(*records):
        first = len(writing.lines) + 1
        writing.write(*records)
        return await site.append(writing, first, len(writing.lines))

    return report


@contextmanager
def statements(db):
    noted = []

    def note(connection, cursor, statement, *rest):
        noted.append(statement)

    event.listen(db._engine.sync_engine, "before_cursor_execute", note)
    yield noted
    event.remove(db._engine.sync_engine, "before_cursor_execute", note)


def at(seconds, of, **given):
    """A later state of the same session."""
    return msgspec.structs.replace(of, changed_at=of.changed_at + timedelta(seconds=seconds), **given)


async def test_what_failed_and_what_waits_is_told_with_what_to_look_for(site, report, told):
    await report(FAILED, WAITS, session(3), session(4, **RUNS), run(1, status="failed"), checkpoint(1))

    failed, waits = sorted(await told(), key=lambda each: each.type)

    runtime = text_id("rt", site.runtime_id)
    assert failed.data.pop("session").startswith("ses_")
    assert waits.data.pop("session").startswith("ses_")
    assert failed.data == {"runtime": runtime, "agent": "invoice_review", "error": "ToolError"}
    assert waits.data == {"runtime": runtime, "agent": "invoice_review", "waiting_for": "human_approval"}
    assert msgspec.convert(waits.data | {"session": "ses_"}, events.catalogue()[waits.type].data, strict=True)


async def test_what_is_sent_again_and_what_stays_so_is_not_told_again(site, report, told):
    writing = await site.log()
    writing.write(FAILED, WAITS)
    await site.append(writing, 1, 2)
    await site.append(writing, 1, 2)
    writing.write(at(1, FAILED, steps=7), at(1, WAITS, steps=7))
    await site.append(writing, 3, 4)

    again = await site.hello(epoch=7)
    same = Log(site.runtime_id, again.store_id, again.epoch)
    same.write(FAILED, WAITS)
    await site.append(same, 1, 2)

    assert len(await told()) == 2


async def test_every_turn_is_told_once(report, told):
    await report(WAITS)
    await report(at(1, WAITS, status="waiting", waiting_for="resume"))
    await report(at(2, WAITS, status="running", waiting_for=None))
    await report(at(3, WAITS))
    await report(at(4, WAITS, status="failed", waiting_for=None))

    found = [(each.type, each.data.get("waiting_for")) for each in await told()]

    assert found == [
        ("session.waiting", "human_approval"),
        ("session.waiting", "resume"),
        ("session.waiting", "human_approval"),
        ("session.failed", None),
    ]


async def test_a_state_that_a_newer_one_has_replaced_is_not_told(report, told):
    await report(at(5, FAILED, status="succeeded", error=None))
    await report(FAILED)
    await report(WAITS, at(1, WAITS, status="succeeded", waiting_for=None))

    assert await told() == []


async def test_what_turned_long_before_it_was_reported_is_history(report, told):
    limit = T0 - turns.NEWS_FOR
    history = [session(n, status="failed", changed_at=limit - timedelta(seconds=n)) for n in (1, 2)]
    await report(history[0])
    assert await told() == []

    await report(history[1], session(3, status="failed", changed_at=limit + timedelta(seconds=1)))
    assert len(await told()) == 1


async def test_a_batch_that_is_not_kept_tells_nothing(site, report, told):
    await report(session(1, **RUNS))
    writing = await site.log()
    writing.write(at(1, FAILED))
    place, body = writing.batch(1, 1)

    class Lost(Exception): ...

    async def cut_off():
        async with site.db.tenant(site.tenant_id) as tx:
            cursor = await cursors.lock(tx, site.runtime_id)
            known = {(name, month) for name in ("sync_batches", "sessions") for month in months()}
            await log.append(tx, site.runtime_id, cursor, place, body, known)
            raise Lost

    with pytest.raises(Lost):
        await cut_off()
    assert await told() == []

    await site.append(writing, 1, 1)
    assert len(await told()) == 1


def months():
    return [T0, (T0 - timedelta(days=1)).replace(day=1)]


async def test_a_batch_without_a_turn_costs_no_statement_and_one_with_many_costs_one(site, report):
    await report(*(session(n, **RUNS) for n in range(1, 31)))
    with statements(site.db) as quiet:
        await report(*(at(1, session(n, **RUNS)) for n in range(1, 31)))
    with statements(site.db) as turning:
        await report(*(at(2, session(n), status="failed") for n in range(1, 31)))
    with statements(site.db) as the_same:
        await report(*(at(3, session(n), status="failed") for n in range(1, 31)))

    assert not [each for each in quiet if "events" in each]
    assert (len(turning), len(the_same)) == (len(quiet) + 1, len(quiet))
