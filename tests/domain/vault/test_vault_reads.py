"""Reads of credentials in the chain: sealed every second, and found out when one of them is another than it was."""

import asyncio

import asyncpg
import pytest

from controlplane.chores.audit_logs import seal_reads
from controlplane.cli.audit_export import reads_to_stream, to_stream
from controlplane.domain import audit
from controlplane.domain.audit import exports, reads, stored
from controlplane.domain.vault import connections
from controlplane.domain.vault.prints import print_of
from tests.conftest import KEYRING
from tests.http.agents import Agent
from tests.http.lessees import Lessee, policy, typed

RUNNING = """
    SELECT count(*) FROM pg_stat_activity
    WHERE datname <> current_database() AND backend_xid IS NOT NULL AND backend_xid::text::bigint <= (
        SELECT max(writer) & 4294967295 FROM vault_reads)
"""

TAMPERING = (
    "UPDATE vault_reads SET agent = 'other' WHERE seq = (SELECT min(seq) FROM vault_reads)",
    "DELETE FROM vault_reads WHERE seq = (SELECT max(seq) FROM vault_reads)",
    "UPDATE vault_reads SET sealed_by = 1 WHERE seq = (SELECT max(seq) FROM vault_reads)",
    "DELETE FROM vault_reads",
)


@pytest.fixture
async def tenant(make):
    return await make.tenant()


@pytest.fixture
async def connection(db, tenant):
    await policy(db, tenant)
    return await typed(db, tenant)


@pytest.fixture
async def lessee(client, clock, make, tenant):
    agent = Agent(client, clock)
    assert (await agent.enroll(await make.join_token(tenant))).status_code == 201
    return Lessee(agent)


@pytest.fixture
async def superuser_here(admin_url):
    connection = await asyncpg.connect(admin_url)
    yield connection
    await connection.close()


@pytest.fixture
def seal(db, superuser_here):
    """Seals reads when nothing that other databases of this server do holds one of them back, and says how many."""

    async def seal() -> int:
        async with asyncio.timeout(60):
            while await superuser_here.fetchval(RUNNING):
                await superuser_here.execute("SELECT pg_sleep(0.01)")
        return await seal_reads(db)

    return seal


@pytest.fixture
async def two_sealed(lessee, connection, seal):
    """Reads of one connection."""
    await lessee.lease(connection, agent="y")
    await lessee.lease(connection, agent="y")
    await seal()


async def tampered(superuser, statement):
    """By somebody who has the whole database."""
    await superuser.execute("ALTER TABLE vault_reads DISABLE TRIGGER ALL")
    await superuser.execute(statement)


async def test_reads_are_sealed_in_their_tenants_chain(db, tenant, lessee, connection, seal):
    await lessee.lease(connection)
    await lessee.lease(connection)

    assert await seal() == 2
    assert await seal() == 0

    async with db.tenant(tenant.tenant_id) as tx:
        rows = await reads.listing(tx, limit=9)
        [event] = [each for each in await audit.listing(tx, limit=50) if each.action == reads.SEALED]
        used = (await connections.get(tx, connection.id)).last_used_at
    assert {row.sealed_by for row in rows} == {event.seq}
    assert (event.facts["first"], event.facts["last"], event.facts["count"]) == (rows[-1].seq, rows[0].seq, 2)
    assert used == db.clock()
    assert (await stored.verify(db, KEYRING, tenant.tenant_id)).unbroken


async def test_what_is_written_but_not_committed_waits_and_is_not_left_out(
    db, tenant, lessee, connection, superuser_here, seal
):
    await lessee.lease(connection)
    slow = superuser_here.transaction()
    await slow.start()
    await superuser_here.execute(
        "INSERT INTO vault_reads SELECT (jsonb_populate_record(r, jsonb_build_object("
        "'seq', nextval('vault_reads_seq_seq'), 'nonce', '\\x01', 'writer', pg_current_xact_id()::text))).* "
        "FROM vault_reads r"
    )
    await lessee.lease(connection)

    assert await seal() == 1
    await slow.commit()
    assert await seal() == 2

    assert (await stored.verify(db, KEYRING, tenant.tenant_id)).unbroken


@pytest.mark.parametrize("statement", TAMPERING)
async def test_whoever_changes_one_is_found_out(db, tenant, two_sealed, superuser_here, statement):
    await tampered(superuser_here, statement)

    verdict = await stored.verify(db, KEYRING, tenant.tenant_id)

    assert {damage.kind for damage in verdict.damages} == {"reads"}


async def test_the_application_itself_can_neither_change_nor_delete_one(app_url, tenant, lessee, connection, seal):
    await lessee.lease(connection)
    await seal()
    as_app = await asyncpg.connect(app_url)
    await as_app.execute("SELECT set_config('app.tenant_id', $1, false)", str(tenant.tenant_id))

    for statement in (
        "UPDATE vault_reads SET agent = 'other'",
        "UPDATE vault_reads SET sealed_by = 1",
        "DELETE FROM vault_reads",
    ):
        with pytest.raises(asyncpg.PostgresError):
            await as_app.execute(statement)
    await as_app.close()


@pytest.mark.parametrize("tamper", [None, b'"agent":"x"', b"drop"])
async def test_an_export_is_verified_far_from_here(db, tenant, two_sealed, tmp_path, tamper):
    files = {name: tmp_path / name for name in ("events", "checkpoint", "key", "reads")}
    with files["events"].open("wb") as out, files["reads"].open("wb") as lines:
        exported = await to_stream(db, KEYRING, tenant.slug, out, lambda *_: None)
        assert await reads_to_stream(db, tenant.slug, lines, exported.through) == 2
    files["checkpoint"].write_text(exported.checkpoint)
    files["key"].write_text(exported.public_key)
    content = files["reads"].read_bytes()
    assert b"s3cret" not in content
    if tamper == b"drop":
        content = content.split(b"\n", 1)[1]
    elif tamper:
        content = content.replace(b'"agent":"y"', tamper, 1)
    files["reads"].write_bytes(content)

    verdict = await asyncio.to_thread(
        exports.verify, files["events"], files["checkpoint"], files["key"], reads=files["reads"]
    )

    assert [damage.kind for damage in verdict.damages] == ([] if tamper is None else ["reads"])


async def test_a_secret_that_turns_up_leads_to_who_had_it(db, make, tenant, lessee, connection):
    await lessee.lease(connection)
    other = await make.tenant()

    async with db.tenant(tenant.tenant_id) as tx:
        found = await reads.recognized(tx, print_of(KEYRING, tx.tenant_id, "s3cret-of-acme"), limit=9)
        none = await reads.recognized(tx, print_of(KEYRING, other.tenant_id, "s3cret-of-acme"), limit=9)

    assert [read.runtime_id for read in found] == [lessee.agent.answer.runtime_id]
    assert none == []
