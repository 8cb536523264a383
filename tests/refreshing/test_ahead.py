"""Refreshing ahead: what is used, in time and once; what is idle, before its grant ends; what rests after a restore."""

import asyncio
from datetime import timedelta

import asyncpg
import pytest

from controlplane.chores.refreshes import forget_orphans, refresh_ahead
from controlplane.domain.vault import restores
from controlplane.domain.vault.pace import Pace
from controlplane.domain.vault.standing import NeedsReauth, RefreshFailing
from tests.make import SHELL
from tests.refreshing.rig import QUICK, Rig

RESTORE = "UPDATE store SET store_id = gen_random_uuid(), made_at = now()"


async def ahead(rig, refresher):
    done = await refresh_ahead(rig.db, refresher)
    await refresher.landed()
    return done


async def test_a_token_is_refreshed_before_its_end_and_nobody_asks(rig, strict, clock):
    refresher = rig.refresher()
    assert await ahead(rig, refresher) == 0
    planned = (await rig.seen()).next_refresh_at
    end = (await rig.seen()).access_exp

    clock.now = planned
    assert await ahead(rig, refresher) == 1

    assert timedelta(minutes=12) <= end - planned <= timedelta(minutes=13.2), "a fifth of an hour, and some spread"
    assert ((await rig.seen()).cred_version, strict.calls) == (2, 1)
    assert await ahead(rig, refresher) == 0


async def test_of_two_processes_one_takes_what_is_due(rig, strict, clock):
    both = rig.refresher(), rig.refresher()
    await ahead(rig, both[0])
    clock.forward(timedelta(minutes=55))

    await asyncio.gather(*(ahead(rig, each) for each in both))

    assert (strict.calls, (await rig.seen()).cred_version) == (1, 2)


async def test_what_nobody_uses_is_kept_alive_and_no_more(db, make, strict, clock):
    rig = await Rig(db, make, strict, idle_days=60).connect()
    refresher = rig.refresher()
    clock.forward(timedelta(days=8))

    assert await ahead(rig, refresher) == 0

    planned = (await rig.seen()).next_refresh_at
    assert timedelta(days=27) <= planned - clock.now <= timedelta(days=30)
    clock.now = planned
    assert await ahead(rig, refresher) == 1
    await rig.close()


@pytest.mark.parametrize("ends", [True, False])
async def test_what_has_no_next_token_is_left_alone_as_long_as_it_lives(rig, strict, clock, ends):
    refresher = rig.refresher()
    end = (await rig.seen()).access_exp
    await rig.write(refresh_blob=None, access_exp=end if ends else None)
    await ahead(rig, refresher)

    clock.forward(timedelta(minutes=59) if ends else timedelta(days=400))
    await ahead(rig, refresher)
    await refresher.ensure(rig.tenant_id, rig.id)

    assert ((await rig.seen()).state, strict.calls) == ("active", 0)
    clock.forward(timedelta(minutes=1))
    await ahead(rig, refresher)
    assert (await rig.seen()).state_reason == ("expired" if ends else "")


async def test_tokens_of_minutes_are_refreshed_when_they_are_used(db, make, strict, clock):
    rig = await Rig(db, make, strict).connect(lasts_s=600)
    refresher = rig.refresher()
    await ahead(rig, refresher)

    clock.forward(timedelta(minutes=9))

    assert (await ahead(rig, refresher), strict.calls) == (0, 0)
    await rig.close()


@pytest.mark.parametrize(
    ("life_s", "kills", "margin_s"),
    [(3600, False, 720), (1200, False, 330), (86400, False, 900), (3600, True, 90), (600, False, 120)],
)
def test_the_margin_is_more_than_the_five_minutes_of_runtimes(life_s, kills, margin_s):
    assert Pace().margin_s(life_s, kills) == margin_s


async def test_orphans_that_were_adopted_are_forgotten_after_a_week(rig, clock):
    assert await forget_orphans(rig.db) == 0


async def test_after_a_restore_nothing_is_sent_that_works_one_time_only(rig, strict, clock, owner_url):
    clock.forward(timedelta(hours=2))
    owner = await asyncpg.connect(owner_url)
    await owner.execute(RESTORE)
    await owner.close()
    refresher = rig.refresher()

    with pytest.raises(RefreshFailing) as refused:
        await refresher.ensure(rig.tenant_id, rig.id)

    assert (refused.value.kind, strict.calls) == ("restored", 0)
    async with rig.db.platform() as tx:
        assert await restores.is_waiting(tx)
        assert await restores.resume(tx, SHELL)
        assert not await restores.resume(tx, SHELL)
    await refresher.ensure(rig.tenant_id, rig.id)
    assert ((await rig.seen()).cred_version, strict.calls) == (2, 1)


async def test_what_was_used_up_since_the_backup_says_so(rig, strict, clock, owner_url):
    clock.forward(timedelta(hours=2))
    strict._refresh({"refresh_token": rig.grant.refresh})
    owner = await asyncpg.connect(owner_url)
    await owner.execute(RESTORE)
    await owner.close()
    async with rig.db.platform() as tx:
        await restores.resume(tx, SHELL)

    with pytest.raises(NeedsReauth) as refused:
        await rig.refresher().ensure(rig.tenant_id, rig.id)

    assert refused.value.reason == "restored"


async def test_where_trying_does_no_harm_it_is_tried_after_a_restore(db, make, strict, clock, owner_url):
    rig = await Rig(db, make, strict, replay="stable", pace=QUICK).connect()
    clock.forward(timedelta(hours=2))
    owner = await asyncpg.connect(owner_url)
    await owner.execute(RESTORE)
    await owner.close()

    await rig.refresher().ensure(rig.tenant_id, rig.id)

    assert (await rig.seen()).cred_version == 2
    await rig.close()
