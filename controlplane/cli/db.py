"""``controlplane db``: roles, schema, revision."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from controlplane.cli.home import Home
from controlplane.cli.options import home_option, instant, json_option, show
from controlplane.cli.problems import Declined

if TYPE_CHECKING:
    from controlplane.db.database import Database
    from controlplane.domain.keys import Keyring


@click.group()
def db() -> None:
    """Make, upgrade and check the database."""


@db.command()
@home_option
@json_option
def init(home: Path, as_json: bool) -> None:
    """Make roles, database and schema; again is harmless.

    With CONTROLPLANE_DATABASE_ADMIN_URL on that server, and prints the URLs to set; without, the embedded one.
    """
    import asyncio

    from sqlalchemy import make_url

    from controlplane.cli import first_steps, reach
    from controlplane.db import revisions, roles, upgrade

    given = reach.settings_of(home)
    if not given.database_admin_url:
        if given.database_url:
            raise Declined("CONTROLPLANE_DATABASE_ADMIN_URL is not set.", "Set it to a role that may create roles.")
        with reach.database(home, create=True) as urls:
            asyncio.run(upgrade.upgrade(urls.owner))
            first_steps.make_keyring(Home(home), urls.app)
        show({"revision": revisions.newest()}, revisions.newest(), as_json)
        return
    earlier = roles.Urls(app=given.database_url or "", owner=given.database_owner_url or "")
    name = make_url(given.database_url).database if given.database_url else None
    with reach.told_plainly(given.database_admin_url):
        urls = asyncio.run(roles.prepare(given.database_admin_url, name or reach.DATABASE, earlier))
        asyncio.run(upgrade.upgrade(urls.owner))
        first_steps.make_keyring(Home(home), urls.app)
    document = {"revision": revisions.newest(), "database_url": urls.app, "database_owner_url": urls.owner}
    text = f"CONTROLPLANE_DATABASE_URL={urls.app}\nCONTROLPLANE_DATABASE_OWNER_URL={urls.owner}"
    show(document, text, as_json)


@db.command()
@home_option
@json_option
def upgrade(home: Path, as_json: bool) -> None:
    """Bring the schema to this release's revision and print it. Needs CONTROLPLANE_DATABASE_OWNER_URL."""
    import asyncio

    from controlplane.cli import reach
    from controlplane.db import revisions, upgrade

    with reach.database(home) as urls:
        _owned(urls.owner)
        with reach.told_plainly(urls.owner):
            asyncio.run(upgrade.upgrade(urls.owner))
    show({"revision": revisions.newest()}, revisions.newest(), as_json)


@db.command()
@click.argument("files", nargs=-1, type=click.Path(path_type=Path, exists=True))
@home_option
@json_option
def tombstones(files: tuple[Path, ...], home: Path, as_json: bool) -> None:
    """After a restore: have tenants purged again whose certificates are in the home, or in FILES.

    A server does so with those in its own home before it answers anybody. Prints how many had come back.
    """
    from controlplane.cli import before_serving
    from controlplane.cli.reach import with_database
    from controlplane.cli.shell import shell
    from controlplane.domain import tombstones as stones

    async def work(db: "Database", keyring: "Keyring") -> int:
        given = await stones.apply(db, keyring, shell(), [stones.read(file) for file in files])
        return len(given) + await before_serving.reapply(db, keyring, home / stones.FOLDER)

    returned = with_database(home, work)
    show({"returned": returned}, str(returned), as_json)


@db.command(name="resume-refreshes")
@home_option
@json_option
def resume_refreshes(home: Path, as_json: bool) -> None:
    """After a restore, and once the database that it was made from is gone: let refresh tokens be used again.

    Until then those are not used that work one time only, or the other database would lose its grants.
    """
    from controlplane.cli.reach import with_database
    from controlplane.cli.shell import shell
    from controlplane.domain.vault import restores

    async def work(db: "Database", _: "Keyring") -> bool:
        async with db.platform() as tx:
            return await restores.resume(tx, shell())

    waited = with_database(home, work)
    show({"resumed": waited}, "resumed" if waited else "nothing was waiting", as_json)


@db.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@home_option
@json_option
def backup(file: Path, home: Path, as_json: bool) -> None:
    """Write the whole database to FILE, beside whatever runs, and let agents forget what is in it.

    Keys and blobs are not in it: keep the home's secrets, and the object store, elsewhere. Needs the owner's URL.
    """
    import asyncio

    from controlplane.cli import reach, recovering

    with reach.database(home) as urls:
        _owned(urls.owner)
        with reach.told_plainly(urls.owner):
            taken = asyncio.run(recovering.backup(home, urls, file))
    rows = sum(part.rows for part in taken.parts)
    document = {"file": str(file), "taken_at": instant(taken.taken_at), "rows": rows, "runtimes": taken.runtimes}
    show(document, f"{rows} rows, {taken.runtimes} runtimes' logs", as_json)


@db.command()
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--yes", is_flag=True, help="Do not ask: what is in the database now is replaced.")
@home_option
@json_option
def restore(file: Path, yes: bool, home: Path, as_json: bool) -> None:
    """Put back what FILE holds, as another incarnation of the database: agents notice, and send again what is missing.

    Nothing may run. Tenants that were purged since are purged again, by the tombstones in the home.
    """
    import asyncio

    from controlplane.cli import reach, recovering

    if not yes:
        click.confirm("Replace everything in the database by what is in the backup?", abort=True, err=True)
    if Home(home).held_by():
        raise Declined("A control plane runs in this home.", "Stop it first: nobody may call before this is done.")
    with reach.database(home, create=True) as urls:
        _owned(urls.owner)
        with reach.told_plainly(urls.owner):
            restored, returned = asyncio.run(recovering.restore(home, urls, file))
    document = {"taken_at": instant(restored.taken_at), "runtimes": restored.runtimes, "purged_again": returned}
    show(document, f"as of {instant(restored.taken_at)}; {restored.runtimes} runtimes are asked for the rest", as_json)


@db.command()
@home_option
@json_option
def rebuild(home: Path, as_json: bool) -> None:
    """Make sessions, runs, checkpoints and costs again from what runtimes have sent, runtime by runtime."""
    from controlplane.cli import recovering
    from controlplane.cli.reach import with_database

    made = with_database(home, lambda db, _: recovering.rebuild(db))
    show({"runtimes": len(made), "records": sum(made)}, f"{sum(made)} records of {len(made)} runtimes", as_json)


def _owned(url: str) -> None:
    if not url:
        raise Declined("CONTROLPLANE_DATABASE_OWNER_URL is not set.", "Set it to the URL of cp_owner.")


@db.command()
@home_option
@json_option
def check(home: Path, as_json: bool) -> None:
    """Print the revision if it is the one this release works with; refuse it otherwise."""
    import asyncio

    from controlplane.cli import reach
    from controlplane.db import revisions

    with reach.database(home) as urls, reach.told_plainly(urls.app):
        asyncio.run(revisions.check(urls.app))
    show({"revision": revisions.newest()}, revisions.newest(), as_json)
