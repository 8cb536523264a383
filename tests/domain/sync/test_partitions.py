"""Partitions: made once, whoever asks first; made for past months too; never where a row could get lost."""

import asyncio
from datetime import datetime, timedelta

import pytest
from msgspec import Struct
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from controlplane.db.partitions import MAKE, Partitions
from controlplane.kit.clock import wall_clock
from tests.logs import session

LAST_MONTH = wall_clock().replace(day=1) - timedelta(days=2)

IN_DEFAULT = text("SELECT tableoid::regclass::text AS part FROM sessions")


class Part(Struct, frozen=True):
    part: str


async def test_many_at_once_make_a_month_once(db):
    askers = [Partitions(db) for _ in range(8)]

    made = await asyncio.gather(*(asker.see_to([("sessions", LAST_MONTH)]) for asker in askers))

    assert sum(made) == 1


async def test_what_is_made_ahead_is_made_once(db):
    assert await Partitions(db).make_ahead() > 0
    assert await Partitions(db).make_ahead() == 0


async def test_a_session_of_a_past_month_gets_that_months_partition(site):
    log = await site.log()
    log.write(session(1))

    await site.append(log, 1, 1)

    async with site.db.tenant(site.tenant_id) as tx:
        assert await tx.query(Part, IN_DEFAULT) == [Part("sessions_202512")]


async def test_what_is_older_than_two_years_shares_a_partition_with_all_that_is(site):
    log = await site.log()
    log.write(*(session(n, session=f"session_{2000 + n}0714_120000_1") for n in range(20)))

    await site.append(log, 1, 20)

    async with site.db.tenant(site.tenant_id) as tx:
        assert await tx.query(Part, IN_DEFAULT) == [Part("sessions_default")] * 20


@pytest.mark.parametrize(
    ("table", "month"),
    [("accounts", datetime(2026, 1, 1)), ("sessions", datetime(1999, 12, 1)), ("sessions", datetime(2040, 1, 1))],
)
async def test_the_application_can_make_no_other_tables(db, table, month):
    with pytest.raises(DBAPIError, match=r"not a partitioned table|no partition is made"):
        async with db.platform() as tx:
            await tx.query(Part, MAKE, parent=table, month=month.date())
