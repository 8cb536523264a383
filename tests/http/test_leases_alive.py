"""Leases of tokens that end: refreshed first where it must be, meanwhile where it can, and told of where they die."""

import asyncio
from datetime import timedelta

import msgspec
import pytest
from msgspec.structs import replace

from controlplane.domain.vault import leased
from controlplane.kit.ids import text_id
from runtime_agent.wire.heartbeat import Pulse
from tests.http.agents import TOKEN, code
from tests.http.lessees import LEASES, Lessee, policy
from tests.refreshing.rig import Rig
from tests.refreshing.strict import serving


@pytest.fixture
async def strict():
    async with serving() as server:
        yield server


@pytest.fixture
async def rig(db, make, strict, tenant):
    await policy(db, tenant)
    rig = await Rig(db, make, strict, replay="generic-oauth2").connect(tenant=tenant)
    yield rig
    await rig.close()


@pytest.fixture
async def killing(db, make, strict, tenant):
    """At a provider that kills the token before, after ten minutes."""
    await policy(db, tenant)
    rig = await Rig(db, make, strict, replay="atlassian").connect(tenant=tenant)
    yield rig
    await rig.close()


@pytest.fixture
async def lessee(agent):
    return Lessee(agent)


@pytest.fixture
async def later(clock, agent):
    """Some time passes, and the runtime has a new token of its own."""

    async def later(**passed):
        clock.forward(timedelta(**passed))
        reply = await agent.post(TOKEN, agent.asks_for_a_token())
        agent.token = reply.json()["access_token"]

    return later


async def notices(lessee):
    pulse = await lessee.agent.post("/v1/runtime/heartbeat", lessee.agent.beat())
    return msgspec.json.decode(pulse.content, type=Pulse).leases


async def test_an_expired_token_is_refreshed_once_for_everybody_who_asks(rig, strict, lessee, later):
    await lessee.lease(rig)
    await later(hours=2)

    held = await asyncio.gather(*(lessee.lease(rig) for _ in range(20)))

    assert strict.calls == 1
    assert {each.lease.bound.cred_version for each in held} == {2}
    [token] = {each.contents.access_token for each in held}
    assert strict.is_good(token)


async def test_a_token_near_its_end_is_leased_at_once_and_the_next_is_got_meanwhile(app, rig, strict, lessee, later):
    await later(minutes=50)

    held = await lessee.lease(rig)
    await app.state.refresher.landed()

    assert held.lease.bound.cred_version == 1
    assert ((await rig.seen()).cred_version, strict.calls) == (2, 1)
    assert (await lessee.lease(rig)).lease.bound.cred_version == 2


async def test_a_token_that_does_not_last_long_enough_is_followed_by_one_that_does(rig, strict, lessee, later):
    await later(minutes=50)

    held = await lessee.lease(rig, min_ttl_s=840)

    assert (held.lease.bound.cred_version, strict.calls) == (2, 1)


async def test_where_no_token_lasts_long_enough_the_provider_is_not_asked_again_and_again(
    db, make, tenant, lessee, clock
):
    await policy(db, tenant)
    async with serving(lasts_s=600.0) as server:
        rig = await Rig(db, make, server, replay="generic-oauth2").connect(tenant=tenant, lasts_s=600.0)

        for least in (570, 840):
            assert code(await lessee.ask(rig, min_ttl_s=least)) == (409, "lease-too-short")
        clock.forward(timedelta(seconds=10))
        assert code(await lessee.ask(rig, min_ttl_s=535)) == (409, "lease-too-short")

        assert server.calls == 0
        await rig.close()


async def test_what_lives_long_and_has_no_successor_is_leased_until_a_minute_before_its_end(rig, lessee, clock):
    await rig.write(
        created_at=clock() - timedelta(days=60), access_exp=clock() + timedelta(minutes=2), refresh_blob=None
    )

    assert (await lessee.lease(rig)).expires_at == clock() + timedelta(minutes=1)


async def test_a_dry_run_asks_no_provider(rig, strict, lessee, later):
    await later(hours=2)

    decided = (await lessee.ask(rig, dry_run=True)).json()

    assert (decided["allowed"], decided.get("expires_at"), strict.calls) == (True, None, 0)


async def test_a_grant_that_is_dead_is_no_lease_and_says_what_helps(rig, lessee, later):
    await later(hours=2)
    rig.grant.die()

    reply = await lessee.ask(rig)

    assert code(reply) == (409, "connection-not-served")
    assert (reply.json()["state"], (await rig.seen()).state_reason) == ("needs_reauth", "invalid_grant")


async def test_where_the_provider_is_away_the_runtime_is_told_when_to_ask_again(app, rig, strict, lessee, later):
    app.state.refresher._pace = replace(app.state.refresher._pace, block_s=0.2)
    await later(hours=2)
    strict.faults = ["status:503"] * 50

    reply = await lessee.ask(rig)

    assert code(reply) == (503, "connection-refresh-failing")
    assert int(reply.headers["retry-after"]) >= 1


async def test_who_holds_what_dies_at_its_provider_hears_when(app, killing, lessee, clock, later):
    held = await lessee.lease(killing)
    await app.state.refresher.refresh(killing.tenant_id, killing.id)

    [notice] = await notices(lessee)
    assert (notice.lease, notice.state) == (held.lease.bound.lease, "superseded")
    assert notice.dies_at == clock() + timedelta(minutes=10)

    await later(minutes=10)
    async with killing.db.tenant(killing.tenant_id) as tx:
        [row] = await leased.listing(tx, limit=9)
        assert (text_id("lea", row.id), row.state(tx.now)) == (held.lease.bound.lease, "ended")
        assert await leased.listing(tx, state="active", limit=9) == []
    reply = await lessee.post(f"{LEASES}/{held.lease.bound.lease}/renew", {}, nonce="5" * 32)
    assert lessee.open(reply, "5" * 32).lease.bound.cred_version == 2
    assert await notices(lessee) == []
