"""Budgets: periods, how slices are sized, that they never come to more than there is, and what a restore changes."""

import asyncio
import random
from datetime import UTC, datetime, timedelta

import asyncpg
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from sqlalchemy import text

from controlplane.domain import events, runtimes
from controlplane.domain.budgets import definitions, leasing, notices, periods, sizing, standing
from controlplane.domain.budgets.definitions import NewBudget
from controlplane.domain.budgets.sizing import Need
from controlplane.kit.ids import milliseconds, new_id, text_id
from controlplane.kit.problems import NotFound
from runtime_agent.wire.budgets import Ask, Use
from runtime_agent.wire.records import BudgetState
from tests.conftest import KEYRING
from tests.make import SHELL
from tests.runtimes import join

LEASED = text("SELECT sum(amount)::bigint FROM budget_slices GROUP BY tenant_id, budget_id, starts_at")


class Fleet:
    """Runtimes of one tenant that lease, and what each was handed last."""

    def __init__(self, db, members):
        self.db, self.members, self.held = db, members, {}
        self.tenant_id = members[0].tenant_id

    async def within(self, work):
        async with self.db.tenant(self.tenant_id) as tx:
            return await work(tx)

    async def make(self, amount=1000, **given):
        new = NewBudget(**{"name": "all", "amount": amount, "period": "day", "action": "pause", **given})
        return await self.within(lambda tx: definitions.create(tx, SHELL, new))

    async def lease(self, member, used=None, held=None):
        """The slice of now after having said that so much of it is used; None: nothing."""
        before = held or self.held.get(member.id)
        uses = []
        if used is not None:
            its = self.of_now(before)
            uses = [Use(budget=its.budget, starts_ms=its.starts_ms, used=used)]
        ask = Ask(uses=uses, held=before)
        leased = await self.within(lambda tx: leasing.lease(tx, KEYRING, member.id, ask))
        self.held[member.id] = leased
        return self.of_now(leased)

    def of_now(self, leased):
        now = milliseconds(self.db.clock())
        return next((each for each in leased.slices.slices if each.starts_ms <= now < each.ends_ms), None)

    async def stands(self, budget):
        return (await self.within(lambda tx: standing.of(tx, [budget])))[0]

    async def told(self, *types):
        found = await self.within(lambda tx: events.after(tx, 0, 100))
        return [each for each in found if each.type in types]

    async def most_leased(self):
        async with self.db.tenant(self.tenant_id) as tx:
            found = await tx._connection.execute(LEASED)
            return max((row[0] for row in found), default=0)


@pytest.fixture
async def fleet(db):
    first = await join(db)
    return Fleet(db, [first, *[await join(db, first.tenant_id, first.project_id) for _ in range(3)]])


@given(
    st.builds(
        Need,
        limit=st.integers(0, 10**9),
        left=st.integers(-(10**6), 10**9),
        amount=st.integers(0, 10**6),
        used=st.integers(0, 10**6),
        runtimes=st.integers(1, 50),
        share=st.floats(0, 1),
        alone=st.booleans(),
    )
)
def test_a_slice_grows_by_no_more_than_is_left(its):
    assert 0 <= sizing.growth(its) <= max(its.left, 0)


def test_who_uses_more_is_given_more_and_the_last_of_it_is_not_cut_ever_smaller():
    idle = Need(limit=1000, left=1000, amount=0, used=0, runtimes=4, share=0.0, alone=False)
    assert sizing.growth(idle) == 125
    assert sizing.growth(replace(idle, share=1.0)) == 625
    assert sizing.growth(replace(idle, amount=125, used=50)) == 0
    assert sizing.growth(replace(idle, left=12, amount=100, used=100)) == 10
    assert sizing.growth(replace(idle, left=4, amount=100, used=100)) == 4
    assert sizing.growth(replace(idle, alone=True)) == 1000


@pytest.mark.parametrize(
    ("length", "zone", "at", "starts", "ends"),
    [
        ("day", "Europe/Berlin", "2026-03-29T12:00", "2026-03-28T23:00", "2026-03-29T22:00"),
        ("day", "Europe/Berlin", "2026-10-25T12:00", "2026-10-24T22:00", "2026-10-25T23:00"),
        ("week", "UTC", "2026-11-22T23:59", "2026-11-16T00:00", "2026-11-23T00:00"),
        ("month", "America/New_York", "2027-01-01T04:59", "2026-12-01T05:00", "2027-01-01T05:00"),
        ("month", "Asia/Kathmandu", "2026-11-22T12:00", "2026-10-31T18:15", "2026-11-30T18:15"),
        ("total", "UTC", "2030-01-01T00:00", "2026-11-20T12:15", "2100-01-01T00:00"),
    ],
)
def test_a_period_begins_at_midnight_where_its_budget_lives(length, zone, at, starts, ends):
    def instant(text):
        return datetime.fromisoformat(text).replace(tzinfo=UTC)

    found = periods.current(length, zone, instant("2026-11-20T12:20"), instant(at))

    assert (found.starts_at, found.ends_at) == (instant(starts), instant(ends))


async def test_a_runtime_leases_ahead_and_gets_more_as_it_uses_it(fleet):
    busy, idle, *_ = fleet.members
    budget = await fleet.make()
    first = await fleet.lease(busy)
    await fleet.lease(idle)
    assert (first.amount, first.limit, first.action) == (125, 1000, "pause")
    assert [each.amount > 0 for each in fleet.held[busy.id].slices.slices] == [False, True, True]

    grown = await fleet.lease(busy, used=100)
    same = await fleet.lease(busy, used=100)

    assert grown.amount == same.amount > first.amount
    stands = await fleet.stands(budget)
    assert (stands.used, stands.leased, stands.left) == (100, grown.amount + 109, 1000 - grown.amount - 109)
    assert (await fleet.lease(idle)).others == 100


@pytest.mark.parametrize("seed", range(3))
async def test_slices_never_come_to_more_than_the_limit_whoever_asks_at_once(fleet, seed):
    dice = random.Random(seed)
    await fleet.make(amount=dice.randint(10, 500))
    for _ in range(8):
        asking = [dice.choice(fleet.members) for _ in range(6)]
        uses = [dice.choice([None, dice.randint(0, 200)]) if each.id in fleet.held else None for each in asking]
        await asyncio.gather(*(fleet.lease(member, used) for member, used in zip(asking, uses, strict=True)))
        assert await fleet.most_leased() <= (await fleet.lease(fleet.members[0])).limit


async def test_what_was_overused_is_not_there_for_others(fleet):
    one, other, *_ = fleet.members
    budget = await fleet.make()
    await fleet.lease(one)
    await fleet.lease(one, used=5000)

    assert (await fleet.lease(other)).amount == 0
    stands = await fleet.stands(budget)
    assert (stands.used, stands.left, stands.percent) == (5000, 0, 500)


async def test_saying_less_or_the_same_again_takes_nothing_back(fleet):
    one, *_ = fleet.members
    await fleet.make()
    early = await fleet.lease(one)
    before = fleet.held[one.id]
    late = await fleet.lease(one, used=120)

    again = await fleet.lease(one, used=30, held=before)

    assert (again.used, again.amount) == (120, late.amount)
    assert again.amount > early.amount


async def test_a_budget_of_a_project_or_a_runtime_holds_for_no_other(fleet, db):
    one, other, *_ = fleet.members
    await fleet.make(level="runtime", runtime_id=one.id)

    assert (await fleet.lease(one)).amount == 1000
    assert await fleet.lease(other) is None
    with pytest.raises(NotFound):
        await fleet.make(level="runtime", runtime_id=(await join(db)).id)


async def test_a_lower_limit_takes_nothing_back_and_another_revision_is_announced(fleet):
    one, *_ = fleet.members
    budget = await fleet.make(amount=1000)
    first = await fleet.lease(one)
    revision = fleet.held[one.id].slices.revision
    await fleet.within(lambda tx: definitions.change(tx, SHELL, budget.id, {"amount": 10}))

    later = await fleet.lease(one, used=first.amount)

    assert (later.amount, later.limit) == (first.amount, 10)
    assert fleet.held[one.id].slices.revision == revision + 1
    await fleet.within(lambda tx: definitions.delete(tx, SHELL, budget.id))
    assert await fleet.lease(one) is None


async def test_the_next_period_begins_with_what_was_leased_for_it(fleet, clock):
    one, *_ = fleet.members
    await fleet.make()
    await fleet.lease(one)
    ahead = fleet.held[one.id].slices.slices[2]
    clock.forward(timedelta(days=1))

    found = await fleet.lease(one, used=10)

    assert found.starts_ms == ahead.starts_ms
    assert found.amount >= ahead.amount > 0


async def test_a_threshold_is_told_once_whoever_notices(fleet, clock):
    one, *_ = fleet.members
    budget = await fleet.make(warn_at=[50, 80])
    await fleet.lease(one)
    await fleet.lease(one, used=510)
    await fleet.lease(one, used=520)
    said = BudgetState(
        record_id=new_id(clock()),
        occurred_at=clock(),
        budget=text_id("bud", budget.id),
        starts_at=budget.current(clock()).starts_at,
        state="warned",
        percent=50,
    )
    more = [replace(said, record_id=new_id(clock()), state="exhausted", percent=0, used=600, amount=600)]
    for _ in range(2):
        await fleet.within(lambda tx: notices.report(tx, one.id, [said, *more], told=True))

    warned = await fleet.told("budget.warned")
    assert [each.data["percent"] for each in warned] == [50]
    [exhausted] = await fleet.told("budget.exhausted")
    assert exhausted.data["runtime"] == text_id("rt", one.id)
    await fleet.lease(one, used=900)
    assert [each.data["percent"] for each in await fleet.told("budget.warned")] == [50, 80]


async def test_what_is_said_of_a_budget_that_is_gone_or_anothers_is_left_out(fleet, db, clock):
    stranger = Fleet(db, [await join(db)])
    budget = await stranger.make()
    said = BudgetState(
        record_id=new_id(clock()),
        occurred_at=clock(),
        budget=text_id("bud", budget.id),
        starts_at=clock(),
        state="exhausted",
    )
    await fleet.within(lambda tx: notices.report(tx, fleet.members[0].id, [said], told=True))

    assert await fleet.told("budget.exhausted") == []
    assert await stranger.told("budget.exhausted") == []


@pytest.fixture
async def restore(admin_url, clock):
    """As a restore of a backup from before anything was leased leaves it."""

    async def restore():
        connection = await asyncpg.connect(admin_url)
        await connection.execute("DELETE FROM budget_slices")
        await connection.execute("DELETE FROM budget_talks")
        clock.forward(timedelta(minutes=1))
        await connection.execute(
            "UPDATE store SET store_id = gen_random_uuid(), made_at = $1, restored_to = $1", clock()
        )
        await connection.close()

    return restore


async def test_a_restored_database_learns_what_it_had_leased_and_leases_nothing_more_before(fleet, restore):
    one, other, *rest = fleet.members
    budget = await fleet.make(amount=1000)
    before = [await fleet.lease(each) for each in fleet.members]
    grown = await fleet.lease(one, used=100)
    held = sum(each.amount for each in before[1:]) + grown.amount
    await restore()

    again = await fleet.lease(one, used=110)
    assert (again.amount, again.used) == (grown.amount, 110)
    assert (await fleet.stands(budget)).awaited == 3
    await fleet.lease(other)
    assert (await fleet.lease(one, used=grown.amount)).amount == grown.amount, "two have not said what they hold"
    await fleet.lease(rest[0])
    await fleet.within(lambda tx: runtimes.revoke(tx, SHELL, rest[1].id))

    assert (await fleet.stands(budget)).awaited == 0
    assert (await fleet.lease(one, used=grown.amount)).amount > grown.amount
    assert held <= 1000
    assert await fleet.most_leased() <= 1000


async def test_what_a_runtime_makes_up_it_did_not_lease(fleet):
    one, other, *_ = fleet.members
    await fleet.make()
    mine = await fleet.lease(one)
    genuine = fleet.held[one.id]
    slices = [replace(each, amount=10**6) for each in genuine.slices.slices]
    forged = replace(genuine, slices=replace(genuine.slices, slices=slices))

    for held in (forged, replace(genuine, key="unknown"), replace(genuine, signature="!")):
        assert (await fleet.lease(one, held=held)).amount == mine.amount
    assert (await fleet.lease(other, held=genuine)).amount < 250, "another one's slices are not its own"


async def test_a_period_that_began_after_a_restore_waits_for_nobody(fleet, restore, clock):
    one, *_ = fleet.members
    await fleet.make()
    await fleet.lease(one)
    await restore()
    clock.forward(timedelta(days=2))

    assert (await fleet.lease(one)).amount > 0


def test_the_zone_of_a_budget_is_one():
    with pytest.raises(periods.ZoneUnknown):
        periods.zone_of("Europe/Atlantis")
