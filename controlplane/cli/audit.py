"""``controlplane audit``: verify the audit logs, here or far from here, export them, and say how long they are kept."""

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Final

import click

from controlplane.cli.options import home_option, json_option, show, tenant_option

if TYPE_CHECKING:
    from controlplane.db.database import Database
    from controlplane.domain.audit.verifying import Verdict
    from controlplane.domain.keys import Keyring

FILES: Final = click.Path(path_type=Path, dir_okay=False)

BROKEN: Final = 1

TELL_EVERY_S: Final = 1.0


@click.group()
def audit() -> None:
    """Verify and export the audit logs."""


@audit.command()
@click.option("--tenant", metavar="SLUG", help="Verify this tenant's log in the database; else the platform's own.")
@click.option("--jsonl", type=FILES, help="Verify an export instead, without any database.")
@click.option("--checkpoint", type=FILES, help="Signed checkpoints of the exported log, one or several.")
@click.option("--public-key", type=FILES, help="The key that must have signed them.")
@home_option
@json_option
def verify(
    tenant: str | None,
    jsonl: Path | None,
    checkpoint: Path | None,
    public_key: Path | None,
    home: Path,
    as_json: bool,
) -> None:
    """Say whether a log is what was written and signed; exit status 1 and where it is damaged, if it is not."""
    files = [file for file in (jsonl, checkpoint, public_key) if file is not None]
    if jsonl is not None and checkpoint is not None and public_key is not None and tenant is None:
        verdict = _exported(jsonl, checkpoint, public_key)
    elif files:
        raise click.UsageError("Give --tenant, or --jsonl with --checkpoint and --public-key.")
    else:
        verdict = _stored(home, tenant)
    show(_document(verdict), _words(verdict), as_json)
    if not verdict.unbroken:
        sys.exit(BROKEN)


@audit.command()
@tenant_option
@click.option("--to", type=click.Path(path_type=Path, file_okay=False), help="Folder for events, checkpoint and key.")
@home_option
@json_option
def export(tenant: str, to: Path | None, home: Path, as_json: bool) -> None:
    """Print a tenant's log as JSON lines; with --to, put everything into a folder that verification needs."""
    from controlplane.cli import audit_export
    from controlplane.cli.audit_export import Exported
    from controlplane.cli.reach import with_database

    def written(out: BinaryIO) -> Exported:
        return with_database(home, lambda db, keys: audit_export.to_stream(db, keys, tenant, out, progress("events")))

    if to is None:
        written(sys.stdout.buffer)
        return
    with audit_export.folder(to) as (file, put):
        exported = written(file)
        with audit_export.beside(to) as out:
            with_database(home, lambda db, _: audit_export.reads_to_stream(db, tenant, out, exported.through))
        document = put(exported)
    show(document, str(to), as_json)


@audit.command()
@tenant_option
@click.option("--reason", required=True, help="Shown to the tenant's auditors.")
@home_option
@json_option
def hold(tenant: str, reason: str, home: Path, as_json: bool) -> None:
    """Have nothing deleted from a tenant's log, whatever its age."""
    from controlplane.cli.shell import shell, within
    from controlplane.domain.audit import retention

    within(home, tenant, lambda tx, _: retention.hold(tx, shell(), reason))
    show({"tenant": tenant, "held": reason}, f"Nothing is deleted from the audit log of {tenant}.", as_json)


@audit.command()
@tenant_option
@home_option
@json_option
def release(tenant: str, home: Path, as_json: bool) -> None:
    """End a hold: what is old enough is deleted again."""
    from controlplane.cli.shell import shell, within
    from controlplane.domain.audit import retention

    within(home, tenant, lambda tx, _: retention.release(tx, shell()))
    show({"tenant": tenant, "held": None}, f"The audit log of {tenant} is kept as long as its retention says.", as_json)


@audit.command()
@tenant_option
@click.option("--days", required=True, type=click.IntRange(1, 36_500))
@home_option
@json_option
def retain(tenant: str, days: int, home: Path, as_json: bool) -> None:
    """Say for how many days a tenant's events are kept; the default is 400."""
    from controlplane.cli.shell import shell, within
    from controlplane.domain.audit import retention

    within(home, tenant, lambda tx, _: retention.keep_for(tx, shell(), days))
    show({"tenant": tenant, "days": days}, f"The audit log of {tenant} is kept for {days} days.", as_json)


def progress(of_what: str) -> Callable[[int, int], None]:
    """Tells a person at a terminal, once a second, how far it is."""
    told = time.monotonic()

    def tell(done: int, of: int) -> None:
        nonlocal told
        if sys.stderr.isatty() and time.monotonic() - told >= TELL_EVERY_S:
            told = time.monotonic()
            click.echo(f"{done:,} of {of:,} {of_what}", err=True)

    return tell


def _exported(jsonl: Path, checkpoint: Path, public_key: Path) -> "Verdict":
    """With the reads of credentials, if they lie beside the events as they were exported."""
    from controlplane.cli.audit_export import READS
    from controlplane.domain.audit import exports

    reads = jsonl.with_name(READS)

    return exports.verify(jsonl, checkpoint, public_key, progress("bytes"), reads=reads if reads.exists() else None)


def _stored(home: Path, tenant: str | None) -> "Verdict":
    from controlplane.cli.reach import with_database
    from controlplane.cli.shell import tenant_id
    from controlplane.domain.audit import stored

    async def work(db: "Database", keyring: "Keyring") -> "Verdict":
        chain = None if tenant is None else await tenant_id(db, tenant)
        return await stored.verify(db, keyring, chain, progress("events"))

    return with_database(home, work)


def _document(verdict: "Verdict") -> dict[str, object]:
    import msgspec

    return {"verified": verdict.unbroken, **msgspec.structs.asdict(verdict)}


def _words(verdict: "Verdict") -> str:
    if not verdict.unbroken:
        lines = [f"{damage.kind} at event {damage.seq}: {damage.detail}" for damage in verdict.damages]
        return "\n".join(["The log is damaged.", *lines])
    if not verdict.events:
        return "The log is empty."
    unsigned = verdict.last_seq - verdict.signed_through
    signed = f"signed through event {verdict.signed_through}" if verdict.signed_through else "not signed yet"
    rest = f", the last {unsigned} by their chain only" if verdict.signed_through and unsigned else ""
    return f"The log is unbroken: events {verdict.first_seq} to {verdict.last_seq}, {signed}{rest}."
