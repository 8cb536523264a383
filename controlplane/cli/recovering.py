"""A backup and its restore, with what belongs to each: records of both, and tombstones that count again."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from controlplane.cli import before_serving, reach
from controlplane.cli.shell import shell
from controlplane.db import backups, revisions, upgrade
from controlplane.db import schema as t
from controlplane.db.backups import Contents
from controlplane.db.database import Database, PlatformTx
from controlplane.db.partitions import Partitions
from controlplane.db.roles import Urls
from controlplane.domain import audit, keys
from controlplane.domain.keys import Keyring, masters
from controlplane.domain.sync import rebuilding
from controlplane.domain.sync.rebuilding import Runtime
from controlplane.domain.tombstones import FOLDER
from controlplane.kit.clock import rfc3339
from controlplane.kit.ids import text_id


async def backup(home: Path, urls: Urls, file: Path) -> Contents:
    """Take it, announce how far it covers the logs, and put it on record.

    Raises:
        WrongRevision: If the database is not at this release's revision.
        MayNotSeeAll, BackupUnreadable: As of :func:`backups.take`.
    """
    await revisions.check(urls.app)
    taken = await backups.take(urls.owner, file)
    async with _opened(home, urls) as (db, _), db.platform() as tx:
        _note(tx, "database.backed-up", taken)
    return taken


async def restore(home: Path, urls: Urls, file: Path) -> tuple[Contents, int]:
    """Put it back, and return it with how many tenants had come back with it and are purged again.

    Raises:
        BackupUnreadable, BackupOfAnotherRevision, DatabaseInUse, MayNotSeeAll: As of :func:`backups.put_back`.
        MasterKeyMissing, MasterKeyWrong: If the keys in the home are not those of the backup.
    """
    await upgrade.upgrade(urls.owner)
    restored = await backups.put_back(urls.owner, file)
    async with _opened(home, urls) as (db, keyring):
        returned = await before_serving.reapply(db, keyring, home / FOLDER)
        async with db.platform() as tx:
            _note(tx, "database.restored", restored)
    return restored, returned


async def rebuild(db: Database) -> list[int]:
    """Make the projections of every runtime again, one after the other; how many records each had."""
    async with db.operator() as look:
        found = await look.all(Runtime, look.select(t.runtimes).order_by(t.runtimes.c.tenant_id, t.runtimes.c.id))
    partitions = Partitions(db)
    return [await rebuilding.rebuild(db, runtime, partitions) for runtime in found]


@asynccontextmanager
async def _opened(home: Path, urls: Urls) -> AsyncIterator[tuple[Database, Keyring]]:
    given = reach.settings_of(home)
    keyring, sealing = keys.opened(given.kek, given.keyring, os.environ, given.kek_grace())
    db = Database(urls.app, sealing=sealing, pool_size=1)
    try:
        await masters.check(db, sealing)
        yield db, keyring
    finally:
        await db.close()


def _note(tx: PlatformTx, action: str, contents: Contents) -> None:
    target = ("store", text_id("sto", contents.store_id))
    audit.record(tx, shell(), action, target, taken_at=rfc3339(contents.taken_at), runtimes=contents.runtimes)
