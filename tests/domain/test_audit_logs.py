"""What chores do for the logs in the database: sign, verify, prune, stream; and what they find when somebody was at it."""

import json
from datetime import timedelta

import asyncpg
import pytest
from msgspec.structs import replace
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from controlplane.chores import audit_logs
from controlplane.domain import audit, keys
from controlplane.domain.audit import Actor, checkpoints, exports, retention, stored, streams
from controlplane.domain.audit.checkpoints import LogDamaged
from controlplane.domain.audit.retention import DEFAULT_DAYS, RetentionInvalid
from controlplane.domain.audit.standing import standing
from controlplane.kit import notes
from controlplane.kit.ids import text_id
from tests.conftest import KEYRING
from tests.make import SHELL
from tests.receiver import receiving

SOMEBODY = Actor(kind="account", id="acc_x")


@pytest.fixture
async def tenant(make):
    return await make.tenant()


@pytest.fixture
async def superuser_here(admin_url):
    """Somebody who owns the database, and whom no trigger keeps from anything."""
    connection = await asyncpg.connect(admin_url)
    await connection.execute("SET session_replication_role = replica")
    yield connection
    await connection.close()


async def append(db, tenant, count=1, action="test.happened"):
    for number in range(count):
        async with db.tenant(tenant.tenant_id) as tx:
            audit.record(tx, SOMEBODY, action, ("thing", str(number)))


async def newest(db, tenant):
    async with db.tenant(tenant.tenant_id) as tx:
        return await checkpoints.newest(tx)


async def look(db, tenant):
    async with db.tenant(tenant.tenant_id) as tx:
        return await standing(tx)


async def verify(db, tenant):
    return await stored.verify(db, KEYRING, tenant.tenant_id)


async def test_a_checkpoint_covers_everything_and_is_signed_for_this_log(db, tenant):
    await audit_logs.sign(db, KEYRING, None)

    known = checkpoints.public_keys(KEYRING, tenant.tenant_id)
    found = notes.checkpoint((await newest(db, tenant)).note, checkpoints.by_hash(known))
    assert found.size == 2
    assert found.origin == f"engine-cloud/audit/{tenant.tenant_id}"


async def test_a_log_is_signed_after_five_minutes_or_a_thousand_events(db, clock, tenant):
    await audit_logs.sign(db, KEYRING, None)
    await append(db, tenant)

    await audit_logs.sign(db, KEYRING, None)
    assert (await newest(db, tenant)).size == 2

    clock.forward(timedelta(minutes=5))
    await audit_logs.sign(db, KEYRING, None)
    assert (await newest(db, tenant)).size == 3

    async with db.tenant(tenant.tenant_id) as tx:
        for number in range(1_000):
            audit.record(tx, SOMEBODY, "test.happened", ("thing", str(number)))
    await audit_logs.sign(db, KEYRING, None)
    assert (await newest(db, tenant)).size == 1_003


async def test_checkpoints_leave_the_database_each_one_once(db, clock, tenant, tmp_path):
    folder = tmp_path / "audit-checkpoints"
    await audit_logs.sign(db, KEYRING, folder)
    for _ in range(3):
        clock.forward(timedelta(minutes=5))
        await append(db, tenant)
        await audit_logs.sign(db, KEYRING, folder)
        await audit_logs.sign(db, KEYRING, folder)

    path = folder / f"{text_id('ten', tenant.tenant_id)}.notes"
    known = checkpoints.by_hash(checkpoints.public_keys(KEYRING, tenant.tenant_id))
    found = [notes.checkpoint(note, known).size for note in notes.every_note(path.read_text())]
    assert found == [2, 3, 4, 5]
    assert path.stat().st_mode & 0o777 == 0o600
    assert (folder / "platform.notes").exists()


async def test_of_old_checkpoints_the_last_of_each_day_is_kept(db, clock, tenant):
    clock.forward(timedelta(hours=6))
    for _ in range(3):
        for _ in range(4):
            await append(db, tenant)
            await audit_logs.sign(db, KEYRING, None)
            clock.forward(timedelta(hours=1))
        clock.forward(timedelta(hours=20))
    clock.forward(timedelta(days=6))
    await append(db, tenant)

    await audit_logs.sign(db, KEYRING, None)

    async with db.tenant(tenant.tenant_id) as tx:
        kept = [stored.size for stored in await checkpoints.listing(tx, limit=100)]
    assert kept == [15, 14, 13, 12, 11, 10, 6]
    assert (await verify(db, tenant)).unbroken


async def test_a_whole_log_verifies_with_every_checkpoint(db, clock, tenant):
    for _ in range(3):
        await append(db, tenant, 3)
        await audit_logs.sign(db, KEYRING, None)
        clock.forward(timedelta(minutes=5))

    verdict = await verify(db, tenant)

    assert verdict.unbroken
    assert (verdict.events, verdict.checkpoints, verdict.signed_through) == (11, 3, 11)


async def test_the_platforms_log_verifies_as_well(db, make):
    await make.operator()
    await audit_logs.sign(db, KEYRING, None)

    verdict = await stored.verify(db, KEYRING, None)

    assert verdict.unbroken
    assert verdict.signed_through == verdict.events == 3


TAMPERED = {
    "content": ("UPDATE audit_events SET actor_id = 'acc_y' WHERE seq = 4", 4),
    "facts": ("""UPDATE audit_events SET facts = '{"role": "viewer"}' WHERE seq = 4""", 4),
    "time": ("UPDATE audit_events SET occurred_us = occurred_us + 1 WHERE seq = 4", 4),
    "gap": ("DELETE FROM audit_events WHERE seq = 4", 4),
    "truncated-vs-checkpoint": ("DELETE FROM audit_events WHERE seq > 6", 7),
}


@pytest.mark.parametrize("how", TAMPERED)
async def test_what_somebody_did_to_the_rows_is_found_and_named(db, tenant, superuser_here, how):
    await append(db, tenant, 6)
    await audit_logs.sign(db, KEYRING, None)
    statement, seq = TAMPERED[how]
    await superuser_here.execute(statement)

    verdict = await verify(db, tenant)

    kinds = {(damage.kind, damage.seq) for damage in verdict.damages}
    assert (how if how in ("gap", "truncated-vs-checkpoint") else "content", seq) in kinds
    assert (await look(db, tenant)).damages == verdict.damages


async def test_the_end_of_a_log_that_is_not_signed_yet_cannot_be_cut_off_either(db, tenant, superuser_here):
    await append(db, tenant, 3)
    await superuser_here.execute("DELETE FROM audit_events WHERE seq = 5")

    [damage] = (await verify(db, tenant)).damages

    assert (damage.kind, damage.seq) == ("gap", 5)


async def test_a_suffix_forged_in_place_is_not_what_was_signed(db, tenant, superuser_here):
    await append(db, tenant, 4)
    await audit_logs.sign(db, KEYRING, None)
    async with db.tenant(tenant.tenant_id) as tx:
        events = await audit.after(tx, 3, 100)
    previous = events[0].prev_hash
    for event in events:
        forged = replace(event, actor_id="acc_y", prev_hash=previous)
        previous = audit.link(tenant.tenant_id, forged)
        forge = "UPDATE audit_events SET actor_id = 'acc_y', prev_hash = $2, hash = $3 WHERE seq = $1"
        await superuser_here.execute(forge, event.seq, forged.prev_hash, previous)
    await superuser_here.execute("UPDATE audit_heads SET hash = $1", previous)

    [damage] = (await verify(db, tenant)).damages

    assert damage.kind == "fork"


async def test_nothing_is_signed_over_damaged_events(db, clock, tenant, superuser_here):
    await append(db, tenant, 2)
    await superuser_here.execute("UPDATE audit_events SET actor_id = 'acc_y' WHERE seq = 3")

    await audit_logs.sign(db, KEYRING, None)

    assert await newest(db, tenant) is None
    with pytest.raises(LogDamaged, match="event 3"):
        async with db.tenant(tenant.tenant_id) as tx:
            await checkpoints.up_to_now(tx, KEYRING)
    assert [damage.seq for damage in (await look(db, tenant)).damages] == [3]


async def test_damage_stays_known_until_the_whole_log_is_well_again(db, clock, tenant, superuser_here):
    await audit_logs.sign(db, KEYRING, None)
    await superuser_here.execute("UPDATE audit_events SET actor_id = 'acc_y' WHERE seq = 1")
    clock.forward(timedelta(days=1))
    await audit_logs.verify(db, KEYRING)
    await append(db, tenant)

    await audit_logs.sign(db, KEYRING, None)
    assert (await look(db, tenant)).damages

    await superuser_here.execute("UPDATE audit_events SET actor_id = $1 WHERE seq = 1", SHELL.id)
    clock.forward(timedelta(days=1))
    await audit_logs.verify(db, KEYRING)
    assert (await look(db, tenant)).damages == []


async def test_a_checkpoint_that_this_service_did_not_sign_is_named(db, tenant, superuser_here):
    await audit_logs.sign(db, KEYRING, None)
    await superuser_here.execute("UPDATE audit_checkpoints SET note = replace(note, E'\\n2\\n', E'\\n3\\n')")

    [damage] = (await verify(db, tenant)).damages

    assert (damage.kind, damage.seq) == ("signature", 2)


async def test_a_key_of_yesterday_still_counts(db, clock, tenant):
    await audit_logs.sign(db, KEYRING, None)
    newer = keys.Keyring(current="new", keys={**KEYRING.keys, "new": bytes([9] * 32)}, pepper=KEYRING.pepper)
    clock.forward(timedelta(minutes=5))
    await append(db, tenant)
    await audit_logs.sign(db, newer, None)

    assert (await stored.verify(db, newer, tenant.tenant_id)).checkpoints == 2


async def aged(db, clock, tenant, days=DEFAULT_DAYS):
    await append(db, tenant, 5)
    await audit_logs.sign(db, KEYRING, None)
    clock.forward(timedelta(days=days))
    await append(db, tenant, 3)


async def test_what_is_old_enough_goes_and_the_rest_verifies_behind_it(db, clock, tenant):
    await aged(db, clock, tenant)

    assert await audit_logs.prune(db) == 7

    verdict = await verify(db, tenant)
    assert verdict.unbroken
    assert (verdict.first_seq, verdict.last_seq) == (8, 11)
    async with db.tenant(tenant.tenant_id) as tx:
        [told, *_] = await audit.listing(tx, limit=1)
    assert told.action == "audit.pruned"
    assert told.facts["through"] == 7
    assert await audit_logs.prune(db) == 0


async def test_a_pruned_log_is_pruned_and_signed_again(db, clock, tenant):
    for _ in range(3):
        await aged(db, clock, tenant)
        await audit_logs.prune(db)
    await audit_logs.sign(db, KEYRING, None)

    verdict = await verify(db, tenant)

    assert verdict.unbroken
    assert verdict.signed_through == verdict.last_seq
    assert verdict.first_seq > 20


async def test_what_is_younger_stays(db, clock, tenant):
    await aged(db, clock, tenant, DEFAULT_DAYS - 1)

    assert await audit_logs.prune(db) == 0


async def test_a_tenant_can_keep_less_and_not_too_little(db, clock, tenant):
    async with db.tenant(tenant.tenant_id) as tx:
        await retention.keep_for(tx, SHELL, 30)
        with pytest.raises(RetentionInvalid):
            await retention.keep_for(tx, SHELL, 29)
    await aged(db, clock, tenant, 30)

    assert await audit_logs.prune(db) == 8


async def test_what_is_held_stays_whatever_its_age_until_it_is_released(db, clock, tenant):
    async with db.tenant(tenant.tenant_id) as tx:
        await retention.hold(tx, SHELL, "a lawsuit")
    await aged(db, clock, tenant)

    assert await audit_logs.prune(db) == 0
    assert (await look(db, tenant)).held == "a lawsuit"

    async with db.tenant(tenant.tenant_id) as tx:
        await retention.release(tx, SHELL)
    assert await audit_logs.prune(db) == 8


async def test_nobody_but_the_pruner_deletes_and_the_pruner_in_its_tenant_only(db, make, tenant, admin_url):
    other = await make.tenant()
    delete = text("DELETE FROM audit_events")

    with pytest.raises(DBAPIError, match="by retention only"):
        async with db.tenant(tenant.tenant_id) as tx:
            await tx.run(delete)
    connection = await asyncpg.connect(admin_url)
    with pytest.raises(asyncpg.RaiseError, match="by retention only"):
        await connection.execute("DELETE FROM audit_events")
    await connection.close()

    async with db.tenant(tenant.tenant_id) as tx, tx.as_pruner():
        assert await tx.run(text("DELETE FROM audit_events WHERE tenant_id IS NOT NULL")) == 2
    assert (await stored.verify(db, KEYRING, other.tenant_id)).events == 2


async def test_an_export_verifies_away_from_here(db, tenant, tmp_path):
    await append(db, tenant, 20)
    async with db.tenant(tenant.tenant_id) as tx:
        signed = await checkpoints.up_to_now(tx, KEYRING)
        events = await audit.after(tx, 0, 100)
    (tmp_path / "e").write_bytes(b"".join(audit.line(tenant.tenant_id, event) + b"\n" for event in events))
    (tmp_path / "c").write_text(signed.note)
    (tmp_path / "k").write_text("".join(f"{key}\n" for key in checkpoints.public_keys(KEYRING, tenant.tenant_id)))

    verdict = exports.verify(tmp_path / "e", tmp_path / "c", tmp_path / "k")

    assert verdict.unbroken
    assert verdict.signed_through == 22


async def test_every_event_is_streamed_once_and_verifies_where_it_arrives(db, tenant):
    await append(db, tenant, 5)
    async with receiving() as receiver:
        assert await audit_logs.stream(db, receiver.address) == 7 + 2
        assert await audit_logs.stream(db, receiver.address) == 0
        await append(db, tenant)
        assert await audit_logs.stream(db, receiver.address) == 1

    lines = [json.loads(message.partition(b"\xef\xbb\xbf")[2]) for message in receiver.messages()]
    assert [line["seq"] for line in lines if line["chain"] == str(tenant.tenant_id)] == list(range(1, 9))
    assert [line["seq"] for line in lines if line["chain"] == "platform"] == [1, 2]


async def test_what_did_not_arrive_is_sent_again(db, tenant):
    async with db.tenant(tenant.tenant_id) as tx:
        for number in range(2_000):
            audit.record(tx, SOMEBODY, "test.happened", ("thing", str(number)), text="x" * 4_000)
    async with receiving(hangs_up_after=100) as receiver:
        with pytest.raises(ConnectionError):
            await audit_logs.stream(db, receiver.address)

    async with db.tenant(tenant.tenant_id) as tx:
        again = await streams.waiting(tx, receiver.address)
    assert b'"seq":1,' in again.messages[0].text
    assert len(again.messages) == streams.A_BATCH
