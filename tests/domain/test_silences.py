"""Who has fallen silent, and who has not."""

import asyncio
from datetime import timedelta

import msgspec

from controlplane.db import schema as t
from controlplane.domain import reports
from controlplane.domain.silences import mark_silent, talking
from controlplane.kit.presence import InMemory
from tests.domain.test_reports import Written, beat, said, state
from tests.runtimes import join


async def test_who_misses_three_heartbeats_is_silent_and_not_before(db, clock):
    site, listening_since = await join(db), clock()
    await beat(db, site)

    clock.forward(timedelta(seconds=3 * 30 + 15))
    assert await mark_silent(db, InMemory(), listening_since) == 0
    clock.forward(timedelta(seconds=1))
    assert await mark_silent(db, InMemory(), listening_since) == 1

    assert await state(db, site) == "silent"
    assert await mark_silent(db, InMemory(), listening_since) == 0


async def test_a_runtime_may_choose_a_slower_beat(db, clock):
    site, listening_since = await join(db), clock()
    await beat(db, site, interval_ms=600_000)

    clock.forward(timedelta(minutes=29))

    assert await mark_silent(db, InMemory(), listening_since) == 0


async def test_nobody_is_called_silent_because_we_were_away(db, clock):
    site = await join(db)
    await beat(db, site)
    clock.forward(timedelta(hours=5))

    assert await mark_silent(db, InMemory(), clock()) == 0


async def test_two_replicas_mark_at_the_same_time_and_once(db, clock):
    site, listening_since = await join(db), clock()
    await beat(db, site)
    clock.forward(timedelta(minutes=5))

    await asyncio.gather(*(mark_silent(db, InMemory(), listening_since) for _ in range(4)))

    assert await state(db, site) == "silent"


async def test_who_was_heard_and_not_written_is_not_silent_and_is_written_once_it_is(db, clock):
    site, listening_since, presence = await join(db), clock(), InMemory()
    await beat(db, site)
    clock.forward(timedelta(minutes=10))
    word = reports.heard(site.tenant_id, site.id, said(last_seq=7), clock())
    await presence.hear(site.id, msgspec.json.encode(word), keep=False)

    assert (await mark_silent(db, presence, listening_since), await talking(db)) == (0, 1)
    clock.forward(timedelta(minutes=10))
    assert (await mark_silent(db, presence, listening_since), await talking(db)) == (1, 0)

    async with db.tenant(site.tenant_id) as tx:
        assert await tx.all(Written, tx.select(t.runtime_reports)) == [Written(7)]
