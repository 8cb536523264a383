from base64 import urlsafe_b64decode
from datetime import timedelta
from uuid import UUID

import pytest
from cryptography.exceptions import InvalidSignature
from msgspec.structs import replace

from controlplane.chores.commands import expire_commands
from controlplane.domain import commands, events, keys, runtimes
from controlplane.domain.commands import Wanted
from controlplane.domain.commands.receipts import Which
from controlplane.domain.runtimes import RuntimeGone
from controlplane.kit.ids import new_id, text_id
from controlplane.kit.problems import NotFound
from runtime_agent.wire.records import CommandState
from tests.conftest import KEYRING
from tests.make import SHELL
from tests.rows import Rows
from tests.runtimes import join

PAUSED = {"status": "waiting", "waiting_for": "resume"}
ASKS = {"status": "waiting", "waiting_for": "human_approval"}


@pytest.fixture
async def runtime(db):
    return await join(db)


@pytest.fixture
def rows(db):
    return Rows(db)


async def ask(db, runtime, kind="rescan", session_id=None, **given):
    which = {"session_id": session_id} if session_id else {"runtime_id": runtime.id}
    async with db.tenant(runtime.tenant_id) as tx:
        return await commands.create(tx, SHELL, Wanted(kind=kind, **which, **given))


async def handed(db, runtime, after=0):
    async with db.tenant(runtime.tenant_id) as tx:
        return await commands.waiting(tx, KEYRING, runtime.id, after)


async def accept(db, runtime, *asked):
    async with db.tenant(runtime.tenant_id) as tx:
        return await commands.accept(tx, runtime.id, [each.id for each in asked])


async def say(db, runtime, command, *states, **given):
    at = db.clock()
    said = [
        CommandState(record_id=UUID(int=1), occurred_at=at, command=text_id("cmd", command.id), state=state, **given)
        for state in states
    ]
    async with db.tenant(runtime.tenant_id) as tx:
        await commands.report(tx, runtime.id, said)


async def receipt(db, runtime, command):
    async with db.tenant(runtime.tenant_id) as tx:
        return await commands.get(tx, command.id)


async def told(db, runtime):
    async with db.tenant(runtime.tenant_id) as tx:
        found = await events.after(tx, 0, 100, [])
    return [(each.type, each.data.get("state")) for each in found if each.type.startswith("command.")]


async def test_a_command_goes_from_queued_to_its_end_and_each_step_is_told(db, runtime):
    asked = await ask(db, runtime)
    assert asked.state == "queued"

    [order] = await handed(db, runtime)
    assert order.command.command == text_id("cmd", asked.id)
    assert await accept(db, runtime, asked) == {asked.id}
    await say(db, runtime, asked, "running")
    await say(db, runtime, asked, "succeeded", line="looked at everything")

    done = await receipt(db, runtime, asked)
    assert (done.state, done.detail) == ("succeeded", "looked at everything")
    assert None not in (done.delivered_at, done.started_at, done.ended_at)
    assert await told(db, runtime) == [
        ("command.created", None),
        ("command.delivered", "delivered"),
        ("command.started", "running"),
        ("command.finished", "succeeded"),
    ]


async def test_what_a_runtime_says_twice_or_out_of_one_batch_counts_once(db, runtime):
    asked = await ask(db, runtime)
    await accept(db, runtime, asked)

    await say(db, runtime, asked, "running", "failed", code="not-allowed")
    first = await receipt(db, runtime, asked)
    await say(db, runtime, asked, "running", "succeeded")

    assert (first.state, first.code) == ("failed", "not-allowed")
    assert await receipt(db, runtime, asked) == first


async def test_it_is_handed_out_until_it_is_acknowledged_and_then_only_to_a_disk_that_went_back(db, runtime):
    asked = await ask(db, runtime)
    assert len(await handed(db, runtime)) == len(await handed(db, runtime, after=5)) == 1

    await accept(db, runtime, asked)

    assert await handed(db, runtime, after=asked.number) == []
    [again] = await handed(db, runtime, after=0)
    assert not again.command.begun
    await say(db, runtime, asked, "running")
    [begun] = await handed(db, runtime, after=0)
    assert begun.command.begun
    await say(db, runtime, asked, "succeeded")
    assert await handed(db, runtime, after=0) == []


async def test_it_is_signed_by_a_key_that_runtimes_pin_and_every_word_of_it_is(db, runtime):
    await ask(db, runtime)
    [order] = await handed(db, runtime)
    key = keys.lease_keys(KEYRING)[order.key].public_key()
    signature = urlsafe_b64decode(order.signature + "==")

    key.verify(signature, order.command.signed())
    for changed in ({"kind": "drain"}, {"runtime": "rt_other"}, {"not_after": "2030-01-01T00:00:00.000Z"}):
        with pytest.raises(InvalidSignature):
            key.verify(signature, replace(order.command, **changed).signed())


async def test_what_was_taken_back_before_it_was_delivered_is_void_and_what_was_delivered_stays(db, runtime):
    first, second = await ask(db, runtime), await ask(db, runtime, "drain")
    async with db.tenant(runtime.tenant_id) as tx:
        taken_back = await commands.withdraw(tx, SHELL, first.id)
    async with db.tenant(runtime.tenant_id) as tx:
        assert await commands.withdraw(tx, SHELL, first.id) == taken_back

    assert (taken_back.state, taken_back.code) == ("superseded", "withdrawn")
    assert await accept(db, runtime, first, second) == {second.id}
    async with db.tenant(runtime.tenant_id) as tx:
        with pytest.raises(commands.CommandUnderWay):
            await commands.withdraw(tx, SHELL, second.id)


async def test_a_newer_command_supersedes_what_the_same_session_was_asked_before(db, runtime, rows):
    session_id, other_id = await rows.session(runtime, **ASKS), await rows.session(runtime, **ASKS)
    first, other = await ask(db, runtime, "approve", session_id), await ask(db, runtime, "approve", other_id)

    second = await ask(db, runtime, "cancel", session_id)

    superseded = await receipt(db, runtime, first)
    assert (superseded.state, superseded.superseded_by) == ("superseded", second.id)
    assert [each.command.number for each in await handed(db, runtime)] == [other.number, second.number]


async def test_what_nobody_fetches_in_time_expires_and_what_was_fetched_is_the_runtimes_to_end(db, runtime, clock):
    unfetched, fetched = await ask(db, runtime), await ask(db, runtime, "drain")
    await accept(db, runtime, fetched)

    clock.forward(timedelta(hours=2))

    assert await handed(db, runtime, after=fetched.number) == []
    assert await expire_commands(db) == 1
    assert (await receipt(db, runtime, unfetched)).state == "expired"
    assert (await receipt(db, runtime, fetched)).state == "delivered"
    assert await accept(db, runtime, unfetched) == set()


async def test_what_the_runtime_did_counts_more_than_what_was_concluded_of_it(db, runtime, clock):
    asked = await ask(db, runtime)
    clock.forward(timedelta(hours=2))
    await expire_commands(db)

    await say(db, runtime, asked, "running", "succeeded")

    assert (await receipt(db, runtime, asked)).state == "succeeded"


@pytest.mark.parametrize(
    ("kind", "given"),
    [("pause", PAUSED), ("resume", ASKS), ("approve", PAUSED), ("cancel", {"status": "succeeded"})],
)
async def test_what_could_come_to_nothing_is_refused(db, runtime, rows, kind, given):
    session_id = await rows.session(runtime, **given)

    with pytest.raises(commands.SessionUnfit):
        await ask(db, runtime, kind, session_id)


async def test_time_must_be_left_and_not_too_much(db, runtime):
    for off in (timedelta(0), commands.LONGEST + timedelta(seconds=1)):
        with pytest.raises(commands.NotAfterUnfit):
            await ask(db, runtime, not_after=db.clock() + off)


async def test_a_runtime_that_is_gone_takes_nothing_and_one_that_is_behind_only_so_much(db, runtime, rows):
    for _ in range(100):
        await ask(db, runtime, "pause", await rows.session(runtime, status="running"))
    with pytest.raises(commands.TooManyCommands):
        await ask(db, runtime)

    async with db.tenant(runtime.tenant_id) as tx:
        await runtimes.revoke(tx, SHELL, runtime.id)
    with pytest.raises(RuntimeGone):
        await ask(db, runtime)


async def test_another_runtime_neither_gets_a_command_nor_ends_it(db, runtime):
    other = await join(db, runtime.tenant_id, runtime.project_id)
    stranger = await join(db)
    asked = await ask(db, runtime)

    for each in (other, stranger):
        assert await handed(db, each) == []
        assert await accept(db, each, asked) == set()
        await say(db, each, asked, "running", "succeeded")
    assert (await receipt(db, runtime, asked)).state == "queued"
    with pytest.raises(NotFound):
        await ask(db, stranger, session_id=new_id(db.clock()))


async def test_commands_are_found_by_runtime_session_state_and_kind(db, runtime, rows, clock):
    session_id = await rows.session(runtime, **PAUSED)
    rescan = await ask(db, runtime)
    clock.forward(timedelta(seconds=1))
    resume = await ask(db, runtime, "resume", session_id)

    async def found(**which):
        async with db.tenant(runtime.tenant_id) as tx:
            return [each.id for each in await commands.listing(tx, Which(**which))]

    assert await found() == [resume.id, rescan.id]
    assert await found(session_id=session_id) == await found(kind="resume") == [resume.id]
    assert await found(runtime_id=runtime.id, state="queued") == [resume.id, rescan.id]
    assert await found(state="failed") == []
