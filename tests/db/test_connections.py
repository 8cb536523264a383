"""What goes on from test to test."""

from sqlalchemy import text

from tests.connections import Connections, Lent

LEFT = text(
    "SELECT pg_backend_pid(), current_setting('statement_timeout'), "
    "(SELECT count(*) FROM pg_locks WHERE pid = pg_backend_pid() AND locktype = 'advisory')"
)


async def test_a_connection_goes_on_and_nothing_of_its_session(app_url, clock):
    connections, first, second = Connections(), Lent(app_url, clock), Lent(app_url, clock)

    async with connections.lend(first), first._engine.begin() as used:
        await used.execute(text("SET statement_timeout = 1234"))
        await used.execute(text("SELECT pg_advisory_lock(1)"))
        pid, *before = (await used.execute(LEFT)).one()
    async with connections.lend(second), second._engine.begin() as used_again:
        after = (await used_again.execute(LEFT)).one()

    assert before == ["1234ms", 1]
    assert tuple(after) == (pid, "0", 0)
    await connections.close()


async def test_one_that_is_in_use_still_is_not_handed_on(app_url, clock):
    connections, first = Connections(), Lent(app_url, clock)

    async with connections.lend(first):
        held = await first._engine.connect()

    assert connections.pids == []
    await held.close()
