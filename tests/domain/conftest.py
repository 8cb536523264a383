"""Tenants with something of everything: written once, then copied with their database for each test."""

import os
from collections.abc import AsyncIterator

import pytest
from msgspec import Struct

from controlplane.db.database import Database
from controlplane.domain import keys
from tests.conftest import KEYRING, FrozenClock
from tests.databases import TEMPLATE, Databases
from tests.holdings import Holdings, fill
from tests.make import Make


class Filled(Struct, frozen=True):
    name: str
    """The database's, to which nobody is connected."""
    holdings: list[Holdings]


class Fillings:
    """Those of one worker."""

    def __init__(self, databases: Databases) -> None:
        self._databases = databases
        self._there: dict[tuple[str, ...], Filled] = {}

    async def of(self, *slugs: str) -> Filled:
        """A database with these tenants, in this order."""
        if slugs not in self._there:
            name = await self._databases.create()
            url = os.environ["TEST_APP_URL"].replace(f"/{TEMPLATE}", f"/{name}")
            db = Database(url, FrozenClock(), sealing=keys.sealing(KEYRING))
            self._there[slugs] = Filled(name, [await fill(db, Make(db, KEYRING), slug) for slug in slugs])
            await db.close()
        return self._there[slugs]

    async def close(self) -> None:
        for filled in self._there.values():
            await self._databases.drop(filled.name)


@pytest.fixture(scope="session")
async def fillings(databases: Databases) -> AsyncIterator[Fillings]:
    fillings = Fillings(databases)
    yield fillings
    await fillings.close()


@pytest.fixture
async def copied(databases: Databases, filled: Filled) -> AsyncIterator[str]:
    """The name of a database like *filled*, which is the module's own: for it to be what ``db`` works on."""
    made = await databases.copy(filled.name)
    yield made.name
    await databases.give_back(made)
