"""Imports: an archive becomes a tenant again, under its own id, in an installation that has never had it.

Everything of the tenant is written in one transaction, which ends with the manifest made anew: unless it is the
archive's, nothing stays. Until then the tenant is ``provisioning``, and a second try takes it over.
"""

import asyncio
import hashlib
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Final
from uuid import UUID
from zipfile import BadZipFile, ZipFile

import msgspec
from msgspec import Struct
from sqlalchemy import Table, text

from controlplane.db import schema as t
from controlplane.db.database import Database, TenantTx
from controlplane.db.partitions import Partitions
from controlplane.db.revisions import newest
from controlplane.domain import archives, audit, people, tenants
from controlplane.domain.archives import ACCOUNTS, FORMAT, MANIFEST, NOTE, TENANT, VERSION, File, Manifest, Note
from controlplane.domain.audit import Actor
from controlplane.domain.tenants import ImpersonationPolicy
from controlplane.kit.ids import AccountId, TenantId, born_at, parse_id, text_id
from controlplane.kit.problems import NotFound, Refusal

MOST_MANIFEST_BYTES: Final = 1 << 20
MOST_LINE_BYTES: Final = 64 << 20
"""Of one row: a batch of records is one, in hexadecimal."""

ROWS_AT_ONCE: Final = 500
BYTES_AT_ONCE: Final = 4 << 20

FILLED: Final = "sha256(uuid_send(gen_random_uuid()))"
"""What stands for a secret that stayed behind: nothing that anybody has hashes to it."""

WITH_ACCOUNTS: Final = frozenset(
    table.name
    for table in archives.exported()
    if any(key.column.table is t.accounts for key in table.foreign_keys if key.parent.name == "account_id")
)
"""Tables whose ``account_id`` is an account of this installation."""


class ArchiveUnreadable(Refusal):
    """It is no archive of ours, or not all of it, or somebody has changed it."""

    code, status, title = "archive-unreadable", 400, "This is not a whole archive of a tenant"
    hint = "Fetch the export again, and compare its SHA-256 with the one that is shown with it."


class ArchiveOfAnotherRelease(Refusal):
    code, status, title = "archive-of-another-release", 409, "This archive is of another revision of the database"
    hint = "Import it with the release that made it, then upgrade."

    def __init__(self, found: str) -> None:
        super().__init__(f"the archive is of revision {found}, this release of {newest()}")
        self.found = found

    def facts(self) -> dict[str, object]:
        return {"found": self.found, "wanted": newest()}


class TenantExists(Refusal):
    code, status, title = "tenant-exists", 409, "This installation has this tenant, or had it"
    hint = "Import into another installation. What was purged here is never taken back here."


class Imported(Struct, frozen=True, kw_only=True):
    """What came of an import."""

    tenant_id: TenantId
    slug: str
    manifest: Manifest
    accounts_known: int
    """Accounts that were here before under another id: theirs differs from the archive's from now on."""


class Archive:
    """An archive on disk that has been read through once: every file is as its manifest says."""

    def __init__(self, path: Path) -> None:
        """
        Raises:
            ArchiveUnreadable: If it is none, or not what its manifest says.
            ArchiveOfAnotherRelease: If its columns are not ours.
        """
        try:
            self._zip = ZipFile(path)
            self.manifest = self._checked_manifest()
            self.births = self._check_files()
        except (OSError, BadZipFile, KeyError, EOFError, msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise ArchiveUnreadable(str(error)[:200]) from error

    @property
    def tenant_id(self) -> TenantId:
        found = parse_id("ten", self.manifest.tenant)
        assert found is not None, "checked with the manifest"
        return TenantId(found)

    def lines(self, name: str) -> Iterator[bytes]:
        """The rows of one file.

        Raises:
            ArchiveUnreadable: If a line is longer than any row can be.
        """
        with self._zip.open(name) as file:
            while line := file.readline(MOST_LINE_BYTES):
                if not line.endswith(b"\n"):
                    raise ArchiveUnreadable(f"{name} has a line without an end, or too long a one")
                yield line

    def batches(self, name: str) -> Iterator[list[bytes]]:
        """The rows of one file, as many at once as one statement takes."""
        rows: list[bytes] = []
        size = 0
        for line in self.lines(name):
            rows.append(line)
            size += len(line)
            if len(rows) == ROWS_AT_ONCE or size > BYTES_AT_ONCE:
                yield rows
                rows, size = [], 0
        if rows:
            yield rows

    def close(self) -> None:
        self._zip.close()

    def _checked_manifest(self) -> Manifest:
        manifest = msgspec.json.decode(self._small(MANIFEST), type=Manifest)
        if msgspec.json.decode(self._small(NOTE), type=Note).manifest_sha256 != manifest.sha256:
            raise ArchiveUnreadable(f"{MANIFEST} is not the one that {NOTE} speaks of")
        if (manifest.format, manifest.version) != (FORMAT, VERSION) or parse_id("ten", manifest.tenant) is None:
            raise ArchiveUnreadable(f"{manifest.format} {manifest.version} is not {FORMAT} {VERSION}")
        wanted = {each.name: list(each.columns) for each in archives.resources()}
        if manifest.schema != newest() or {each.name: each.columns for each in manifest.files} != wanted:
            raise ArchiveOfAnotherRelease(manifest.schema)
        return manifest

    def _small(self, name: str) -> bytes:
        with self._zip.open(name) as file:
            return file.read(MOST_MANIFEST_BYTES)

    def _check_files(self) -> set[tuple[str, datetime]]:
        """Which months the big tables' rows were born in, so that there are partitions for them."""
        partitioned = {f"{table.name}.jsonl": table.name for table in t.PARTITIONED}
        births: set[tuple[str, datetime]] = set()
        for file in self.manifest.files:
            digest, rows = hashlib.sha256(), 0
            for line in self.lines(file.name):
                digest.update(line)
                rows += 1
                if table := partitioned.get(file.name):
                    born = born_at(msgspec.json.decode(line, type=_Identified).id)
                    births.add((table, born.replace(day=1, hour=0, minute=0, second=0, microsecond=0)))
            if (digest.hexdigest(), rows) != (file.sha256, file.rows):
                raise ArchiveUnreadable(f"{file.name} is not what the manifest says")
        return births


async def unpack(db: Database, partitions: Partitions, actor: Actor, archive: Archive) -> Imported:
    """Make the tenant of *archive* here, with everything that it had.

    Raises:
        TenantExists: If it is or was here.
        SlugTaken: If another tenant here has its slug.
        ArchiveUnreadable: If what has been written is not what the manifest says; then nothing stays.
    """
    tenant_id = archive.tenant_id
    target = ("tenant", text_id("ten", tenant_id))
    await _provision(db, actor, archive)
    await partitions.see_to(archive.births)
    accounts = await _accounts(db, actor, archive)
    async with db.tenant(tenant_id) as tx:
        for table in archives.exported():
            await _fill(tx, archive, table, accounts)
        await _connect(tx)
        manifest = await archives.manifest_of(tx)
        if _comparable(manifest, accounts) != _comparable(archive.manifest, accounts):
            raise ArchiveUnreadable("what came of it is not what the manifest says")
        await tenants.activate(tx, actor)
    async with db.platform() as platform:
        audit.record(platform, actor, "tenant.imported", target, rows=manifest.rows)
    return Imported(
        tenant_id=tenant_id, slug=manifest.slug, manifest=manifest, accounts_known=len(_differing(accounts))
    )


async def _provision(db: Database, actor: Actor, archive: Archive) -> None:
    """The tenant's row and its slug; one that an earlier try has left is taken over."""
    [line] = archive.lines(TENANT.name)
    facts = msgspec.json.decode(line, type=_Founded)
    async with db.platform() as platform:
        target = ("tenant", archive.manifest.tenant)
        audit.record(platform, actor, "tenant.import-began", target, manifest=archive.manifest.sha256)
        gone = platform.select(t.tombstones).where(t.tombstones.c.tenant == archive.tenant_id)
        if await platform.first(_Tombstone, gone):
            raise TenantExists
    async with db.tenant(archive.tenant_id) as tx:
        try:
            known = await tenants.get(tx)
        except NotFound:
            await tenants.found(
                tx, facts.slug, facts.name, "provisioning", facts.created_at, facts.impersonation_policy
            )
            tx.audited = True  # in the platform's chain: the tenant's own comes along as it was
            return
        if known.status != "provisioning":
            raise TenantExists


async def _accounts(db: Database, actor: Actor, archive: Archive) -> dict[UUID, AccountId]:
    """The accounts of the tenant's people, by the id that they have in the archive."""
    accounts: dict[UUID, AccountId] = {}
    for line in archive.lines(ACCOUNTS.name):
        human = msgspec.json.decode(line, type=_Human)
        async with db.platform() as tx:
            account = await people.account_for(tx, actor, human.email, name=human.name, account_id=human.id)
        accounts[human.id] = account.id
    return accounts


async def _fill(tx: TenantTx, archive: Archive, table: Table, accounts: dict[UUID, AccountId]) -> None:
    """Write one file's rows into its table."""
    columns = archives.columns_of(table)
    behind = [name for where, name in sorted(archives.SECRETS) if where == table.name]
    empty: dict[type, str] = {bytes: FILLED, str: "''"}
    fillers = [empty.get(table.c[name].type.python_type, "'[]'") for name in behind]
    statement = text(
        f"INSERT INTO {table.name} (tenant_id, {', '.join([*columns, *behind])}) "  # noqa: S608 names of the schema
        f"SELECT CAST(:tenant_id AS uuid), {', '.join([*columns, *fillers])} "
        f"FROM json_populate_recordset(CAST(NULL AS {table.name}), CAST(:rows AS json))"
    )
    known = _differing(accounts)
    for rows in archive.batches(f"{table.name}.jsonl"):
        if table.name in WITH_ACCOUNTS and known:
            rows = [_renamed(row, known) for row in rows]
        await tx.load(statement, rows=(b"[" + b",".join(rows) + b"]").decode())
        await asyncio.sleep(0)


async def _connect(tx: TenantTx) -> None:
    """What follows from the rows: runtimes and people find their way here."""
    for statement in (RUNTIME_ROUTES, KNOCKS):
        await tx.load(statement)
    [missing] = await tx.query(_Count, UNROUTED, tenant_id=tx.tenant_id)
    if missing.count:
        raise TenantExists("a runtime of it belongs to another tenant here")


RUNTIME_ROUTES = text("""
    INSERT INTO routes (kind, key, tenant_id)
    SELECT 'runtime', uuid_send(id), tenant_id FROM runtimes WHERE tenant_id = :tenant_id ON CONFLICT DO NOTHING
""")

UNROUTED = text("""
    SELECT count(*) AS count FROM runtimes r
    WHERE r.tenant_id = :tenant_id AND NOT EXISTS (
        SELECT FROM routes o WHERE o.kind = 'runtime' AND o.key = uuid_send(r.id) AND o.tenant_id = r.tenant_id)
""")

KNOCKS = text("""
    INSERT INTO account_tenants (account_id, tenant_id)
    SELECT account_id, tenant_id FROM users WHERE tenant_id = :tenant_id AND account_id IS NOT NULL
    ON CONFLICT DO NOTHING
""")


def _differing(accounts: dict[UUID, AccountId]) -> dict[str, str]:
    return {str(theirs): str(ours) for theirs, ours in accounts.items() if theirs != ours}


def _renamed(row: bytes, known: dict[str, str]) -> bytes:
    """*row* with the account that its person has here."""
    facts = msgspec.json.decode(row)
    facts["account_id"] = known.get(facts["account_id"], facts["account_id"])
    return msgspec.json.encode(facts)


def _comparable(manifest: Manifest, accounts: dict[UUID, AccountId]) -> Sequence[File]:
    """What must be equal. Where people had accounts here already, files that name them cannot be."""
    if not _differing(accounts):
        return manifest.files
    differ = {ACCOUNTS.name, *(f"{name}.jsonl" for name in WITH_ACCOUNTS)}
    return [file for file in manifest.files if file.name not in differ]


class _Identified(Struct, frozen=True):
    id: UUID


class _Founded(Struct, frozen=True):
    slug: str
    name: str
    created_at: datetime
    impersonation_policy: ImpersonationPolicy


class _Human(Struct, frozen=True):
    id: UUID
    email: str
    name: str


class _Tombstone(Struct, frozen=True):
    tenant: UUID


class _Count(Struct, frozen=True):
    count: int
