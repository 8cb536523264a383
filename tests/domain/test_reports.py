"""Runtimes' last words: written many at once, and who has fallen silent."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import msgspec
import pytest
from msgspec import Struct

from controlplane.db import schema as t
from controlplane.domain import reports, runtimes
from controlplane.kit.ids import RuntimeId, TenantId
from runtime_agent.wire.heartbeat import Backlog, Heartbeat, Trouble
from tests.runtimes import join


class Row(Struct, frozen=True):
    state: str
    state_reason: str


class Written(Struct, frozen=True):
    last_seq: int


def said(last_seq=0, **facts):
    facts = {"boot_id": UUID(int=1), "epoch": 1, "head": "0" * 64, "acked": 0, "wall_ms": 0} | facts
    return Heartbeat(last_seq=last_seq, **facts)


async def beat(db, runtime, **facts):
    """As the door does it, and the chore after it."""
    word = said(**facts)
    state, reason = reports.state_of(word)
    async with db.tenant(runtime.tenant_id) as tx:
        await runtimes.turn(tx, runtime.id, state, reason)
    await reports.keep(db, [reports.heard(runtime.tenant_id, runtime.id, word, db.clock())])


async def state(db, runtime):
    async with db.tenant(runtime.tenant_id) as tx:
        [row] = await tx.all(Row, tx.select(t.runtimes).where(t.runtimes.c.id == runtime.id))
    return row.state


@pytest.mark.parametrize(
    ("word", "wanted"),
    [
        (said(), "connected"),
        (said(backlog=Backlog(records=9, oldest_age_s=60)), "connected"),
        (said(backlog=Backlog(records=9, oldest_age_s=61)), "lagging"),
        (said(draining=True), "draining"),
    ],
)
def test_the_state_follows_from_what_the_runtime_says(word, wanted):
    assert reports.state_of(word)[0] == wanted


async def test_words_of_many_tenants_are_each_written_to_their_own(db):
    mine, theirs = await join(db), await join(db)

    kept = await reports.keep(
        db, [reports.heard(site.tenant_id, site.id, said(n), db.clock()) for n, site in enumerate((mine, theirs), 1)]
    )

    assert kept == 2
    for n, site in enumerate((mine, theirs), 1):
        async with db.tenant(site.tenant_id) as tx:
            assert await tx.all(Written, tx.select(t.runtime_reports)) == [Written(n)]


async def test_an_older_word_never_replaces_a_newer(db, clock):
    site = await join(db)
    late = reports.heard(site.tenant_id, site.id, said(2), clock() + timedelta(seconds=1))
    early = reports.heard(site.tenant_id, site.id, said(1), clock())

    await reports.keep(db, [late])
    await reports.keep(db, [early])

    async with db.tenant(site.tenant_id) as tx:
        assert await tx.all(Written, tx.select(t.runtime_reports)) == [Written(2)]


async def test_one_tenants_trouble_is_not_the_others(db, clock):
    mine, theirs = await join(db), await join(db)
    broken = msgspec.structs.replace(reports.heard(mine.tenant_id, mine.id, said(), clock()), skew_ms=2**70)

    with pytest.raises(ExceptionGroup):
        await reports.keep(db, [broken, reports.heard(theirs.tenant_id, theirs.id, said(3), clock())])

    async with db.tenant(theirs.tenant_id) as tx:
        assert await tx.all(Written, tx.select(t.runtime_reports)) == [Written(3)]


@pytest.mark.parametrize(
    "trouble", [Trouble(code="x", line="a\0b"), Trouble(code="x", since=datetime(1, 1, 1, tzinfo=UTC))]
)
async def test_a_heartbeat_that_could_not_be_shown_is_refused(db, clock, trouble):
    with pytest.raises(reports.HeartbeatUnfit):
        reports.heard(TenantId(UUID(int=1)), RuntimeId(UUID(int=2)), said(troubles=[trouble]), clock())


async def test_a_word_of_a_runtime_that_is_gone_is_dropped(db):
    site = await join(db)

    await reports.keep(db, [reports.heard(site.tenant_id, UUID(int=7), said(), db.clock())])

    async with db.tenant(site.tenant_id) as tx:
        assert await tx.all(Written, tx.select(t.runtime_reports)) == []


async def test_a_word_is_written_where_it_says_something_new_and_now_and_then(clock):
    def after(before, seconds, **facts):
        clock.forward(timedelta(seconds=seconds))
        return reports.heard(TenantId(UUID(int=1)), RuntimeId(UUID(int=2)), said(**facts), clock(), before)

    first = after(None, 0)
    same = after(first, 30, wall_ms=30_000, disk_free_bytes=7)
    more = after(same, 30, last_seq=1)
    late = after(more, 15 * 60, last_seq=1)

    assert [word.to_be_kept for word in (first, same, more, late)] == [True, False, True, True]
