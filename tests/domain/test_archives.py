"""Archives: what is in one, what never is, and that a tenant comes out of it as it went in."""

import io
import itertools
import json
import zipfile

import asyncpg
import msgspec
import pytest

from controlplane.db import roles
from controlplane.db import schema as t
from controlplane.db.database import Database
from controlplane.db.partitions import Partitions
from controlplane.domain import archives, audit, imports, keys, people, tenants
from controlplane.domain.audit import checkpoints, retention, stored
from controlplane.domain.directory.people import Entry
from controlplane.domain.imports import Archive, ArchiveOfAnotherRelease, ArchiveUnreadable, TenantExists
from controlplane.kit.problems import NotFound
from tests.databases import TEMPLATE
from tests.domain.test_audit import chain
from tests.holdings import ANNOUNCED, MARK, counted
from tests.make import SHELL, Make

_serial = itertools.count(1)

THEIRS = keys.new()
"""Of the other installation, which opens and signs nothing as we do."""


CREDENTIALS = ["api-key", "invitation", "join-token", "scim-token"]
"""Kinds of routes that are found by the hash of a secret."""


class File(io.BytesIO):
    """A sink in memory."""

    async def drain(self):
        pass


@pytest.fixture
async def filled(fillings):
    return await fillings.of("somebody-else", MARK)


@pytest.fixture
def database(copied):
    return copied


@pytest.fixture
def holdings(filled):
    return filled.holdings[1]


@pytest.fixture
def export(tmp_path):
    async def export(db, tenant_id):
        sink = File()
        async with db.snapshot(tenant_id) as look:
            manifest = await archives.pack(look, sink, "tests")
        path = tmp_path / f"{next(_serial)}.zip"
        path.write_bytes(sink.getvalue())
        return path, manifest

    return export


@pytest.fixture
async def elsewhere(superuser, app_url, database, clock):
    """Another installation, that knows nobody."""
    name = f"{database}_elsewhere"
    await superuser.execute(f'CREATE DATABASE "{name}" TEMPLATE "{TEMPLATE}" OWNER {roles.OWNER}')
    db = Database(app_url.replace(f"/{database}", f"/{name}"), clock, sealing=keys.sealing(THEIRS))
    yield db
    await db.close()
    await superuser.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


def changed(path, name, change):
    """The archive with one file changed."""
    out = path.with_name(f"changed-{next(_serial)}.zip")
    with zipfile.ZipFile(path) as before, zipfile.ZipFile(out, "w") as after:
        for entry in before.infolist():
            content = before.read(entry)
            after.writestr(entry.filename, change(content) if entry.filename == name else content)
    return out


async def bring(db, path):
    archive = Archive(path)
    try:
        return await imports.unpack(db, Partitions(db), SHELL, archive)
    finally:
        archive.close()


async def test_every_row_of_the_tenant_is_in_the_archive_and_nobody_elses(export, db, holdings, admin_url):
    path, manifest = await export(db, holdings.tenant.tenant_id)

    rows = {file.name.removesuffix(".jsonl"): file.rows for file in manifest.files}
    there = await counted(admin_url, holdings.tenant)
    assert {table.name: rows[table.name] for table in archives.exported()} == {
        table.name: there[table.name] for table in archives.exported()
    }
    assert [name for name, count in rows.items() if not count] == []
    with zipfile.ZipFile(path) as archive:
        everything = b"".join(archive.read(name) for name in archive.namelist()).decode()
    assert "somebody-else" not in everything
    assert all(person.email in everything for person in holdings.people)


async def test_nothing_that_opens_something_is_in_the_archive(export, db, holdings, admin_url):
    path, _ = await export(db, holdings.tenant.tenant_id)

    with zipfile.ZipFile(path) as archive:
        everything = b"".join(archive.read(name) for name in archive.namelist())
    assert not [secret for secret in holdings.secrets if secret.encode() in everything]
    connection = await asyncpg.connect(admin_url)
    routes = await connection.fetch("SELECT kind, key FROM routes WHERE kind = ANY ($1)", CREDENTIALS)
    await connection.close()
    assert {row["kind"] for row in routes} == set(CREDENTIALS)
    assert not [row["kind"] for row in routes if row["key"].hex().encode() in everything]


async def test_the_manifest_names_every_file_with_its_hash(export, db, holdings):
    path, manifest = await export(db, holdings.tenant.tenant_id)

    archive = Archive(path)
    assert archive.manifest == manifest
    archive.close()
    with zipfile.ZipFile(path) as whole:
        assert json.loads(whole.read("export.json"))["manifest_sha256"] == manifest.sha256
        assert {file.name for file in manifest.files} == set(whole.namelist()) - {
            "README.txt",
            "export.json",
            "manifest.json",
        }


async def test_exported_elsewhere_the_manifest_is_the_same(export, db, elsewhere, holdings):
    path, manifest = await export(db, holdings.tenant.tenant_id)

    made = await bring(elsewhere, path)
    again, same = await export(elsewhere, made.tenant_id)

    assert same == manifest
    with zipfile.ZipFile(path) as first, zipfile.ZipFile(again) as second:
        assert first.read("manifest.json") == second.read("manifest.json")
    async with elsewhere.tenant(made.tenant_id) as tx:
        assert (await tenants.get(tx)).status == "active"


async def test_what_was_imported_works(db, elsewhere, export, holdings, clock):
    """People enter, runtimes find their tenant, the audit chain goes on, and keys open nothing."""
    path, _ = await export(db, holdings.tenant.tenant_id)

    made = await bring(elsewhere, path)

    there = Make(elsewhere, THEIRS)
    async with elsewhere.platform() as tx:
        owner = await people.by_email(tx, holdings.people[0].email)
        assert made.tenant_id in await people.tenants_of(tx, owner.id)
    assert owner.id == holdings.people[0].id
    assert await elsewhere.tenant_of("slug", holdings.tenant.slug.encode()) == made.tenant_id
    assert await elsewhere.tenant_of("runtime", holdings.runtime.id.bytes) == made.tenant_id
    await there.api_key(await _tenant(elsewhere, made.tenant_id))
    previous = audit.START
    for event in await chain(elsewhere, holdings.tenant):
        assert (event.prev_hash, event.hash) == (previous, audit.link(made.tenant_id, event))
        previous = event.hash


async def test_the_audit_log_that_was_imported_is_whole_signed_anew_and_still_on_hold(db, elsewhere, export, holdings):
    path, _ = await export(db, holdings.tenant.tenant_id)

    made = await bring(elsewhere, path)

    async with elsewhere.tenant(made.tenant_id) as tx:
        signed = await checkpoints.up_to_now(tx, THEIRS)
        sealed = [event for event in await audit.after(tx, 0, 1_000) if event.sealed is not None]
        behind = await audit.people(tx, sealed)
        held = (await retention.retention(tx)).held
    verdict = await stored.verify(elsewhere, THEIRS, made.tenant_id)
    assert (verdict.unbroken, verdict.signed_through) == (True, signed.size)
    assert sealed
    assert set(behind.values()) == {None}
    assert held


async def test_whom_a_directory_had_announced_comes_in_where_the_tenant_is_now(db, elsewhere, export, holdings):
    path, _ = await export(db, holdings.tenant.tenant_id)

    made = await bring(elsewhere, path)

    async with db.tenant(holdings.tenant.tenant_id) as tx:
        before = {user.id: user for user in await tx.all(Entry, tx.select(t.users))}
    async with elsewhere.tenant(made.tenant_id) as tx:
        assert {user.id: user for user in await tx.all(Entry, tx.select(t.users))} == before
    [waiting] = [user for user in before.values() if user.name == ANNOUNCED]
    async with elsewhere.platform() as tx:
        account = await people.create_account(tx, SHELL, waiting.email_norm)
    async with elsewhere.tenant(made.tenant_id) as tx:
        assert (await people.claim(tx, SHELL, account)).id == waiting.id


async def _tenant(db, tenant_id):
    async with db.tenant(tenant_id) as tx:
        return await tenants.get(tx)


async def test_people_who_have_an_account_there_already_keep_it(db, elsewhere, export, holdings):
    path, _ = await export(db, holdings.tenant.tenant_id)
    async with elsewhere.platform() as tx:
        known = await people.create_account(tx, SHELL, holdings.people[0].email)

    made = await bring(elsewhere, path)

    assert made.accounts_known == 1
    async with elsewhere.tenant(made.tenant_id) as tx:
        assert await people.member(tx, known.id) is not None


async def test_a_tenant_is_imported_once(db, elsewhere, export, holdings):
    path, _ = await export(db, holdings.tenant.tenant_id)
    await bring(elsewhere, path)

    with pytest.raises(TenantExists):
        await bring(elsewhere, path)
    with pytest.raises(TenantExists):
        await bring(db, path)


async def test_an_import_that_was_cut_short_is_taken_over(db, elsewhere, export, holdings):
    path, manifest = await export(db, holdings.tenant.tenant_id)
    archive = Archive(path)
    await imports._provision(elsewhere, SHELL, archive)
    archive.close()

    made = await bring(elsewhere, path)

    assert made.manifest == manifest


@pytest.mark.parametrize("name", ["users.jsonl", "audit_events.jsonl", "manifest.json"])
async def test_a_changed_byte_is_found_before_anything_is_written(db, elsewhere, export, holdings, name):
    path, _ = await export(db, holdings.tenant.tenant_id)
    broken = changed(path, name, lambda content: content[:-20] + b"x" + content[-19:])

    with pytest.raises(ArchiveUnreadable):
        Archive(broken)


@pytest.mark.parametrize("content", [b"", b"PK", b"not a zip at all"])
def test_what_is_no_archive_is_refused(tmp_path, content):
    (tmp_path / "x.zip").write_bytes(content)

    with pytest.raises(ArchiveUnreadable):
        Archive(tmp_path / "x.zip")


async def test_an_archive_of_another_revision_is_refused(db, export, holdings):
    path, manifest = await export(db, holdings.tenant.tenant_id)
    old = msgspec.structs.replace(manifest, schema="0000")
    older = changed(path, "manifest.json", lambda _: old.encoded())
    older = changed(older, "export.json", lambda note: note.replace(manifest.sha256.encode(), old.sha256.encode()))

    with pytest.raises(ArchiveOfAnotherRelease):
        Archive(older)


async def test_rows_that_are_written_meanwhile_are_not_half_in_it(db, export, holdings, make):
    """One snapshot: what is added while the archive is being written is in none of its files."""
    tenant_id = holdings.tenant.tenant_id
    sink = File()
    async with db.snapshot(tenant_id) as look:
        before = await archives.manifest_of(look)
        await make.api_key(holdings.tenant)
        manifest = await archives.pack(look, sink, "tests")

    assert manifest == before


async def test_a_tenant_that_is_not_there_has_no_archive(db):
    async with db.new_tenant() as tx:
        tenant_id = tx.tenant_id
    async with db.snapshot(tenant_id) as look:
        with pytest.raises(NotFound):
            await archives.pack(look, File(), "tests")


async def test_what_the_database_computes_is_left_to_it(admin_url):
    """As the database itself says it, not as our description of it does."""
    connection = await asyncpg.connect(admin_url)
    computed = await connection.fetch(
        "SELECT table_name, column_name FROM information_schema.columns "
        "WHERE table_schema = 'public' AND (is_generated = 'ALWAYS' OR identity_generation = 'ALWAYS')"
    )
    await connection.close()

    taken_along = {(table.name, name) for table in archives.exported() for name in archives.columns_of(table)}
    assert computed
    assert {(row["table_name"], row["column_name"]) for row in computed} & taken_along == set()


def test_every_table_of_a_tenant_is_exported_or_has_a_reason_not_to_be():
    tables = {table.name for table in t.TENANTS}

    assert set(archives.NOT_EXPORTED) <= tables
    assert all(archives.NOT_EXPORTED.values())
    assert {table.name for table in archives.exported()} == tables - set(archives.NOT_EXPORTED)


HARMLESS = {
    ("audit_events", "hash"),
    ("audit_events", "prev_hash"),
    ("audit_events", "sealed"),
    ("audit_heads", "hash"),
    ("audit_heads", "prev_hash"),
    ("runtime_configs", "applied_hash"),
    ("runtime_configs", "hash"),
    ("runtimes", "previous_key"),
    ("runtimes", "public_key"),
    ("runtimes", "sealing_key"),
    ("runtimes", "sealing_suite"),
    ("sync_batches", "body"),
    ("sync_batches", "head"),
    ("sync_batches", "prev_head"),
    ("sync_batches", "record_ids"),
    ("sync_cursors", "durable_head"),
    ("sync_cursors", "head"),
}
"""Bytes, and columns that are called like secrets, that open nothing: public keys, hash chains, what runtimes sent and are
to be like, and what is sealed with keys that stay behind."""


def test_every_column_that_may_be_a_secret_has_been_thought_about():
    suspicious = {
        (table.name, column.name)
        for table in archives.exported()
        for column in table.columns
        if "LargeBinary" in repr(column.type)
        or any(word in column.name for word in ("hash", "secret", "seal", "nonce", "wrapped", "token_"))
    }

    assert suspicious - archives.SECRETS - HARMLESS == set()
