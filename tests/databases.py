"""A database for each test as if just migrated: the last one emptied, or a new copy where that one was altered.

Making a copy takes a tenth of a second, most of it in the kernel, which makes a thousand files; emptying a twentieth of
that. What a test may have altered beside rows is seen in the catalogs.
"""

import itertools
import os

import asyncpg

from controlplane.db import roles
from tests.connections import Connections

TEMPLATE = "migrated"

CATALOGS = (
    *("pg_attrdef", "pg_attribute", "pg_class", "pg_constraint", "pg_default_acl", "pg_event_trigger", "pg_extension"),
    *("pg_index", "pg_inherits", "pg_namespace", "pg_policy", "pg_proc", "pg_rewrite", "pg_trigger", "pg_type"),
)

TABLES = """
    SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace ORDER BY relname
"""

OTHERS_LEAVE = "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = $1 AND pid <> ALL($2)"

CUT_OFF = (asyncpg.PostgresConnectionError, asyncpg.AdminShutdownError, asyncpg.InterfaceError)

SEQUENCES = "SELECT relname FROM pg_class WHERE relkind = 'S' AND relnamespace = 'public'::regnamespace"


class _Made:
    """A database, what it was like when it was made, and a connection to it that stays open for looking after it."""

    def __init__(self, name: str, connection: asyncpg.Connection) -> None:
        self.name = name
        self.connection = connection
        self.state: list[tuple[str, int, int]] = []
        """Empty: never noted, and nothing to restore."""
        self.filled: dict[str, str] = {}
        """Tables that are not empty after the migrations, and what is in them."""
        self._used = ""
        self._reset = ""

    async def note(self) -> None:
        """What it is like now is what it is to be again."""
        tables = [row["relname"] for row in await self.connection.fetch(TABLES)]
        self.filled = {table: held for table, held in (await _filled(self.connection, tables)).items() if held}
        self.state = await _state(self.connection)
        used = (
            f"SELECT '{each}' WHERE EXISTS (SELECT FROM ONLY \"{each}\")" for each in tables if each not in self.filled
        )
        self._used = " UNION ALL ".join(used)
        sequences = [row["relname"] for row in await self.connection.fetch(SEQUENCES)]
        self._reset = ";".join(f"SELECT setval('\"{sequence}\"', 1, false)" for sequence in sequences)
        # no trigger fires for a replica: neither those of foreign keys nor those that keep logs from deletion
        await self.connection.execute("SET session_replication_role = replica")

    async def restore(self) -> bool:
        """Empty what was empty; False where that does not make it what it was."""
        try:
            as_before = await self._is_as_noted()
            if as_before:
                await self._empty()
        except CUT_OFF:  # a test has ended every connection to its database
            return False
        return as_before

    async def _is_as_noted(self) -> bool:
        """But for rows in tables that were empty."""
        return (
            await _state(self.connection) == self.state and await _filled(self.connection, self.filled) == self.filled
        )

    async def _empty(self) -> None:
        used = [row[0] for row in await self.connection.fetch(self._used)]
        await self.connection.execute(";".join([*(f'DELETE FROM ONLY "{table}"' for table in used), self._reset]))


class Databases:
    """Those of one worker, which runs one test at a time."""

    def __init__(self, superuser: asyncpg.Connection, url: str) -> None:
        """
        Args:
            url: The superuser's, of the server's own database.
        """
        self._superuser = superuser
        self._url = url
        self._serial = itertools.count(1)
        self._spare: _Made | None = None
        self.connections = Connections()

    async def take(self) -> _Made:
        """One that nobody uses."""
        made, self._spare = self._spare, None
        return made or await self._make()

    async def copy(self, name: str) -> _Made:
        """One that is like the database *name*; it is nobody's after the test."""
        await self.connections.close()  # those that are kept are to the spare one
        copied = await self.create(name)
        return _Made(copied, await asyncpg.connect(f"{self._url}/{copied}"))

    async def create(self, like: str = TEMPLATE) -> str:
        """The name of a new one, which is the caller's to drop."""
        name = f"{os.environ.get('PYTEST_XDIST_WORKER', 'main')}_{next(self._serial)}"
        await self._superuser.execute(f'CREATE DATABASE "{name}" TEMPLATE "{like}" OWNER {roles.OWNER}')
        return name

    async def drop(self, name: str) -> None:
        await self._superuser.execute(f'DROP DATABASE "{name}" WITH (FORCE)')

    async def give_back(self, made: _Made) -> None:
        """Empty it for the next test; or drop it, if more than rows has changed."""
        stay = [made.connection.get_server_pid(), *self.connections.pids]
        await self._superuser.execute(OTHERS_LEAVE, made.name, stay)
        if made.state and await made.restore():
            self._spare = made
        else:
            await self._drop(made)

    async def close(self) -> None:
        if self._spare is not None:
            await self._drop(self._spare)

    async def _make(self) -> _Made:
        name = await self.create()
        made = _Made(name, await asyncpg.connect(f"{self._url}/{name}"))
        await made.note()
        return made

    async def _drop(self, made: _Made) -> None:
        await self.connections.close()
        await made.connection.close()
        await self.drop(made.name)


async def _state(connection: asyncpg.Connection) -> list[tuple[str, int, int]]:
    """How many rows each catalog has, and the newest transaction that wrote one: any DDL changes one of them."""
    counts = (f"SELECT '{name}', count(*), max(xmin::text::bigint) FROM {name}" for name in CATALOGS)
    return [tuple(row) for row in await connection.fetch(" UNION ALL ".join(counts))]


async def _filled(connection: asyncpg.Connection, tables: object) -> dict[str, str]:
    held = "SELECT '{0}', md5(string_agg(r::text, chr(10) ORDER BY r::text)) FROM ONLY \"{0}\" r"
    return dict(await connection.fetch(" UNION ALL ".join(held.format(table) for table in tables)))
