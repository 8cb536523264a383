from datetime import timedelta

import pytest

from controlplane.domain import approvals, commands
from controlplane.domain.approvals import ApprovalDecided
from controlplane.domain.outcomes import Filters
from controlplane.kit.problems import NotFound
from tests.domain.test_commands import ASKS, PAUSED, accept, receipt, say
from tests.make import SHELL
from tests.rows import Rows
from tests.runtimes import join


@pytest.fixture
async def runtime(db):
    return await join(db)


@pytest.fixture
def rows(db):
    return Rows(db)


async def inbox(db, runtime, **filters):
    async with db.tenant(runtime.tenant_id) as tx:
        return [(each.id, each.state) for each in await approvals.listing(tx, Filters(**filters))]


async def decide(db, runtime, approval_id, decision="approve", comment=""):
    async with db.tenant(runtime.tenant_id) as tx:
        return await approvals.decide(tx, SHELL, approval_id, decision, comment)


async def test_what_waits_for_a_human_is_listed_and_nothing_else(db, runtime, rows):
    assert await inbox(db, runtime) == []
    asks = await rows.session(runtime, **ASKS)
    await rows.session(runtime, **PAUSED)
    await rows.session(await join(db), **ASKS)

    assert await inbox(db, runtime) == [(asks, "waiting")]
    assert await inbox(db, runtime, agent="nobody") == []


async def test_a_decision_becomes_a_command_with_the_comment_and_the_state_it_was_made_on(db, runtime, rows):
    asks = await rows.session(runtime, **ASKS)

    found = await decide(db, runtime, asks, comment="as agreed with the customer")

    assert (found.state, found.decision.kind, found.decision.comment) == (
        "decided",
        "approve",
        "as agreed with the customer",
    )
    assert found.decision.session_changed_at == found.session.changed_at
    assert await inbox(db, runtime) == [(asks, "decided")]


async def test_it_is_decided_once_and_can_be_turned_round_until_the_runtime_has_it(db, runtime, rows):
    asks = await rows.session(runtime, **ASKS)
    first = (await decide(db, runtime, asks)).decision
    with pytest.raises(ApprovalDecided):
        await decide(db, runtime, asks)

    second = (await decide(db, runtime, asks, "reject")).decision
    assert (await receipt(db, runtime, first)).superseded_by == second.id

    await accept(db, runtime, second)
    with pytest.raises(ApprovalDecided):
        await decide(db, runtime, asks)


async def test_a_decision_that_failed_leaves_the_question_open(db, runtime, rows):
    asks = await rows.session(runtime, **ASKS)
    decision = (await decide(db, runtime, asks)).decision
    await accept(db, runtime, decision)

    await say(db, runtime, decision, "running", "failed", code="session-not-loaded")

    assert await inbox(db, runtime) == [(asks, "waiting")]
    assert (await decide(db, runtime, asks)).decision.id != decision.id


async def test_what_the_session_asks_next_takes_a_decision_of_its_own(db, runtime, rows, clock):
    asks = await rows.session(runtime, **ASKS)
    decision = (await decide(db, runtime, asks)).decision
    await accept(db, runtime, decision)
    await say(db, runtime, decision, "running", "succeeded")

    await rows.change(runtime, asks, changed_at=clock() + timedelta(minutes=1))

    assert await inbox(db, runtime) == [(asks, "waiting")]
    assert (await decide(db, runtime, asks, "reject")).decision.kind == "reject"


async def test_what_waits_no_more_is_over_and_what_never_did_is_not_there(db, runtime, rows):
    asks, paused = await rows.session(runtime, **ASKS), await rows.session(runtime, **PAUSED)
    await decide(db, runtime, asks)
    await rows.change(runtime, asks, status="succeeded", waiting_for=None)

    async with db.tenant(runtime.tenant_id) as tx:
        assert (await approvals.get(tx, asks)).state == "over"
        with pytest.raises(NotFound):
            await approvals.get(tx, paused)
    for each in (asks, paused):
        with pytest.raises((NotFound, commands.SessionUnfit)):
            await decide(db, runtime, each)
