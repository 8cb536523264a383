"""How commands get at the database: one that is given, that of the ``up`` beside them, or one started for a moment."""

import asyncio
import os
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from asyncpg import InterfaceError, PostgresError
from sqlalchemy import make_url
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, NotSupportedError, ProgrammingError

from controlplane import settings
from controlplane.cli.home import Home, keep, kept
from controlplane.cli.problems import Declined
from controlplane.db import revisions, roles
from controlplane.db.database import Database
from controlplane.db.roles import Urls
from controlplane.domain import keys
from controlplane.domain.keys import Keyring, masters
from controlplane.embedded import Services, Unavailable
from controlplane.kit import memory
from controlplane.settings import Settings

Result = TypeVar("Result")

DATABASE = "engine_cloud"
"""Name of the embedded database."""

OURS = (ProgrammingError, DataError, IntegrityError, NotSupportedError)
"""The database was reached and dislikes the statement: a bug of ours. Anything else is the way there, or its end."""

PATIENCE_S = 30.0
"""How long another command, or an ``up`` that is starting, may keep the home to itself."""


def with_database(folder: Path, work: Callable[[Database, Keyring], Awaitable[Result]]) -> Result:
    """Do *work* on the database of the home *folder*, whether or not something runs there.

    Raises:
        Declined: If there is no database, or it cannot be reached.
        WrongRevision: If its schema is not the one this release works with.
    """

    async def run(url: str) -> Result:
        given = settings_of(folder)
        memory.keep_private()
        keyring, sealing = keys.opened(given.kek, given.keyring, os.environ, given.kek_grace())
        await revisions.check(url)
        db = Database(url, sealing=sealing, pool_size=1)
        try:
            await masters.check(db, sealing)
            return await work(db, keyring)
        finally:
            await db.close()

    with database(folder) as urls, told_plainly(urls.app):
        return asyncio.run(run(urls.app))


@contextmanager
def database(folder: Path, *, create: bool = False) -> Iterator[Urls]:
    """The URLs of the database that belongs to the home *folder*; ``owner`` is empty where it was not given.

    Args:
        folder: The home.
        create: Whether an embedded database may be made now, where there is none.

    Raises:
        Declined: If there is none.
        Unavailable: If the embedded one does not start.
    """
    given = settings_of(folder)
    if given.database_url:
        yield Urls(app=given.database_url, owner=given.database_owner_url or "")
        return
    home = Home(folder)
    home.check()
    if not create and not home.database.exists():
        raise Declined(
            f"There is no control plane in {folder} yet.",
            f"Start one: controlplane up --home {folder}; or set CONTROLPLANE_DATABASE_URL.",
        )
    services = _take(home)
    if services is None:
        yield _written(home)
        return
    with services:
        home.make()
        home.running.unlink(missing_ok=True)
        yield prepare(services.postgres(given.database_admin_url), home)


def prepare(admin_url: str, home: Home) -> Urls:
    """Make roles and database, with the passwords of earlier starts, and keep the URLs in *home*."""
    urls = asyncio.run(roles.prepare(admin_url, DATABASE, kept(home.database, Urls)))
    keep(home.database, urls)
    return urls


def settings_of(folder: Path) -> Settings:
    """What is set for the home *folder*: its file, overruled by the environment."""
    return settings.read({**os.environ, "CONTROLPLANE_HOME": str(folder)})


@contextmanager
def told_plainly(url: str) -> Iterator[None]:
    """What goes wrong on the way to the database at *url*, in words and without its password.

    Raises:
        Declined: If the database cannot be reached or does not let us in.
    """
    try:
        yield
    except OURS:
        raise
    except (OSError, PostgresError, InterfaceError, DBAPIError) as error:
        place = make_url(url)
        where = f"{place.host}:{place.port or 5432}/{place.database}"
        reason = str(getattr(error, "orig", None) or error).splitlines()[0]
        raise Declined(
            f"The database {where} cannot be used as {place.username}: {reason}",
            "Check that it runs and that CONTROLPLANE_DATABASE_URL is right; `controlplane doctor` says more.",
        ) from error


def _take(home: Home) -> Services | None:
    """The home for ourselves, after whoever has it for a moment; None if it is an ``up`` that runs there."""
    end = time.monotonic() + PATIENCE_S
    while True:
        try:
            return Services(home.folder)
        except Unavailable:
            if home.held_by():
                return None
            if time.monotonic() > end or not os.access(home.folder / "lock", os.W_OK):
                raise
            time.sleep(0.05)


def _written(home: Home) -> Urls:
    urls = kept(home.database, Urls)
    assert urls is not None  # `up` writes it before it says that it runs
    return urls
