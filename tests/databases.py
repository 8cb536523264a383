"""A database for each test as if just migrated: the last one emptied, or a new copy where that one was altered.

Making a copy takes a tenth of a second, most of it in the kernel, which makes a thousand files; emptying a twentieth of
that. What a test may have altered beside rows is seen in the catalogs.
"""

import itertools
import os

import asyncpg
from msgspec import Struct

from controlplane.db import roles

TEMPLATE = "migrated"

CATALOGS = (
    *("pg_attrdef", "pg_attribute", "pg_class", "pg_constraint", "pg_default_acl", "pg_event_trigger", "pg_extension"),
    *("pg_index", "pg_inherits", "pg_namespace", "pg_policy", "pg_proc", "pg_rewrite", "pg_trigger", "pg_type"),
)

TABLES = """
    SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace ORDER BY relname
"""

SEQUENCES = "SELECT relname FROM pg_class WHERE relkind = 'S' AND relnamespace = 'public'::regnamespace"


class _Made(Struct, frozen=True):
    """A database, and what it was like when it was made."""

    name: str
    state: list[tuple[str, int, int]]
    filled: dict[str, str]
    """Tables that are not empty after the migrations, and what is in them."""
    emptying: str


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

    async def take(self) -> "_Made":
        """One that nobody uses."""
        made, self._spare = self._spare, None
        return made or await self._make()

    async def give_back(self, made: "_Made") -> None:
        """Empty it for the next test; or drop it, if more than rows has changed."""
        await self._superuser.execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = $1", made.name
        )
        connection = await asyncpg.connect(f"{self._url}/{made.name}")
        try:
            as_before = await _state(connection) == made.state and await _filled(connection, made.filled) == made.filled
            if as_before:
                await connection.execute(made.emptying)
                self._spare = made
        finally:
            await connection.close()
        if not as_before:
            await self._drop(made.name)

    async def close(self) -> None:
        if self._spare is not None:
            await self._drop(self._spare.name)

    async def _make(self) -> _Made:
        name = f"{os.environ.get('PYTEST_XDIST_WORKER', 'main')}_{next(self._serial)}"
        await self._superuser.execute(f'CREATE DATABASE "{name}" TEMPLATE "{TEMPLATE}" OWNER {roles.OWNER}')
        connection = await asyncpg.connect(f"{self._url}/{name}")
        try:
            tables = [row["relname"] for row in await connection.fetch(TABLES)]
            filled = {table: held for table, held in (await _filled(connection, tables)).items() if held}
            sequences = [row["relname"] for row in await connection.fetch(SEQUENCES)]
            return _Made(name, await _state(connection), filled, _emptying(set(tables) - filled.keys(), sequences))
        finally:
            await connection.close()

    async def _drop(self, name: str) -> None:
        await self._superuser.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


async def _state(connection: asyncpg.Connection) -> list[tuple[str, int, int]]:
    """How many rows each catalog has, and the newest transaction that wrote one: any DDL changes one of them."""
    counts = (f"SELECT '{name}', count(*), max(xmin::text::bigint) FROM {name}" for name in CATALOGS)
    return [tuple(row) for row in await connection.fetch(" UNION ALL ".join(counts))]


async def _filled(connection: asyncpg.Connection, tables: object) -> dict[str, str]:
    held = "SELECT '{0}', md5(string_agg(r::text, chr(10) ORDER BY r::text)) FROM ONLY \"{0}\" r"
    return dict(await connection.fetch(" UNION ALL ".join(held.format(table) for table in tables)))


def _emptying(tables: set[str], sequences: list[str]) -> str:
    """As ``replica``, for which no trigger fires: neither those of foreign keys nor those that keep logs from deletion."""
    statements = [f'DELETE FROM ONLY "{table}"' for table in sorted(tables)]
    statements += [f"SELECT setval('\"{sequence}\"', 1, false)" for sequence in sequences]
    return ";".join(["SET session_replication_role = replica", *statements])
