"""Refreshing in one process: who is served, who waits, and what becomes of every way to fail."""

import asyncio
from datetime import timedelta

import pytest
from msgspec.structs import replace

from controlplane.domain import audit
from controlplane.domain.vault import histories
from controlplane.domain.vault.standing import RefreshFailing
from tests.refreshing.rig import Rig


async def test_a_live_token_is_served_and_nobody_asked(rig, strict):
    await rig.refresher().ensure(rig.tenant_id, rig.id)

    assert (strict.calls, (await rig.seen()).cred_version) == (0, 1)


async def test_a_hundred_callers_on_an_expired_token_make_one_call(rig, strict, clock):
    clock.forward(timedelta(hours=2))
    refresher = rig.refresher()

    await asyncio.gather(*(refresher.ensure(rig.tenant_id, rig.id) for _ in range(100)))

    assert (strict.calls, (await rig.seen()).cred_version) == (1, 2)
    assert strict.is_good(await rig.access())


async def test_a_token_near_its_end_is_served_while_the_next_is_got(rig, strict, clock):
    clock.forward(timedelta(minutes=55))
    refresher = rig.refresher()

    await refresher.ensure(rig.tenant_id, rig.id)

    assert (await rig.seen()).cred_version == 1
    await refresher.landed()
    assert (await rig.seen()).cred_version == 2


async def test_a_refresh_is_told_of(rig, clock):
    clock.forward(timedelta(hours=2))
    await rig.refresher().ensure(rig.tenant_id, rig.id)

    async with rig.db.tenant(rig.tenant_id) as tx:
        [event] = await audit.listing(tx, limit=1)
        [entry] = await histories.listing(tx, rig.id, after=None, limit=1)

    assert (event.action, event.facts["cred_version"]) == ("connection.refreshed", 2)
    assert (entry.type, entry.cred_version) == ("connection.refreshed", 2)


async def test_two_processes_on_an_expired_token_make_one_call(rig, strict, clock):
    clock.forward(timedelta(hours=2))
    both = rig.refresher(), rig.refresher()
    strict.faults = ["slow:0.3"]

    await asyncio.gather(*(each.ensure(rig.tenant_id, rig.id) for each in both for _ in range(20)))

    assert (strict.calls, (await rig.seen()).cred_version) == (1, 2)


async def test_an_answer_without_a_refresh_token_keeps_the_one_there_is(rig, strict, clock, monkeypatch):
    def without(form):
        grant = strict.grants[form["refresh_token"]]
        return 200, {"access_token": strict._access(grant).reveal(), "expires_in": 3600}

    monkeypatch.setattr(strict, "_refresh", without)
    for version in (2, 3):
        clock.forward(timedelta(hours=2))
        await rig.refresher().ensure(rig.tenant_id, rig.id)
        assert (await rig.seen()).cred_version == version


async def test_nobody_waits_longer_than_they_may(rig, strict, clock):
    rig.pace = replace(rig.pace, block_s=0.1)
    clock.forward(timedelta(hours=2))
    refresher = rig.refresher()
    strict.faults = ["slow:0.4"]

    with pytest.raises(RefreshFailing):
        await refresher.ensure(rig.tenant_id, rig.id)

    await refresher.landed()
    assert (await rig.seen()).cred_version == 2


async def test_somebody_who_asks_again_and_again_causes_one_call(rig, strict, clock):
    rig.pace = replace(rig.pace, again_s=60.0)
    clock.forward(timedelta(minutes=1))
    refresher = rig.refresher()

    assert await refresher.refresh(rig.tenant_id, rig.id)
    assert not await refresher.refresh(rig.tenant_id, rig.id)

    assert strict.calls == 1


async def test_where_a_refresh_kills_the_token_before_nobody_gets_that_one_meanwhile(db, make, strict, clock):
    told = []

    async def superseded(tx, connection_id, version, dies_in):
        told.append((version, dies_in))

    rig = await Rig(db, make, strict, kills_access_after_s=0).connect()
    clock.forward(timedelta(seconds=3540))

    await rig.refresher(superseded=[superseded]).ensure(rig.tenant_id, rig.id)

    assert ((await rig.seen()).cred_version, told) == (2, [(1, timedelta())])
    await rig.close()
