"""What a server sees to before it answers anybody: plans as they are configured, and tenants that must stay away."""

import asyncio
import os
from pathlib import Path

from controlplane.cli.shell import shell
from controlplane.db.database import Database
from controlplane.domain import keys, quotas, tombstones
from controlplane.domain.keys import Keyring, masters
from controlplane.domain.tombstones import FOLDER
from controlplane.settings import Settings


def prepare(given: Settings) -> int:
    """See to it, and return how many tenants had come back with a restored database and are purged again.

    Raises:
        UnusableKeyring, MasterKeyMissing, MasterKeyWrong, KeeperDown: If the keys are not those of this database.
        CertificateInvalid: If a file in the home's ``tombstones`` was not signed by us.
    """
    assert given.database_url is not None, "asked by the caller"
    return asyncio.run(_prepare(given.database_url, given))


async def reapply(db: Database, keyring: Keyring, folder: Path) -> int:
    """Make the tombstones of database and *folder* equal, and condemn whom they name."""
    returned = await tombstones.apply(db, keyring, shell(), tombstones.kept(folder))
    tombstones.keep(folder, await tombstones.known(db))
    return len(returned)


async def _prepare(url: str, given: Settings) -> int:
    keyring, sealing = keys.opened(given.kek, given.keyring, os.environ, given.kek_grace())
    db = Database(url, sealing=sealing, pool_size=1)
    try:
        await masters.check(db, sealing)
        async with db.platform() as tx:
            await quotas.configure(tx, shell(), given.plans, given.default_plan)
        return await reapply(db, keyring, Path(given.home) / FOLDER)
    finally:
        await db.close()
