"""A backup holds every row, and a restore brings back exactly those, as another incarnation of the database."""

import zipfile

import asyncpg
import pytest

from controlplane.db import backups
from controlplane.db import schema as t
from controlplane.db.backups import BackupOfAnotherRevision, BackupUnreadable, DatabaseInUse, MayNotSeeAll
from controlplane.domain.sync import cursors
from tests.holdings import fill

CHANGED = ("store", "runtimes")
"""What a restore changes on purpose."""


async def rows(url):
    """All there is, table by table, past every policy."""
    connection = await asyncpg.connect(url)
    try:
        return {
            table.name: await connection.fetchval(
                f"SELECT md5(string_agg(r::text, chr(10) ORDER BY r::text)) FROM {table.name} r"
            )
            for table in t.metadata.sorted_tables
        }
    finally:
        await connection.close()


@pytest.fixture
async def elsewhere(databases, owner_url, admin_url, database):
    """An empty database beside this one: the URLs of its owner and of the superuser."""
    name = await databases.create()
    yield owner_url.replace(database, name), admin_url.replace(database, name)
    await databases.drop(name)


async def test_every_row_comes_back_and_agents_notice(db, make, owner_url, admin_url, elsewhere, tmp_path):
    held = await fill(db, make)
    file = tmp_path / "cloud.backup"
    owner, admin = elsewhere

    taken = await backups.take(owner_url, file)
    await backups.put_back(owner, file)

    before, after = await rows(admin_url), await rows(admin)
    assert {name for name in before if before[name] != after[name]} == set(CHANGED)
    assert file.stat().st_mode & 0o777 == 0o600
    connection = await asyncpg.connect(admin)
    store = await connection.fetchrow("SELECT * FROM store")
    [cursor] = await connection.fetch("SELECT * FROM sync_cursors WHERE epoch > 0 LIMIT 1")
    disabled = await connection.fetchval("SELECT count(*) FROM pg_trigger WHERE tgenabled <> 'O'")
    await connection.close()
    assert (store["store_id"] == taken.store_id, store["restored_to"]) == (False, taken.taken_at)
    assert store["refreshing_as"] == taken.store_id, "refresh tokens rest until somebody says that the other is gone"
    assert (cursor["durable_epoch"], cursor["durable_seq"]) == (cursor["epoch"], cursor["last_seq"])
    assert disabled == 0
    assert held


async def test_agents_are_told_how_far_a_backup_covers_their_logs_once_it_can_be_read(db, make, owner_url, tmp_path):
    held = await fill(db, make)
    runtime = held.runtime
    async with db.tenant(runtime.tenant_id) as tx:
        before = await cursors.peek(tx, runtime.id)

    await backups.take(owner_url, tmp_path / "cloud.backup")

    async with db.tenant(runtime.tenant_id) as tx:
        covered = (await cursors.peek(tx, runtime.id)).durable
    assert before.durable is None
    assert (covered.epoch, covered.seq, covered.head) == (before.epoch, before.last_seq, before.head.hex())


async def test_a_file_that_was_cut_short_or_changed_is_no_backup(db, make, owner_url, elsewhere, tmp_path):
    file, worse = tmp_path / "cloud.backup", tmp_path / "worse"
    await backups.take(owner_url, file)
    whole = file.read_bytes()
    with zipfile.ZipFile(file) as archive, zipfile.ZipFile(worse, "w") as changed:
        for name in archive.namelist():
            changed.writestr(name, archive.read(name) + (b"x" if name == "tenants.copy" else b""))

    for content in (whole[:-100], b"", worse.read_bytes()):
        worse.write_bytes(content)
        with pytest.raises(BackupUnreadable):
            await backups.put_back(elsewhere[0], worse)


async def test_nothing_is_replaced_while_somebody_works_with_the_database(db, make, owner_url, tmp_path):
    await backups.take(owner_url, tmp_path / "cloud.backup")

    async with db.platform():
        with pytest.raises(DatabaseInUse):
            await backups.put_back(owner_url, tmp_path / "cloud.backup")


async def test_a_backup_of_another_revision_is_for_the_release_that_made_it(
    db, owner_url, elsewhere, tmp_path, monkeypatch
):
    await backups.take(owner_url, tmp_path / "cloud.backup")
    monkeypatch.setattr(backups, "newest", lambda: "9999")

    with pytest.raises(BackupOfAnotherRevision):
        await backups.put_back(elsewhere[0], tmp_path / "cloud.backup")


async def test_whoever_does_not_see_every_row_takes_no_backup(app_url, tmp_path):
    with pytest.raises(MayNotSeeAll):
        await backups.take(app_url, tmp_path / "cloud.backup")
