"""What a new control plane needs before anybody can use it: keys, a first operator, a way in."""

from controlplane.cli.home import Home
from controlplane.cli.reach import settings_of, with_database
from controlplane.cli.shell import shell
from controlplane.db.database import Database, PlatformTx
from controlplane.domain import keys, people, sign_ins
from controlplane.domain.keys import Keyring
from controlplane.kit.ids import AccountId
from controlplane.settings import Settings

FIRST_OPERATOR = "operator@localhost"


def make_keyring(home: Home) -> None:
    """In its usual place, unless there is one or the settings name another place."""
    if settings_of(home.folder).kek == f"file:{home.keyring}" and not home.keyring.exists():
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


async def _first_operator(tx: PlatformTx) -> AccountId:
    known = await people.operators(tx, after=None, limit=200)
    if known:
        return min(operator.account_id for operator in known)
    account = await people.account_for(tx, shell(), FIRST_OPERATOR, name="First operator")
    await people.make_operator(tx, shell(), account.id)
    return account.id
