"""``controlplane tenant export``, ``import``, ``purge`` and certificates: how a tenant leaves, and comes to be elsewhere."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import click

from controlplane.cli.options import home_option, json_option, show
from controlplane.cli.problems import Declined

if TYPE_CHECKING:
    from controlplane.db.database import Database
    from controlplane.domain.archives import Manifest
    from controlplane.domain.certificates import Certificate
    from controlplane.domain.imports import Imported
    from controlplane.domain.keys import Keyring

FILE = click.Path(path_type=Path, dir_okay=False)
THERE = click.Path(path_type=Path, dir_okay=False, exists=True)


@click.command("export")
@click.argument("tenant")
@click.option("--out", required=True, type=FILE, help="The archive to write; one that is there is replaced.")
@home_option
@json_option
def export_(tenant: str, out: Path, home: Path, as_json: bool) -> None:
    """Write everything a tenant has into a ZIP, and print the SHA-256 of its manifest. Nothing secret is in it."""
    from controlplane.cli.reach import with_database
    from controlplane.cli.shell import shell, tenant_id
    from controlplane.domain import archives, audit
    from controlplane.kit.ids import text_id

    beside = out.with_name(f".{out.name}.part")
    file = open(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb")  # noqa: SIM115 closed below

    async def work(db: "Database", _: "Keyring") -> "Manifest":
        identity = await tenant_id(db, tenant)
        async with db.snapshot(identity) as look:
            manifest = await archives.pack(look, _File(file), shell().id)
        async with db.tenant(identity) as tx:
            target = ("tenant", text_id("ten", identity))
            audit.record(tx, shell(), "tenant.exported", target, manifest=manifest.sha256)
        return manifest

    try:
        manifest = with_database(home, work)
        file.flush()
        os.fsync(file.fileno())
        beside.replace(out)
    finally:
        file.close()
        beside.unlink(missing_ok=True)
    show({"file": str(out), "rows": manifest.rows, "manifest_sha256": manifest.sha256}, manifest.sha256, as_json)


@click.command("import")
@click.argument("file", type=THERE)
@home_option
@json_option
def import_(file: Path, home: Path, as_json: bool) -> None:
    """Make the tenant of an archive here, with everything it had, and print its id.

    Its API keys and join tokens open nothing here; its people sign in with links, its runtimes as before.
    """
    from controlplane.cli.reach import with_database
    from controlplane.cli.shell import shell
    from controlplane.db.partitions import Partitions
    from controlplane.domain import imports
    from controlplane.kit.ids import text_id

    async def work(db: "Database", _: "Keyring") -> "Imported":
        archive = imports.Archive(file)
        try:
            return await imports.unpack(db, Partitions(db), shell(), archive)
        finally:
            archive.close()

    made = with_database(home, work)
    if made.accounts_known:
        click.echo(f"{made.accounts_known} of its people have accounts here already and keep their ids.", err=True)
    document = {
        "id": text_id("ten", made.tenant_id),
        "slug": made.slug,
        "rows": made.manifest.rows,
        "manifest_sha256": made.manifest.sha256,
        "accounts_known": made.accounts_known,
    }
    show(document, str(document["id"]), as_json)


@click.command()
@click.argument("tenant")
@home_option
@json_option
def purge(tenant: str, home: Path, as_json: bool) -> None:
    """Destroy what a deleted tenant has, once its grace is over, and print the certificate.

    A running server does so by itself. Cut short at any point, the next one goes on.
    """
    from controlplane.cli.reach import with_database
    from controlplane.cli.shell import shell, tenant_id
    from controlplane.domain import purges, tombstones

    async def work(db: "Database", keyring: "Keyring") -> "Certificate":
        identity = await tenant_id(db, tenant)
        async for done in purges.purge(db, keyring, shell(), identity):
            click.echo(done, err=True)
        tombstones.keep(home / tombstones.FOLDER, await tombstones.known(db))
        return await _certificate(db, tenant)

    _print(with_database(home, work), as_json)


@click.command()
@click.argument("tenant")
@home_option
@json_option
def certificate(tenant: str, home: Path, as_json: bool) -> None:
    """Print the signed proof that a tenant was purged; TENANT is its id."""
    from controlplane.cli.reach import with_database

    _print(with_database(home, lambda db, _: _certificate(db, tenant)), as_json)


@click.command("certificate-key")
@home_option
@json_option
def certificate_key(home: Path, as_json: bool) -> None:
    """Print the public key that certificates are checked with."""
    from controlplane.cli.reach import settings_of
    from controlplane.domain import certificates, keys

    key = certificates.public_key(keys.read(settings_of(home).keyring, os.environ))
    show({"public_key": key}, key, as_json)


@click.command("verify-certificate")
@click.argument("file", type=THERE)
@click.option("--public-key", required=True, help="32 bytes, base64url, as `certificate-key` prints it.")
@json_option
def verify_certificate(file: Path, public_key: str, as_json: bool) -> None:
    """Check a certificate, offline: needs the file and the public key, and no home."""
    import base64
    import binascii

    from controlplane.domain import certificates, tombstones

    try:
        key = base64.urlsafe_b64decode(public_key + "==")
    except (binascii.Error, ValueError):
        raise Declined("This is no public key.", "It is 32 bytes in base64url, 43 characters.") from None
    found = tombstones.read(file)
    certificates.check(found, key)
    rows = sum(table.rows for table in found.facts.tables)
    document = {"tenant": found.facts.tenant, "purged_at": found.facts.purged_at, "rows": rows}
    show(document, f"{found.facts.tenant} was purged at {found.facts.purged_at}: {rows} rows", as_json)


COMMANDS = (export_, import_, purge, certificate, certificate_key, verify_certificate)
"""Of ``controlplane tenant``."""


async def _certificate(db: "Database", reference: str) -> "Certificate":
    from controlplane.cli.shell import tenant_id
    from controlplane.domain import purges

    async with db.platform() as tx:
        found = await purges.certificate_of(tx, await tenant_id(db, reference))
    if found is None:
        raise Declined(f"There is no certificate for {reference!r}.", "Name the tenant by its id: ten_…")
    return found


def _print(certificate: "Certificate", as_json: bool) -> None:
    from msgspec import to_builtins

    show(to_builtins(certificate), certificate.encoded().decode().rstrip("\n"), as_json)


class _File:
    """A file as the sink of an archive."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def write(self, data: bytes, /) -> int:
        return self._file.write(data)

    def flush(self) -> None:
        self._file.flush()

    async def drain(self) -> None:
        """The file takes everything as it comes."""
