"""The end of a tenant: everything goes, a signed certificate says what, and no backup brings it back."""

import asyncio
import hashlib
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import asyncpg
import msgspec
import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from controlplane.chores import lifecycle
from controlplane.db import roles
from controlplane.db import schema as t
from controlplane.db.database import Database
from controlplane.domain import certificates, keys, people, purges, tenants, tombstones
from controlplane.domain.audit import Event
from controlplane.domain.certificates import CertificateInvalid, Shredded
from controlplane.domain.content.chunks import name_of
from controlplane.domain.tenants import TransitionRefused
from controlplane.kit.blobs import Absent, Blobs
from controlplane.kit.ids import text_id
from tests.conftest import KEYRING
from tests.domain.test_audit import PLATFORM
from tests.holdings import MARK, counted, dumped, fill
from tests.make import SHELL

ROOT = Path(__file__).parents[2]


@pytest.fixture
def blobs(tmp_path):
    return Blobs(f"file://{tmp_path}/blobs", {})


@pytest.fixture
async def filled(fillings):
    return await fillings.of(MARK)


@pytest.fixture
def database(copied):
    return copied


@pytest.fixture
def holdings(filled):
    return filled.holdings[0]


@pytest.fixture
async def other(db, make):
    return await fill(db, make, "somebody-else")


async def condemn(db, tenant):
    async with db.tenant(tenant.tenant_id) as tx:
        await tenants.delete(tx, SHELL, timedelta())


async def purged(db, tenant, **more):
    return [done async for done in purges.purge(db, KEYRING, SHELL, tenant.tenant_id, **more)]


async def certificate(db, tenant):
    async with db.platform() as tx:
        return await purges.certificate_of(tx, tenant.tenant_id)


async def test_nothing_of_the_tenant_is_left_and_everything_of_the_others(db, holdings, other, admin_url):
    before, theirs = await counted(admin_url, holdings.tenant), await counted(admin_url, other.tenant)
    assert [name for name, rows in before.items() if not rows] == []
    await condemn(db, holdings.tenant)

    await purged(db, holdings.tenant)

    left = await counted(admin_url, holdings.tenant)
    assert {name: rows for name, rows in left.items() if rows} == {"tenants": 1}
    assert await counted(admin_url, other.tenant) == theirs


async def test_a_dump_of_the_database_holds_none_of_its_personal_data(db, holdings, admin_url):
    before = await dumped(admin_url)
    assert all(each in before for each in holdings.personal if each not in holdings.secrets)
    assert holdings.tenant.slug.encode().hex() in before
    await condemn(db, holdings.tenant)

    await purged(db, holdings.tenant)

    after = await dumped(admin_url)
    assert [each for each in holdings.personal if each.lower() in after.lower()] == []
    assert [each for each in holdings.personal if each.encode().hex() in after] == []


async def test_people_who_belong_nowhere_else_are_forgotten_and_others_are_not(db, make, holdings, other):
    everywhere = await make.person(holdings.tenant, "viewer")
    operator = await make.operator()
    for human in (everywhere, operator):
        async with db.tenant((other if human is everywhere else holdings).tenant.tenant_id) as tx:
            await people.add_user(tx, SHELL, human.account, "viewer")
    await condemn(db, holdings.tenant)

    await purged(db, holdings.tenant)

    async with db.platform() as tx:
        gone = [await people.by_email(tx, person.email) for person in holdings.people]
        kept = [await people.get(tx, human.account.id) for human in (everywhere, operator)]
    assert gone == [None, None]
    assert len(kept) == 2
    assert (await certificate(db, holdings.tenant)).facts.accounts == 2


async def test_the_slug_is_free_again_and_keys_open_nothing(db, make, holdings):
    await condemn(db, holdings.tenant)
    assert await tenants.find(db, holdings.tenant.slug) == holdings.tenant.tenant_id

    await purged(db, holdings.tenant)

    assert await tenants.find(db, holdings.tenant.slug) is None
    again = await make.tenant(holdings.tenant.slug)
    assert again.tenant_id != holdings.tenant.tenant_id


async def test_the_certificate_says_what_went_and_anybody_can_check_it(db, holdings, admin_url):
    before = await counted(admin_url, holdings.tenant)
    async with db.tenant(holdings.tenant.tenant_id) as tx:
        sessions = [row.id for row in await tx.all(_Id, tx.select(t.sessions).order_by(t.sessions.c.id))]
    await condemn(db, holdings.tenant)

    await purged(db, holdings.tenant, rows_at_once=2)

    proof = await certificate(db, holdings.tenant)
    certificates.check(proof, _public_key())
    went = {table.table: table for table in proof.facts.tables}
    # two events come with the deletion itself, and one when the purge begins
    assert {name: each.rows for name, each in went.items()} == {
        **{name: rows for name, rows in before.items() if name != "tenants"},
        "audit_events": before["audit_events"] + 2,
    }
    digest = bytes(32)
    for identity in sessions:
        digest = hashlib.sha256(digest + str(identity).encode()).digest()
    assert went["sessions"].sha256 == digest.hex()
    assert proof.facts.slug_sha256 == hashlib.sha256(holdings.tenant.slug.encode()).hexdigest()
    assert proof.facts.deleted_by == SHELL.id


def _public_key():
    return keys.certificate_keys(KEYRING)[KEYRING.current].public_key().public_bytes_raw()


async def test_a_changed_certificate_does_not_verify(db, holdings):
    await condemn(db, holdings.tenant)
    await purged(db, holdings.tenant)
    proof = await certificate(db, holdings.tenant)

    forged = msgspec.structs.replace(proof, facts=msgspec.structs.replace(proof.facts, accounts=0))

    with pytest.raises(CertificateInvalid):
        certificates.check(forged, _public_key())
    with pytest.raises(CertificateInvalid):
        certificates.check(proof, bytes(32))
    with pytest.raises(CertificateInvalid):
        certificates.parse(b"{}")
    assert certificates.parse(proof.encoded()) == proof


async def test_the_platforms_log_keeps_that_it_happened_and_no_more(db, holdings):
    await condemn(db, holdings.tenant)
    await purged(db, holdings.tenant)

    async with db.platform() as tx:
        events = await tx.query(Event, PLATFORM)

    [event] = [event for event in events if event.action == "tenant.purged"]
    assert event.target_id == text_id("ten", holdings.tenant.tenant_id)
    assert event.facts.keys() == {"rows", "accounts"}


async def test_killed_at_every_step_it_goes_on_and_certifies_the_same(db, holdings, app_url, admin_url, clock):
    """kill -9 after each single commit, by a process of its own, until there is nothing left to do."""
    before = await counted(admin_url, holdings.tenant)
    await condemn(db, holdings.tenant)
    command = [sys.executable, "-m", "tests.purge_and_die", app_url, str(holdings.tenant.tenant_id)]

    ended = await asyncio.to_thread(
        subprocess.run, [*command, clock().isoformat(), "90"], cwd=ROOT, capture_output=True, text=True
    )

    assert ended.returncode == 0, ended.stderr
    kills = int(ended.stdout)
    assert kills > sum(rows > 0 for rows in before.values())
    left = await counted(admin_url, holdings.tenant)
    assert {name: rows for name, rows in left.items() if rows} == {"tenants": 1}
    proof = await certificate(db, holdings.tenant)
    certificates.check_ours(proof, KEYRING)
    assert proof.facts.shredded == Shredded(
        data_keys=before["data_keys"], backups="shared-master-key", master_keys=["test"]
    )
    assert {table.table: table.rows for table in proof.facts.tables} == {
        **{name: rows for name, rows in before.items() if name != "tenants"},
        "audit_events": before["audit_events"] + 2,
    }


async def test_once_it_is_done_there_is_nothing_to_purge(db, holdings):
    await condemn(db, holdings.tenant)
    await purged(db, holdings.tenant)

    assert await purged(db, holdings.tenant) == []


async def test_a_tenant_that_nobody_has_deleted_is_not_purged(db, holdings, admin_url):
    before = await counted(admin_url, holdings.tenant)

    with pytest.raises(TransitionRefused):
        await purged(db, holdings.tenant)

    assert await counted(admin_url, holdings.tenant) == before


async def test_two_who_purge_at_once_note_together_what_there_was(db, holdings, admin_url):
    before = await counted(admin_url, holdings.tenant)
    await condemn(db, holdings.tenant)

    await asyncio.gather(*(purged(db, holdings.tenant, rows_at_once=2) for _ in range(3)))

    proof = await certificate(db, holdings.tenant)
    assert {table.table: table.rows for table in proof.facts.tables} == {
        **{name: rows for name, rows in before.items() if name != "tenants"},
        "audit_events": before["audit_events"] + 2,
    }


async def test_the_chore_purges_what_is_due_and_nothing_else(db, holdings, other, clock, tmp_path, blobs):
    chunks = [name_of(each.tenant.tenant_id, bytes(32)) for each in (holdings, other)]
    for name in chunks:
        await blobs.put(name, b"what an agent worked on")
    async with db.tenant(holdings.tenant.tenant_id) as tx:
        await tenants.delete(tx, SHELL, timedelta(days=30))
    assert await lifecycle.purge_tenants(db, KEYRING, tmp_path / "tombstones", blobs) == 0

    clock.forward(timedelta(days=30))

    assert await lifecycle.purge_tenants(db, KEYRING, tmp_path / "tombstones", blobs) > 0
    assert await lifecycle.purge_tenants(db, KEYRING, tmp_path / "tombstones", blobs) == 0
    [stone] = tombstones.kept(tmp_path / "tombstones")
    assert stone == await certificate(db, holdings.tenant)
    assert await blobs.get(chunks[1], 100)
    with pytest.raises(Absent):
        await blobs.get(chunks[0], 100)
    async with db.tenant(other.tenant.tenant_id) as tx:
        assert (await tenants.get(tx)).status == "active"


async def test_what_is_written_for_ever_goes_in_a_purge_only(db, holdings):
    with pytest.raises(DBAPIError, match="audit events are deleted by retention only"):
        async with db.tenant(holdings.tenant.tenant_id) as tx:
            await tx._connection.execute(text("DELETE FROM audit_events"))


async def test_everything_that_a_tenant_has_can_be_deleted_by_a_purge(admin_url):
    connection = await asyncpg.connect(admin_url)
    kept = [
        table.name
        for table in purges.order()
        if not await connection.fetchval("SELECT has_table_privilege('cp_app', $1, 'DELETE')", table.name)
    ]
    await connection.close()

    assert kept == []


# ------------------------------------------------------------------------------------------- after a restore


@pytest.fixture
async def restored(superuser, database, app_url, db, clock):
    """What comes of a backup that is made when this is called with nothing, and restored when called again."""
    name = f"{database}_restored"

    async def back_up():
        await db._engine.dispose()  # a template must not be in use
        await superuser.execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = $1", database
        )
        await superuser.execute(f'CREATE DATABASE "{name}" TEMPLATE "{database}" OWNER {roles.OWNER}')

    back = Database(app_url.replace(f"/{database}", f"/{name}"), clock, sealing=keys.sealing(KEYRING))
    back.make = back_up
    yield back
    await back.close()
    await superuser.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')


async def test_a_tenant_that_comes_back_with_a_backup_is_purged_again(db, holdings, other, restored, tmp_path, blobs):
    await restored.make()
    await condemn(db, holdings.tenant)
    await purged(db, holdings.tenant)
    tombstones.keep(tmp_path, await tombstones.known(db))

    returned = await tombstones.apply(restored, KEYRING, SHELL, tombstones.kept(tmp_path))

    assert returned == [holdings.tenant.tenant_id]
    async with restored.tenant(holdings.tenant.tenant_id) as tx:
        assert (await tenants.get(tx)).status == "purging"
    assert await lifecycle.purge_tenants(restored, KEYRING, None, blobs) > 0
    async with restored.tenant(holdings.tenant.tenant_id) as tx:
        assert (await tenants.get(tx)).status == "deleted"
    async with restored.tenant(other.tenant.tenant_id) as tx:
        assert (await tenants.get(tx)).status == "active"
    assert await tombstones.apply(restored, KEYRING, SHELL, tombstones.kept(tmp_path)) == []


async def test_a_tombstone_that_we_have_not_signed_buries_nobody(db, holdings, tmp_path):
    await condemn(db, holdings.tenant)
    await purged(db, holdings.tenant)
    [proof] = await tombstones.known(db)
    forged = msgspec.structs.replace(proof, facts=msgspec.structs.replace(proof.facts, tenant="ten_" + "0" * 26))

    with pytest.raises(CertificateInvalid):
        await tombstones.apply(db, KEYRING, SHELL, [proof, forged])


def test_a_file_that_is_no_tombstone_is_named(tmp_path):
    (tmp_path / "ten_x.json").write_text("{}")

    with pytest.raises(CertificateInvalid, match=r"ten_x\.json"):
        tombstones.kept(tmp_path)


class _Id(msgspec.Struct, frozen=True):
    id: object
