"""Archives: everything a tenant has as a ZIP of one JSON line for each row, with a manifest of what must be in it.

The manifest depends on the rows alone: the same tenant gives the same manifest wherever and whenever it is exported.
No archive holds anything that opens something: hashes of credentials stay behind.
"""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from types import MappingProxyType
from typing import Final, Protocol, TypeAlias
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

from msgspec import Struct, to_builtins
from sqlalchemy import Table, Text, TextClause, text

from controlplane.db import schema as t
from controlplane.db.database import SnapshotTx, TenantTx
from controlplane.db.revisions import newest
from controlplane.kit.canonical import canonical
from controlplane.kit.clock import rfc3339
from controlplane.kit.ids import text_id
from controlplane.kit.problems import NotFound

FORMAT: Final = "engine-cloud-export"
VERSION: Final = 1

MANIFEST, NOTE, READ_ME = "manifest.json", "export.json", "README.txt"

ROWS_AT_ONCE: Final = 500

NOT_EXPORTED: Final[Mapping[str, str]] = MappingProxyType(
    {
        "tenants": "is tenant.jsonl, without what this installation has decided about it",
        "audit_checkpoints": "are signed by this installation; where the chain goes on it is verified whole and signed anew",
        "audit_streams": "are about this installation's sinks",
        "audit_verdicts": "are this installation's own findings",
        "usage_counters": "are counted again",
        "limit_overrides": "are agreed with the installation",
        "data_keys": "are wrapped for this installation",
        "idempotency_records": "are answers of this installation",
        "impersonations": "were agreed with the operators of this installation; what they did is in audit_events",
        "mails": "are on their way from here",
        "domains": "are proved again, to the installation that is to trust them",
        "sso_connections": "are set up again: their secrets are sealed for this installation, and its addresses registered",
        "sso_identities": "are of connections",
        "scim_errors": "are what this installation has refused",
        "events": "tell of the acts in audit_events, to those who listen here",
        "event_heads": "count this installation's events",
        "event_consumers": "stand at this installation's events",
        "webhooks": "send from this installation, with secrets that stay in it",
        "webhook_deliveries": "were sent from this installation",
        "webhook_progress": "stands at this installation's events",
        "oauth_apps": "are set up again: their secrets are sealed for this installation, and its addresses registered",
        "connections": "are connected again: what providers gave, they gave to this installation",
        "disclosures": "are of connections; who read what is in audit_events",
        "commands": "were for this installation's runtimes to fetch; who asked for what is in audit_events",
        "log_tails": "are open while somebody looks; who looked at what is in audit_events",
        "budget_heads": "count this installation's changes",
        "budget_slices": "were leased by this installation, and are held by its runtimes",
        "budget_talks": "are about the runtimes of this installation",
        "policies": "are about runtimes and connections of this installation",
        "policy_heads": "count this installation's changes",
        "credential_prints": "are of connections",
        "leases": "are of connections",
        "runtime_keys": "open connections, which stay behind",
        "vault_reads": "are of connections; audit export takes them along",
        "refresh_orphans": "are of connections",
        "connection_events": "are of connections; what was done is in audit_events",
        "connect_sessions": "lead through this installation",
        "login_transactions": "lead through this installation",
        "device_transactions": "lead through this installation",
        "connection_revocations": "are of connections",
        "return_urls": "are for those who connect through this installation",
        "content_policies": "decide what comes to this installation",
        "contents": "are in this installation's object store, and exported one by one",
        "content_chunks": "are in this installation's object store",
        "chunks": "are in this installation's object store",
        "sync_refills": "are about restores of this installation",
        "exports": "are about earlier archives",
        "export_parts": "are earlier archives",
    }
)
"""Tables of a tenant that have no file of their own, and why."""

SECRETS: Final = frozenset(
    {
        ("api_keys", "key_hash"),
        ("invitations", "token_hash"),
        ("join_tokens", "token_hash"),
        ("runtimes", "join_calls"),
        ("runtimes", "join_nonce"),
        ("scim_tokens", "token_hash"),
    }
)
"""Columns that stay behind. What comes along of a key is its history; it opens nothing anywhere else."""

TEXT_OF_README: Final = """\
Everything that one tenant of Engine Cloud had: one file for each kind of thing, one JSON object a line.
manifest.json names every file with its rows, bytes and SHA-256. export.json says when and by whom it was made.
Bytes are hexadecimal after \\x, ids are UUIDs, times are RFC 3339.
Credentials are not in here, nor anything that would open one.
`controlplane tenant import` reads this archive; docs/reference/export-format.md describes it.
"""


Looking: TypeAlias = SnapshotTx | TenantTx
Drain: TypeAlias = Callable[[], Awaitable[None]]


class File(Struct, frozen=True, kw_only=True):
    """One file of an archive."""

    name: str
    rows: int
    bytes: int
    sha256: str
    columns: list[str]


class Manifest(Struct, frozen=True, kw_only=True):
    """What has to be in an archive, and nothing about its making."""

    format: str
    version: int
    schema: str
    """Revision of the database that the columns are those of."""
    tenant: str
    slug: str
    files: list[File]

    def encoded(self) -> bytes:
        """The bytes of ``manifest.json`` (RFC 8785)."""
        return canonical(to_builtins(self))

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.encoded()).hexdigest()

    @property
    def rows(self) -> int:
        return sum(file.rows for file in self.files)


class Note(Struct, frozen=True, kw_only=True):
    """When and by whom an archive was made: ``export.json``."""

    exported_at: str
    exported_by: str
    manifest_sha256: str


class Resource(Struct, frozen=True):
    """What one file is made of."""

    name: str
    columns: tuple[str, ...]
    statement: TextClause
    """Its lines, in an order that is the same everywhere."""


class Sink(Protocol):
    """Where the bytes of an archive go."""

    def write(self, data: bytes, /) -> int: ...

    def flush(self) -> None: ...

    async def drain(self) -> None:
        """Put away what has been written, so that it need not stay in memory."""
        ...


def columns_of(table: Table) -> tuple[str, ...]:
    """The columns of *table* that are exported, in the order of its definition.

    What the database computes from others is not: it computes it again, and takes it from nobody.
    """
    return tuple(
        str(column.name)
        for column in table.columns
        if column.name != "tenant_id" and column.computed is None and (table.name, column.name) not in SECRETS
    )


def exported() -> tuple[Table, ...]:
    """The tables that have a file of their own, in an order in which they can be imported."""
    return tuple(table for table in t.TENANTS if table.name not in NOT_EXPORTED)


def resources() -> tuple[Resource, ...]:
    """Every file but the manifest, in the order in which it stands in an archive."""
    return (TENANT, ACCOUNTS, *(_of_table(table) for table in exported()))


async def pack(tx: SnapshotTx, sink: Sink, by: str) -> Manifest:
    """Write an archive of the tenant of *tx*.

    Args:
        sink: Takes the bytes; nothing goes back in them.
        by: Who asked for it, as shown.

    Raises:
        NotFound: If there is no such tenant.
    """
    slug = await _slug(tx)
    with ZipFile(sink, "w", ZIP_DEFLATED) as archive:  # type: ignore[call-overload]  # it writes and flushes, no more
        _put(archive, tx.now, READ_ME, TEXT_OF_README.encode())
        files = []
        for resource in resources():
            with archive.open(_entry(resource.name, tx.now), "w", force_zip64=True) as entry:
                files.append(await _read(tx, resource, entry.write, sink.drain))
        manifest = _manifest(tx, slug, files)
        note = Note(exported_at=rfc3339(tx.now), exported_by=by, manifest_sha256=manifest.sha256)
        _put(archive, tx.now, NOTE, canonical(to_builtins(note)))
        _put(archive, tx.now, MANIFEST, manifest.encoded())
    await sink.drain()
    return manifest


async def manifest_of(tx: Looking) -> Manifest:
    """The manifest that an archive made now would have.

    Raises:
        NotFound: If there is no such tenant.
    """
    return _manifest(tx, await _slug(tx), [await _read(tx, each, len, _nowhere) for each in resources()])


async def _read(tx: Looking, resource: Resource, write: Callable[[bytes], int], drain: Drain) -> File:
    rows = size = 0
    digest = hashlib.sha256()
    async for lines in tx.stream(resource.statement, ROWS_AT_ONCE, tenant_id=tx.tenant_id):
        data = _joined(lines)
        rows, size = rows + len(lines), size + len(data)
        digest.update(data)
        await asyncio.to_thread(write, data)
        await drain()
    return File(name=resource.name, rows=rows, bytes=size, sha256=digest.hexdigest(), columns=list(resource.columns))


def _joined(lines: Sequence[str]) -> bytes:
    """One line each: a line break in JSON that was kept as it came is white space, as texts escape theirs."""
    return "".join([f"{line.translate(_WITHOUT_BREAKS)}\n" for line in lines]).encode()


_WITHOUT_BREAKS = {ord("\n"): " ", ord("\r"): " "}


async def _nowhere() -> None:
    """For whoever only counts."""


async def _slug(tx: Looking) -> str:
    for named in await tx.query(_Named, NAMED, tenant_id=tx.tenant_id):
        return named.slug
    raise NotFound


def _manifest(tx: Looking, slug: str, files: list[File]) -> Manifest:
    return Manifest(
        format=FORMAT,
        version=VERSION,
        schema=newest(),
        tenant=text_id("ten", tx.tenant_id),
        slug=slug,
        files=files,
    )


def _put(archive: ZipFile, at: datetime, name: str, content: bytes) -> None:
    archive.writestr(_entry(name, at), content)


def _entry(name: str, at: datetime) -> ZipInfo:
    entry = ZipInfo(name, at.timetuple()[:6])
    entry.compress_type = ZIP_DEFLATED
    entry.external_attr = 0o600 << 16
    return entry


def _of_table(table: Table) -> Resource:
    columns = columns_of(table)
    key = ", ".join(
        f'{column.name} COLLATE "C"' if isinstance(column.type, Text) else column.name for column in table.primary_key
    )
    chosen = f"SELECT {', '.join(columns)} FROM {table.name} WHERE tenant_id = :tenant_id ORDER BY {key}"  # noqa: S608
    return Resource(f"{table.name}.jsonl", columns, text(f"SELECT CAST(row_to_json(r) AS text) FROM ({chosen}) r"))  # noqa: S608 names of the schema


NAMED: Final = text("SELECT slug FROM tenants WHERE tenant_id = :tenant_id")

TENANT: Final = Resource(
    "tenant.jsonl",
    ("slug", "name", "created_at", "impersonation_policy"),
    text(
        "SELECT CAST(row_to_json(r) AS text) FROM "
        "(SELECT slug, name, created_at, impersonation_policy FROM tenants WHERE tenant_id = :tenant_id) r"
    ),
)

ACCOUNTS: Final = Resource(
    "accounts.jsonl",
    ("id", "email", "name"),
    text(
        "SELECT CAST(row_to_json(r) AS text) FROM (SELECT a.id, a.email, a.name FROM accounts a WHERE EXISTS "
        "(SELECT FROM users u WHERE u.tenant_id = :tenant_id AND u.account_id = a.id) ORDER BY a.id) r"
    ),
)
"""The humans behind the tenant's people, as far as a tenant may know them."""


class _Named(Struct, frozen=True):
    slug: str
