"""Roles and how they log in."""

import os

import asyncpg
from sqlalchemy import make_url
from sqlalchemy.ext.asyncio import create_async_engine

from controlplane.db import roles
from controlplane.db.database import asyncpg_url


async def test_any_password_can_be_kept(superuser, database):
    role, odd = f"odd_{database}", 'it\'s :odd %s \\ "quoted"'
    place = make_url(asyncpg_url(os.environ["TEST_SUPERUSER_URL"]))
    engine = create_async_engine(place, isolation_level="AUTOCOMMIT")
    await superuser.execute(f"CREATE ROLE {role} LOGIN")
    try:
        async with engine.connect() as connection:
            earlier = place.set(username=role, password=odd).render_as_string(hide_password=False)
            url = await roles._log_in_as(connection, role, place, earlier)
        await (await asyncpg.connect(url)).close()
    finally:
        await superuser.execute(f"DROP ROLE {role}")
        await engine.dispose()

    assert make_url(url).password == odd
