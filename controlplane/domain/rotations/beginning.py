"""Before a master key is replaced there has to be another one, at every replica."""

from pathlib import Path

from controlplane.db.database import Database
from controlplane.domain import keys
from controlplane.domain.keys import masters
from controlplane.domain.rotations import requests
from controlplane.kit.problems import Refusal


class MasterNotNew(Refusal):
    """The master key that is configured is the one that wraps already, and it cannot be replaced from here."""

    code, status, title = "master-key-not-new", 409, "There is no new master key yet"
    hint = (
        "Give every replica a keyring with a new key (controlplane vault rotate-kek --stage), have the key service make "
        "a new version, or configure another key; then ask again. See docs/howto/rotate-keys.md."
    )


async def have_new_master(db: Database, ring: Path | None) -> None:
    """See to it that the configured master key is another one than the one that wraps.

    Args:
        ring: The keyring, if it is a file that a new key may be put into, because nobody else has a copy of it.

    Raises:
        MasterNotNew: If it is not, and only whoever configures it can change that.
    """
    assert db.sealing is not None, "whoever rotates keys has some"
    async with db.platform() as tx:
        if any(each.kind in ("master", "emergency") for each in await requests.open_ones(tx)):
            return  # one was cut short, and has its key
        wraps = await masters.wrapping(tx, db.sealing)
        tx.audited = True  # at most it is written down what has been true all along
    if await db.sealing.current() != wraps:
        return
    if ring is None:
        raise MasterNotNew(f"{wraps!r} is configured, and wraps already")
    keys.extend(ring)
