"""Beginning and ending: whatever happens in a transaction, the next one has a connection that is nobody's."""

import asyncio
import contextlib

import asyncpg
import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from controlplane.db import schema as t
from controlplane.db.database import asyncpg_url
from controlplane.db.opening import RolledBack, asked_once, engine_of

PID = text("SELECT pg_backend_pid()")


async def test_what_is_left_in_a_transaction_is_not_lent_out_again(db):
    async with db._engine.connect() as connection:
        left = await connection.scalar(PID)
        driver = (await connection.get_raw_connection()).driver_connection
        await driver.execute("BEGIN")

    async with db._engine.connect() as connection:
        assert await connection.scalar(PID) != left
    assert driver.is_closed()


async def test_a_connection_that_ended_while_it_lay_idle_is_replaced_before_anybody_sees_it(db, make, admin_url):
    tenant = await make.tenant()
    async with db._engine.connect() as connection:
        pid = await connection.scalar(PID)
        driver = (await connection.get_raw_connection()).driver_connection
    ended = asyncio.Event()
    driver.add_termination_listener(lambda _: ended.set())
    admin = await asyncpg.connect(admin_url)
    await admin.execute("SELECT pg_terminate_backend($1)", pid)
    await admin.close()
    async with asyncio.timeout(10):
        await ended.wait()

    async with db.tenant(tenant.tenant_id) as tx:
        assert await tx.scalar(tx.select(t.tenants).with_only_columns(t.tenants.c.slug)) == tenant.slug


async def test_a_transaction_in_which_something_failed_is_not_taken_for_committed(db, make):
    tenant = await make.tenant()

    async def go_on_nevertheless():
        async with db.tenant(tenant.tenant_id) as tx:
            tx.audited = True
            await tx.run(tx.update(t.tenants).values(name="lost"))
            with contextlib.suppress(DBAPIError):
                await tx.run(text("SELECT 1 / 0"))

    with pytest.raises(RolledBack):
        await go_on_nevertheless()

    async with db.tenant(tenant.tenant_id) as tx:
        assert await tx.scalar(tx.select(t.tenants).with_only_columns(t.tenants.c.name)) == tenant.name


async def test_a_task_that_is_cancelled_undoes_what_it_did(db, make):
    tenant = await make.tenant()
    inside = asyncio.Event()

    async def change():
        async with db.tenant(tenant.tenant_id) as tx:
            await tx.run(tx.update(t.tenants).values(name="half done"))
            inside.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(change())
    await inside.wait()
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task

    assert task.cancelled()
    async with db.tenant(tenant.tenant_id) as tx:
        assert await tx.scalar(tx.select(t.tenants).with_only_columns(t.tenants.c.name)) == tenant.name


@pytest.fixture
async def engine(app_url):
    """It keeps one connection."""
    engine = engine_of(asyncpg_url(app_url), pool_size=1, max_overflow=2)
    yield engine
    await engine.dispose()


async def test_a_connection_that_is_lent_for_one_statement_comes_back_unless_that_fails(engine):
    def pid(driver):
        return driver.fetchval("SELECT pg_backend_pid()")

    lent = await asked_once(engine, pid)
    assert await asked_once(engine, pid) == lent

    with pytest.raises(asyncpg.DivisionByZeroError):
        await asked_once(engine, lambda driver: driver.fetchval("SELECT 1 / 0"))
    assert await asked_once(engine, pid) != lent
    assert engine.pool.checkedout() == 0


async def test_of_more_connections_than_are_kept_the_others_are_closed(engine):
    all_are_out, lent = asyncio.Barrier(3), []

    async def hold(driver):
        lent.append(driver)
        await all_are_out.wait()

    await asyncio.gather(*(asked_once(engine, hold) for _ in range(3)))

    assert [driver.is_closed() for driver in lent].count(False) == engine.pool.checkedin() == 1


async def test_a_statement_whose_connection_the_database_ends_says_so(db):
    with pytest.raises(ConnectionError):
        await asked_once(
            db._engine, lambda driver: driver.fetchval("SELECT pg_terminate_backend(pg_backend_pid()), pg_sleep(10)")
        )
    assert await asked_once(db._engine, lambda driver: driver.fetchval("SELECT 1")) == 1
