"""At least once and never lost, whoever dies between which steps; and once more where somebody asks for it."""

import asyncio
from datetime import timedelta

import pytest

from controlplane.chores.webhooks import Courier
from controlplane.chores.webhooks import prune as forget_old
from controlplane.domain import projects, tenants
from controlplane.domain.events import EventsGone
from controlplane.domain.webhooks import deliveries, endpoints, sending
from controlplane.domain.webhooks.endpoints import Changes, WebhookDisabled
from tests.hooks import guard, receiving, world
from tests.make import SHELL


@pytest.fixture
async def w(db, make, clock):
    async with world(db, await make.tenant(), clock) as w:
        yield w


async def test_whoever_dies_before_the_deliveries_are_made_leaves_them_to_the_next(w):
    await w.hook()
    await w.happen()
    with pytest.raises(ConnectionError):
        await _dying(w, deliveries.fan_out)

    assert await w.deliver() == 1


async def _dying(w, act, *given):
    async with w.inside() as tx:
        await act(tx, *given)
        raise ConnectionError


async def test_whoever_dies_having_claimed_is_followed_when_the_claim_is_over(w):
    await w.hook()
    await w.happen()
    async with w.inside() as tx:
        await deliveries.fan_out(tx)
    async with w.inside() as tx:
        assert len(await sending.claim(tx, 10)) == 1

    assert await w.deliver() == 0
    w.clock.forward(sending.CLAIM)

    assert await w.deliver() == 1
    assert len(w.receiver.heard) == 1


async def test_whoever_dies_having_sent_makes_the_receiver_hear_it_twice_under_one_id(w):
    webhook, _ = await w.hook()
    await w.happen()
    async with w.inside() as tx:
        await deliveries.fan_out(tx)
    async with w.inside() as tx:
        [parcel] = await sending.claim(tx, 10)
    outcome = await sending.send(guard(), parcel, w.clock.now)
    with pytest.raises(ConnectionError):
        await _dying(w, sending.settle, parcel, outcome, 0.5)

    w.clock.forward(sending.CLAIM)
    await w.deliver()

    assert len({headers["webhook-id"] for headers, _ in w.receiver.heard}) == 1
    assert len(w.receiver.heard) == 2
    assert [each.state for each in await w.sent(webhook)] == ["delivered"]


async def test_what_a_straggler_writes_down_late_changes_nothing(w):
    webhook, _ = await w.hook()
    await w.happen()
    async with w.inside() as tx:
        await deliveries.fan_out(tx)
    async with w.inside() as tx:
        [late] = await sending.claim(tx, 10)
    w.clock.forward(sending.CLAIM)
    await w.deliver()

    trouble = sending.Sent(tried=deliveries.Try(at=w.clock.now, took_ms=1, status=500))
    async with w.inside() as tx:
        await sending.settle(tx, late, trouble, 0.5)

    [delivery] = await w.sent(webhook)
    assert (delivery.state, len(delivery.tries)) == ("delivered", 1)
    assert (await w.webhook(webhook)).failing_since is None


async def test_many_processes_side_by_side_send_each_event_once(w):
    await w.hook()
    for _ in range(20):
        await w.happen()
    couriers = [Courier(w.db, guard()) for _ in range(4)]
    for _ in range(3):
        await asyncio.gather(*(courier.run() for courier in couriers))
        await asyncio.gather(*(courier.arrived() for courier in couriers))

    assert len(w.receiver.heard) == 20
    assert len({body["id"] for body in w.receiver.bodies}) == 20


async def test_a_slow_receiver_keeps_nobody_else_waiting(w, make):
    w.receiver.holding.clear()
    await w.hook()
    for _ in range(30):
        await w.happen()
    other = await make.tenant()
    async with receiving() as quick:
        async with w.db.tenant(other.tenant_id) as tx:
            await endpoints.create(tx, SHELL, quick.url, types=["project.created"])
            await projects.create(tx, SHELL, "quick", "P", "dev")

        await w.courier.run()
        while not quick.heard:
            await asyncio.wait(list(w.courier._under_way), timeout=0.05)
        assert len(w.courier._under_way) >= 16
        w.receiver.holding.set()
        await w.courier.arrived()


async def test_what_is_under_way_when_a_process_ends_is_sent_again(w):
    w.receiver.holding.clear()
    await w.hook()
    await w.happen()
    ending = Courier(w.db, guard())
    await ending.run()
    await ending.close()
    w.receiver.holding.set()

    w.clock.forward(sending.CLAIM)

    assert await w.deliver() == 1


async def test_to_a_suspended_tenant_nothing_is_sent_and_nothing_is_lost(w):
    await w.hook()
    await w.happen()
    async with w.inside() as tx:
        await tenants.suspend(tx, SHELL, "unpaid")
    assert await w.deliver() == 0

    async with w.inside() as tx:
        await tenants.resume(tx, SHELL)
    await w.deliver()

    assert [body["type"] for body in w.receiver.bodies] == ["project.created"]


async def test_a_replay_brings_the_same_event_under_the_same_id(w):
    webhook, _ = await w.hook()
    await w.happen()
    await w.deliver()
    [first] = await w.sent(webhook)
    async with w.inside() as tx:
        again = await deliveries.replay(tx, SHELL, webhook.id, first.id)
    await w.deliver()

    assert (again.reason, again.event_id) == ("replay", first.event_id)
    assert w.receiver.bodies[0] == w.receiver.bodies[1]


async def test_a_time_can_be_replayed_to_somebody_who_was_not_there(w):
    start = w.clock.now
    for _ in range(3):
        await w.happen()
        w.clock.forward(timedelta(hours=1))
    webhook, _ = await w.hook()
    async with w.inside() as tx:
        done = await deliveries.replay_since(
            tx, SHELL, webhook.id, start + timedelta(hours=1), start + timedelta(hours=3)
        )
    await w.deliver()

    assert (done.deliveries, done.rest_from) == (2, None)
    assert len(w.receiver.bodies) == 2


async def test_what_is_not_kept_any_more_cannot_be_replayed(w):
    webhook, _ = await w.hook()
    await w.happen()
    w.clock.forward(timedelta(days=20))
    await w.deliver()
    start = w.clock.now - timedelta(days=25)
    [first] = await w.sent(webhook)
    w.clock.forward(timedelta(days=15))
    await forget_old(w.db)

    async with w.inside() as tx:
        with pytest.raises(EventsGone):
            await deliveries.replay(tx, SHELL, webhook.id, first.id)
        with pytest.raises(EventsGone):
            await deliveries.replay_since(tx, SHELL, webhook.id, start, w.clock.now)
    w.clock.forward(timedelta(days=16))
    await forget_old(w.db)
    assert await w.sent(webhook) == []


async def test_nothing_is_replayed_to_or_tested_on_what_is_disabled(w):
    webhook, _ = await w.hook()
    await w.happen()
    await w.deliver()
    [first] = await w.sent(webhook)
    async with w.inside() as tx:
        await endpoints.change(tx, SHELL, webhook.id, Changes(state="disabled"))

    async with w.inside() as tx:
        for act in (
            deliveries.replay(tx, SHELL, webhook.id, first.id),
            deliveries.replay_since(tx, SHELL, webhook.id, w.clock.now, w.clock.now),
            deliveries.test(tx, SHELL, webhook.id),
        ):
            with pytest.raises(WebhookDisabled):
                await act
