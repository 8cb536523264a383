"""Whoever does not come back is followed by another, and what they bring when they do is not lost."""

import asyncio
import time
from datetime import timedelta

import asyncpg
import pytest
from msgspec.structs import replace

from controlplane.db import schema as t
from controlplane.domain.vault import connections, histories, leaving
from controlplane.domain.vault.standing import ConnectionDisabled, NeedsReauth, RefreshFailing
from controlplane.kit import herd
from controlplane.kit.guard import Guard
from controlplane.kit.oauth.calling import Caller
from tests.make import SHELL
from tests.refreshing.rig import QUICK, Rig

LATER = timedelta(hours=2)

REFUSES = """
    CREATE FUNCTION no() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'no'; END $$;
    CREATE TRIGGER refuses BEFORE UPDATE OF cred_version ON connections FOR EACH ROW EXECUTE FUNCTION no();
    CREATE TRIGGER refuses BEFORE INSERT ON refresh_orphans FOR EACH ROW EXECUTE FUNCTION no();
"""
ALLOWS = "DROP FUNCTION no() CASCADE"


class Absent(Guard):
    """Is not there for a while, before or after it calls: a process that was stopped, as others see it."""

    def __init__(self, *, before_s=0.0, after_s=0.0):
        super().__init__(loopback=True)
        self.before_s, self.after_s = before_s, after_s
        self.answered = asyncio.Event()

    async def call(self, *args, **given):
        await asyncio.sleep(self.before_s)
        answer = await super().call(*args, **given)
        self.answered.set()
        await asyncio.sleep(self.after_s)
        return answer


class Full(herd.Open):
    """Redis as somebody may have poisoned it: there is always another inside."""

    async def enter(self, name, for_s):
        return None


def absent(rig, **given):
    guard = Absent(**given)
    return guard, rig.refresher(caller=Caller(guard, rig.db.clock, within_s=rig.pace.call_s))


async def test_somebody_who_died_before_sending_is_followed(rig, strict, clock):
    clock.forward(LATER)
    await rig.write(rstate="in_flight", fence=7, rowner="dead", rdeadline=clock.now)
    began = time.monotonic()

    await rig.refresher().ensure(rig.tenant_id, rig.id)

    assert time.monotonic() - began > rig.pace.adopt_s
    assert (strict.calls, (await rig.seen()).cred_version, (await rig.row())["fence"]) == (1, 2, 8)


async def test_where_a_used_token_does_no_harm_nobody_waits_for_the_dead(db, make, strict, clock):
    rig = await Rig(db, make, strict, replay="stable").connect()
    clock.forward(LATER)
    await rig.write(rstate="in_flight", rdeadline=clock.now)
    began = time.monotonic()

    await rig.refresher().ensure(rig.tenant_id, rig.id)

    assert time.monotonic() - began < rig.pace.adopt_s
    await rig.close()


async def test_while_somebody_is_at_it_nobody_else_calls(rig, strict, clock):
    clock.forward(LATER)
    _, slow = absent(rig, before_s=0.5)

    await asyncio.gather(slow.ensure(rig.tenant_id, rig.id), rig.refresher().ensure(rig.tenant_id, rig.id))

    assert (strict.calls, (await rig.seen()).cred_version) == (1, 2)


@pytest.mark.parametrize("stalled", [{"before_s": 1.6}, {"after_s": 1.6}])
async def test_what_somebody_brings_who_was_taken_over_is_adopted(rig, strict, clock, stalled):
    clock.forward(LATER)
    _, first = absent(rig, **stalled)
    stalls = asyncio.create_task(first.ensure(rig.tenant_id, rig.id))
    while (await rig.row())["rstate"] == "idle":
        pass

    await asyncio.gather(stalls, rig.refresher().ensure(rig.tenant_id, rig.id))

    [orphan] = await rig.orphans()
    assert (strict.calls, rig.grant.alive, rig.grant.reused) == (1, True, 0)
    assert ((await rig.seen()).cred_version, orphan["taken"], orphan["from_version"]) == (2, True, 1)
    assert strict.is_good(await rig.access())
    clock.forward(LATER)
    await rig.refresher().ensure(rig.tenant_id, rig.id)
    assert (await rig.seen()).cred_version == 3, "the refresh token was adopted too"


async def test_a_third_does_not_take_over_while_the_second_waits(rig, strict, clock):
    clock.forward(LATER)
    await rig.write(rstate="in_flight", fence=7, rdeadline=clock.now)
    both = rig.refresher(), rig.refresher()

    await asyncio.gather(*(each.ensure(rig.tenant_id, rig.id) for each in both))

    assert (strict.calls, (await rig.row())["fence"]) == (1, 8)


async def test_the_dead_who_had_an_answer_cost_the_grant_and_that_is_said(rig, strict, clock):
    clock.forward(LATER)
    rig.pace = replace(rig.pace, adopt_s=0.3)
    strict._refresh({"refresh_token": rig.grant.refresh})
    await rig.write(rstate="in_flight", rdeadline=clock.now)

    with pytest.raises(NeedsReauth) as refused:
        await rig.refresher().ensure(rig.tenant_id, rig.id)

    assert refused.value.reason == "lost_response"


async def test_a_database_that_refuses_for_a_while_loses_nothing(rig, strict, clock, admin_url):
    clock.forward(LATER)
    admin = await asyncpg.connect(admin_url)
    await admin.execute(REFUSES)
    guard, refresher = absent(rig)
    served = asyncio.create_task(refresher.ensure(rig.tenant_id, rig.id))
    await guard.answered.wait()
    await admin.execute(ALLOWS)
    await admin.close()

    await served

    assert (strict.calls, (await rig.seen()).cred_version) == (1, 2)


async def test_what_the_database_refuses_waits_on_disk_and_opens_nothing(rig, strict, clock, admin_url, tmp_path):
    clock.forward(LATER)
    rig.pace = replace(rig.pace, commit_tries=2, block_s=0.3)
    admin = await asyncpg.connect(admin_url)
    await admin.execute(REFUSES)
    refresher = rig.refresher(spool=tmp_path / "spool")
    with pytest.raises(RefreshFailing):
        await refresher.ensure(rig.tenant_id, rig.id)
    await refresher.landed()  # it has taken over from itself, and has not sent anything again
    [file] = (tmp_path / "spool").iterdir()
    content = file.read_bytes()
    assert (await refresher.unspool(), file.exists()) == (0, True)

    await admin.execute(ALLOWS)
    await admin.close()
    assert (await rig.refresher(spool=tmp_path / "spool").unspool(), file.exists()) == (1, False)

    rig.pace = QUICK
    await rig.refresher().ensure(rig.tenant_id, rig.id)
    assert (strict.calls, (await rig.seen()).cred_version) == (1, 2)
    assert strict.is_good(token := await rig.access())
    assert token.encode() not in content
    assert rig.grant.refresh.encode() not in content
    clock.forward(LATER)
    await rig.refresher().ensure(rig.tenant_id, rig.id)
    assert (await rig.seen()).cred_version == 3


async def test_what_came_for_a_deleted_connection_is_taken_back(rig, strict, clock):
    clock.forward(LATER)
    guard, refresher = absent(rig, after_s=0.3)
    asking = asyncio.create_task(refresher.ensure(rig.tenant_id, rig.id))
    await guard.answered.wait()
    async with rig.db.tenant(rig.tenant_id) as tx:
        await leaving.delete(tx, SHELL, rig.id)

    with pytest.raises(connections.ConnectionGone):
        await asking

    async with rig.db.tenant(rig.tenant_id) as tx:
        told = await tx.rows(tx.select(t.connection_revocations).order_by(t.connection_revocations.c.cred_version))
    assert [row["cred_version"] for row in told] == [1, 2]


async def test_what_came_for_a_disabled_connection_is_kept_and_it_stays_disabled(rig, strict, clock):
    clock.forward(LATER)
    guard, refresher = absent(rig, after_s=0.3)
    asking = asyncio.create_task(refresher.ensure(rig.tenant_id, rig.id))
    await guard.answered.wait()
    async with rig.db.tenant(rig.tenant_id) as tx:
        await leaving.disable(tx, SHELL, rig.id)

    with pytest.raises(ConnectionDisabled):
        await asking

    seen = await rig.seen()
    assert (seen.state, seen.cred_version) == ("disabled", 2)


async def test_word_of_a_commit_that_was_lost_does_no_harm(rig, clock, monkeypatch):
    clock.forward(LATER)
    refresher = rig.refresher()
    keep, calls = refresher._crew.keep, []

    async def twice(*given):
        await keep(*given)
        calls.append(given)
        if len(calls) == 1:
            raise ConnectionResetError

    monkeypatch.setattr(refresher._crew, "keep", twice)
    await refresher.ensure(rig.tenant_id, rig.id)

    async with rig.db.tenant(rig.tenant_id) as tx:
        told = [each.type for each in await histories.listing(tx, rig.id, after=None, limit=10)]
    assert (len(calls), (await rig.seen()).cred_version, await rig.orphans()) == (2, 2, [])
    assert told.count("connection.refreshed") == 1


async def test_redis_that_lies_costs_time_and_nothing_else(rig, strict, clock):
    clock.forward(LATER)
    both = [rig.refresher(herd=Full()) for _ in range(2)]

    await asyncio.gather(*(each.ensure(rig.tenant_id, rig.id) for each in both))

    assert (strict.calls, (await rig.seen()).cred_version) == (1, 2)
