"""The whole database in one file: every table as ``COPY`` writes it, with what it takes to read it again.

A zip archive: ``<table>.copy`` for each table, and last ``backup.json``, which names each with its rows and SHA-256. A
file without it is one that was cut short. Read at one instant, by the owner, past every policy.
"""

import hashlib
import os
import zipfile
from collections.abc import AsyncIterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any, Final
from uuid import UUID

import asyncpg
import msgspec
from msgspec import Struct

from controlplane.db import schema as t
from controlplane.db.revisions import newest
from controlplane.kit.problems import Refusal

FORMAT: Final = 1
CONTENTS: Final = "backup.json"
CHUNK: Final = 1 << 20

PARTITIONS: Final = """
    SELECT p.relname AS parent, to_date(right(c.relname, 6), 'YYYYMM') AS month
    FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid JOIN pg_class p ON p.oid = i.inhparent
    WHERE p.relname = ANY ($1) AND c.relname ~ '_[0-9]{6}$' ORDER BY 1, 2
"""

MARKS: Final = """
    SELECT CAST(coalesce(json_agg(m), '[]') AS text) FROM (
        SELECT tenant_id, runtime_id, epoch, last_seq, encode(head, 'hex') AS head FROM sync_cursors WHERE epoch > 0
    ) m
"""

ANNOUNCE: Final = """
    UPDATE sync_cursors c
    SET durable_epoch = m.epoch, durable_seq = m.last_seq, durable_head = decode(m.head, 'hex'), durable_at = $2
    FROM json_to_recordset(CAST($1 AS json)) AS m(tenant_id uuid, runtime_id uuid, epoch bigint, last_seq bigint, head text)
    WHERE c.tenant_id = m.tenant_id AND c.runtime_id = m.runtime_id AND (SELECT store_id FROM store) = $3
"""

ANEW: Final = "UPDATE store SET store_id = gen_random_uuid(), made_at = $1, restored_to = $2, restored_from = $3"

COVERED: Final = """
    UPDATE sync_cursors SET durable_epoch = epoch, durable_seq = last_seq, durable_head = head, durable_at = $1
    WHERE epoch > 0
"""
"""The backup covers what was restored from it, no less and no more."""

OLD_TOKENS: Final = "UPDATE runtimes SET generation = generation + 1000"
"""Tokens that runtimes were given before the backup are good no more, whatever has been revoked since."""

SEQUENCE: Final = """
    SELECT setval(pg_get_serial_sequence('vault_reads', 'seq'), max(seq)) FROM vault_reads HAVING max(seq) IS NOT NULL
"""

OTHERS: Final = """
    SELECT count(*) FROM pg_stat_activity
    WHERE datname = current_database() AND usename = 'cp_app' AND pid <> pg_backend_pid()
"""


class Part(Struct, frozen=True, kw_only=True):
    """One table in the file."""

    table: str
    columns: list[str]
    rows: int
    bytes: int
    sha256: str


class Month(Struct, frozen=True):
    parent: str
    month: str
    """``2026-11-01``."""


class Contents(Struct, frozen=True, kw_only=True):
    """``backup.json``."""

    format: int
    revision: str
    store_id: UUID
    taken_at: datetime
    runtimes: int
    """How many logs it covers."""
    months: list[Month]
    parts: list[Part]


class MayNotSeeAll(Refusal):
    code, status, title = "backup-not-allowed", 403, "The owner of the schema does not see every row"
    hint = "It takes BYPASSRLS: as an admin, ALTER ROLE cp_owner BYPASSRLS; or use the server's own backups."


class BackupUnreadable(Refusal):
    code, status, title = "backup-unreadable", 400, "This is no whole backup of ours"
    hint = "Take another file."


class BackupOfAnotherRevision(Refusal):
    code, status, title = "backup-revision", 409, "The backup is of another revision of the schema"
    hint = "Restore it with the release that made it, then upgrade: controlplane db upgrade"


class DatabaseInUse(Refusal):
    code, status, title = "database-in-use", 409, "Somebody works with this database"
    hint = "Stop `up`, or every replica, first: nobody may call before the restore is complete."


async def take(owner_url: str, file: Path) -> Contents:
    """Write all there is to *file*, read it again, and only then tell how far it covers each runtime's log.

    Raises:
        MayNotSeeAll: If the owner cannot read past policies.
        BackupUnreadable: If what was written cannot be read again.
    """
    connection = await _connected(owner_url)
    try:
        beside = file.with_name(f".{file.name}.new")
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            contents, marks = await _write(connection, beside)
        read(beside)
        beside.replace(file)
        await connection.execute(ANNOUNCE, marks, contents.taken_at, contents.store_id)
        return contents
    finally:
        await connection.close()


def read(file: Path) -> Contents:
    """What is in *file*, every byte of it compared.

    Raises:
        BackupUnreadable: If something is missing, or not as it was written.
    """
    try:
        with zipfile.ZipFile(file) as archive:
            contents = msgspec.json.decode(archive.read(CONTENTS), type=Contents)
            for part in contents.parts:
                digest, size = hashlib.sha256(), 0
                with archive.open(f"{part.table}.copy") as stream:
                    while chunk := stream.read(CHUNK):
                        digest.update(chunk)
                        size += len(chunk)
                if (digest.hexdigest(), size) != (part.sha256, part.bytes):
                    raise BackupUnreadable(f"{part.table} is not as it was written")
    except (OSError, KeyError, zipfile.BadZipFile, EOFError, msgspec.MsgspecError) as error:
        raise BackupUnreadable(str(error)) from error
    if contents.format != FORMAT:
        raise BackupUnreadable(f"it has the format {contents.format}, known here is {FORMAT}")
    return contents


async def put_back(owner_url: str, file: Path) -> Contents:
    """Replace all there is by what is in *file*, as another incarnation of the database, in one transaction.

    Raises:
        BackupUnreadable, BackupOfAnotherRevision: If the file is not for this database.
        DatabaseInUse: If somebody else is connected as the application.
        MayNotSeeAll: If the owner cannot write past policies.
    """
    contents = read(file)
    if contents.revision != newest():
        raise BackupOfAnotherRevision(f"it is of {contents.revision}, this release works with {newest()}")
    connection = await _connected(owner_url)
    try:
        if await connection.fetchval(OTHERS):
            raise DatabaseInUse
        async with connection.transaction():
            await _replace(connection, file, contents)
            await connection.execute(COVERED, contents.taken_at)
            await connection.execute(OLD_TOKENS)
            await connection.fetchval(SEQUENCE)
            await connection.execute(ANEW, datetime.now(UTC), contents.taken_at, file.name)
    finally:
        await connection.close()
    return contents


async def _connected(owner_url: str) -> asyncpg.Connection:
    connection = await asyncpg.connect(
        owner_url, server_settings={"timezone": "UTC", "application_name": "controlplane"}
    )
    if not await connection.fetchval("SELECT rolbypassrls OR rolsuper FROM pg_roles WHERE rolname = current_user"):
        await connection.close()
        raise MayNotSeeAll
    return connection


async def _write(connection: asyncpg.Connection, file: Path) -> tuple[Contents, str]:
    """The archive, on disk to stay; and where each log stands in it."""
    store_id, taken_at = await connection.fetchrow("SELECT store_id, now() FROM store")
    marks: str = await connection.fetchval(MARKS)
    months = await connection.fetch(PARTITIONS, [table.name for table in t.PARTITIONED])
    with closing(_created(file)) as raw:
        with zipfile.ZipFile(raw, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
            parts = [
                await _write_table(connection, archive, str(table.name), _columns(table))
                for table in t.metadata.sorted_tables
            ]
            contents = Contents(
                format=FORMAT,
                revision=newest(),
                store_id=store_id,
                taken_at=taken_at,
                runtimes=len(msgspec.json.decode(marks)),
                months=[Month(row["parent"], row["month"].isoformat()) for row in months],
                parts=parts,
            )
            archive.writestr(CONTENTS, msgspec.json.encode(contents))
        raw.flush()
        os.fsync(raw.fileno())
    return contents, marks


def _created(file: Path) -> IO[bytes]:
    """For the owner of the process only: it holds what everybody has."""
    return open(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb")


async def _write_table(
    connection: asyncpg.Connection, archive: zipfile.ZipFile, table: str, columns: list[str]
) -> Part:
    digest, size = hashlib.sha256(), 0
    with archive.open(f"{table}.copy", "w", force_zip64=True) as stream:

        async def keep(chunk: bytes) -> None:
            nonlocal size
            stream.write(chunk)
            digest.update(chunk)
            size += len(chunk)

        said = await connection.copy_from_query(
            f"SELECT {', '.join(columns)} FROM {table}",  # noqa: S608 names of the schema
            output=keep,
            format="binary",
        )
    return Part(table=table, columns=columns, rows=int(said.split()[1]), bytes=size, sha256=digest.hexdigest())


async def _replace(connection: asyncpg.Connection, file: Path, contents: Contents) -> None:
    """Out with all there is, in with what is in the file; triggers that keep logs from deletion stand aside."""
    names = [table.name for table in t.metadata.sorted_tables]
    for each in contents.months:
        await connection.fetchval("SELECT make_partition($1, CAST($2 AS text)::date)", each.parent, each.month)
    for name in names:
        await connection.execute(f"ALTER TABLE {name} DISABLE TRIGGER USER")
    await connection.execute(f"TRUNCATE {', '.join(names)}")
    with zipfile.ZipFile(file) as archive:
        for part in contents.parts:
            with archive.open(f"{part.table}.copy") as stream:
                await connection.copy_to_table(
                    part.table, source=_chunks(stream), columns=part.columns, format="binary"
                )
    for name in names:
        await connection.execute(f"ALTER TABLE {name} ENABLE TRIGGER USER")


async def _chunks(stream: Any) -> AsyncIterator[bytes]:
    while chunk := stream.read(CHUNK):
        yield chunk


def _columns(table: Any) -> list[str]:
    """Those that are not computed from others."""
    return [str(column.name) for column in table.columns if column.computed is None]
