"""``controlplane vault``: how it stands with the keys, and having them replaced, beside running servers."""

from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import click

from controlplane.cli.options import Duration, home_option, instant, json_option, show
from controlplane.cli.problems import Declined

if TYPE_CHECKING:
    from controlplane.db.database import Database
    from controlplane.domain.keys import Keyring
    from controlplane.domain.rotations import Kind, Rotation
    from controlplane.domain.rotations.standing import Health, Standing

LOOK_EVERY_S = 1.0
"""While replaced keys rest."""


@click.group()
def vault() -> None:
    """The keys that secrets are kept under. Everything here works beside running servers, and goes on when cut short."""


@vault.command()
@home_option
@json_option
def status(home: Path, as_json: bool) -> None:
    """Show master keys, data keys, rotations, and whether whoever keeps the master key answers. Status 1 if not."""
    from controlplane.cli.reach import with_database
    from controlplane.domain.rotations import standing

    async def work(db: "Database", _: "Keyring") -> "tuple[Standing, Health]":
        assert db.sealing is not None, "given by with_database"
        async with db.operator() as look:
            return await standing.gather(look, db.sealing), await standing.health(db.sealing)

    found, health = with_database(home, work)
    show(_document(found, health), _words(found, health), as_json)
    if health.problem:
        raise SystemExit(1)


@vault.command("rotate-kek")
@click.option(
    "--stage", is_flag=True, help="Only put a new key into the keyring's file, to be copied to every replica."
)
@click.option("--forget-retired", is_flag=True, help="Take master keys out of the keyring that only old backups need.")
@home_option
@json_option
def rotate_kek(home: Path, stage: bool, forget_retired: bool, as_json: bool) -> None:
    """Have a new master key, wrap every data key under it, and retire the one before.

    A keyring that is the file of the only replica gets a new key. Otherwise every replica has to have it first.
    """
    from controlplane.cli.reach import with_database
    from controlplane.domain import rotations

    if stage:
        _stage(home)
        return

    async def work(db: "Database", _: "Keyring") -> "Rotation":
        await rotations.have_new_master(db, _ring_of(home))
        return await _rotate(db, home, "master", None)

    _print(with_database(home, work), as_json)
    if forget_retired:
        _forget(home)


@vault.command("rotate-dek")
@click.option("--tenant", metavar="SLUG", help="Slug or id of the tenant.")
@click.option("--platform", is_flag=True, help="The data keys that belong to no tenant.")
@home_option
@json_option
def rotate_dek(home: Path, tenant: str | None, platform: bool, as_json: bool) -> None:
    """Give a tenant new data keys, seal anew what the old ones sealed, and destroy those."""
    from controlplane.cli.reach import with_database

    if (tenant is None) != platform:
        raise click.UsageError("Give either --tenant or --platform.")
    _print(with_database(home, lambda db, _: _rotate(db, home, "data", tenant)), as_json)


@vault.command()
@home_option
@json_option
def rewrap(home: Path, as_json: bool) -> None:
    """Wrap every data key under the master key that there is: after one was cut short, or a backup was restored."""
    from controlplane.cli.reach import with_database

    _print(with_database(home, lambda db, _: _rotate(db, home, "rewrap", None)), as_json)


@vault.command()
@click.option("--within", type=Duration(), default="1h", show_default=True, help="When it has to be over.")
@home_option
@json_option
def emergency(home: Path, within: timedelta, as_json: bool) -> None:
    """Replace the master key and every data key there is: when keys may be in wrong hands.

    What was sealed with them and taken away stays open to whoever has them: change those secrets where they are from.
    """
    from controlplane.cli.reach import with_database
    from controlplane.domain import rotations

    async def work(db: "Database", _: "Keyring") -> "Rotation":
        await rotations.have_new_master(db, _ring_of(home))
        return await _rotate(db, home, "emergency", None, within)

    _print(with_database(home, work), as_json)


async def _rotate(
    db: "Database", home: Path, kind: "Kind", tenant: str | None, within: timedelta | None = None
) -> "Rotation":
    """Ask for it, or go on with the one that is open, to its end."""
    import asyncio

    from controlplane.cli.shell import shell, tenant_id
    from controlplane.domain import rotations
    from controlplane.domain.rotations import RotationOpen

    owner = await tenant_id(db, tenant) if tenant is not None else None
    try:
        async with db.scoped(owner) as tx:
            rotation = await rotations.ask(tx, shell(), kind, tx.now + within if within else None)
    except RotationOpen as found:
        rotation = found.rotation
    while rotation.step != "done":
        rotation = await _go_on(db, home, rotation)
        if rotation.step == "resting":
            await asyncio.sleep(LOOK_EVERY_S)
    return rotation


async def _go_on(db: "Database", home: Path, rotation: "Rotation") -> "Rotation":
    """As far as it goes now; each step, and each percent of it, is told on stderr."""
    from controlplane.cli.reach import settings_of
    from controlplane.cli.shell import shell
    from controlplane.domain import rotations

    assert db.sealing is not None, "given by with_database"
    told = (rotation.step, rotation.percent)
    try:
        async for last in rotations.go_on(db, db.sealing, shell(), rotation.id, settings_of(home).key_rest()):
            if (last.step, last.percent) != told:
                told = (last.step, last.percent)
                click.echo(f"{last.step}: {last.done} of {last.total}, {last.percent} %", err=True)
    except Exception as error:
        await rotations.stopped(db, rotation.id, error)
        raise
    async with db.platform() as tx:
        return await rotations.get(tx, rotation.id)


def _ring_of(home: Path) -> Path | None:
    """The keyring's file, if nobody else has a copy of it."""
    from controlplane.cli.reach import settings_of

    given = settings_of(home)
    alone = given.kek.startswith("file:") and given.redis_url is None
    return Path(given.kek.removeprefix("file:")) if alone else None


def _stage(home: Path) -> None:
    from controlplane.cli.reach import settings_of
    from controlplane.domain import keys

    given = settings_of(home)
    if not given.kek.startswith("file:"):
        raise Declined("The master key is in no file.", "Make the new one where the old one is kept.")
    path = Path(given.kek.removeprefix("file:"))
    name = keys.extend(path).wraps
    click.echo(f"{path} has {name} now. Copy it to every replica, then run: controlplane vault rotate-kek", err=True)


def _forget(home: Path) -> None:
    """Take the retired master keys out of a keyring that is a file."""
    from controlplane.cli.reach import settings_of, with_database
    from controlplane.domain import keys
    from controlplane.domain.rotations import standing

    given = settings_of(home)
    if not given.keyring.startswith("file:"):
        raise Declined("The keyring is in a variable.", "Take the retired keys out where the variable is set.")

    async def work(db: "Database", _: "Keyring") -> list[str]:
        assert db.sealing is not None, "given by with_database"
        async with db.operator() as look:
            return standing.to_forget((await standing.gather(look, db.sealing)).masters)

    gone = keys.strip(Path(given.keyring.removeprefix("file:")), with_database(home, work))
    for name in gone:
        click.echo(f"{name} is out of the keyring; backups from before need the copy that you kept.", err=True)


def _print(rotation: "Rotation", as_json: bool) -> None:
    from controlplane.domain import rotations

    identity = rotations.shown(rotation.id)
    document = {
        "id": identity,
        "kind": rotation.kind,
        "step": rotation.step,
        "records": rotation.done,
        "asked_at": instant(rotation.asked_at),
        "due_at": instant(rotation.due_at),
        "ended_at": instant(rotation.ended_at),
    }
    show(document, f"{identity} is {rotation.step}: {rotation.done} records", as_json)


def _document(found: "Standing", health: "Health") -> dict[str, object]:
    from msgspec import to_builtins

    from controlplane.domain import rotations

    shown = [
        {
            "id": rotations.shown(each.rotation.id),
            "kind": each.rotation.kind,
            "tenant": each.slug or None,
            "step": each.rotation.step,
            "percent": each.rotation.percent,
            "problem": each.rotation.problem,
        }
        for each in found.rotations
    ]
    standing = {"masters": found.masters, "kinds": found.kinds}
    return {"keeper": to_builtins(health), "current": found.current, **to_builtins(standing), "rotations": shown}


def _words(found: "Standing", health: "Health") -> str:
    lines = [f"{health.kind}: {health.problem or f'answers in {health.ms} ms'}"]
    if found.current and health.configured not in ("", found.current):
        lines.append(f"{health.configured} is configured and does not wrap yet: controlplane vault rotate-kek")
    for master in found.masters:
        lacking = "" if master.at_hand or master.state == "retired" else ", and is not at hand"
        spare = (
            ", can be forgotten: rotate-kek --forget-retired" if master.state == "retired" and master.at_hand else ""
        )
        lines.append(f"  {master.name} is {master.state}: {master.data_keys} data keys{lacking}{spare}")
    lines += [
        f"{kind.kind}: {kind.current} current, {kind.former} former, {kind.destroyed} destroyed" for kind in found.kinds
    ]
    for each in found.rotations:
        rotation, whose = each.rotation, f" of {each.slug}" if each.slug else ""
        if rotation.step != "done":
            stopped = f", stopped: {rotation.problem}" if rotation.problem else ""
            lines.append(f"rotation{whose}, {rotation.kind}: {rotation.step}, {rotation.percent} %{stopped}")
    return "\n".join(lines)
