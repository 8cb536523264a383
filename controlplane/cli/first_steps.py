"""What a new control plane needs before anybody can use it: keys, a first operator, a way in."""

import asyncio
from typing import Final

from sqlalchemy import exists, select

from controlplane.cli.home import Home
from controlplane.cli.problems import Declined
from controlplane.cli.reach import settings_of, with_database
from controlplane.cli.shell import shell
from controlplane.db import schema as t
from controlplane.db.database import Database, PlatformTx
from controlplane.domain import keys, people, sign_ins
from controlplane.domain.keys import Keyring
from controlplane.kit.ids import AccountId
from controlplane.settings import Settings

FIRST_OPERATOR = "operator@localhost"


USED: Final = select(exists(select(t.accounts.c.id)) | exists(select(t.master_keys.c.name)))
"""Somebody has been here with a keyring: the first account is made after it."""


def make_keyring(home: Home, url: str) -> None:
    """In its usual place, unless there is one or the settings name another place.

    Args:
        url: Of the database, with its schema.

    Raises:
        Declined: If it is missing, and the database was used with one: a new one would open nothing in it.
    """
    if settings_of(home.folder).keyring != f"file:{home.keyring}" or home.keyring.exists():
        return
    if asyncio.run(_used(url)):
        raise Declined(
            f"The keyring {home.keyring} is missing, and the database needs it.",
            "Put it back from where you keep its copy; a new one would open nothing. See docs/howto/lose-a-key.md.",
        )
    home.make()
    keys.write(home.keyring, keys.new())


def sign_in(home: Home) -> str:
    """A link that signs the first operator in, once; makes that operator if there is none at all."""

    async def work(db: Database, keyring: Keyring) -> str:
        async with db.platform() as tx:
            return await sign_ins.make_link(tx, shell(), keyring.pepper, await _first_operator(tx))

    return link(home, with_database(home.folder, work))


def link(home: Home, token: str) -> str:
    """The address that signs in with *token*. In the fragment, which browsers keep to themselves."""
    return f"{public_url(home)}/console/welcome#{token}"


def public_url(home: Home) -> str:
    """What browsers call: as the settings say here, or where they say nothing, as whoever runs in the home does."""
    said = settings_of(home.folder).public_url
    running = home.held_by()
    return running.public_url if running and said == Settings().public_url else said


async def _used(url: str) -> bool:
    db = Database(url, pool_size=1)
    try:
        async with db.platform() as tx:
            return bool(await tx.scalar(USED))
    finally:
        await db.close()


async def _first_operator(tx: PlatformTx) -> AccountId:
    known = await people.operators(tx, after=None, limit=200)
    if known:
        return min(operator.account_id for operator in known)
    account = await people.account_for(tx, shell(), FIRST_OPERATOR, name="First operator")
    await people.make_operator(tx, shell(), account.id)
    return account.id
