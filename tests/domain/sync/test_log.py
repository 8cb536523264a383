"""The append: nothing lost, nothing twice, every refusal by its name."""

import json
from datetime import timedelta, timezone
from uuid import UUID

import msgspec
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Struct

from controlplane.db import schema as t
from controlplane.domain.sync import batches, refusals
from controlplane.kit.ids import new_id
from runtime_agent.wire.records import CostLine, Gap, Quarantine
from tests.logs import T0, checkpoint, digest, line, packed, run, session


class SessionRow(Struct, frozen=True):
    source_id: str
    status: str
    seq: int


class LossRow(Struct, frozen=True):
    kind: str
    first_seq: int
    last_seq: int
    records: int
    reason: str


class BatchRow(Struct, frozen=True):
    first_seq: int
    skip: int
    last_seq: int
    body: bytes


async def rows(site, table, into):
    async with site.db.tenant(site.tenant_id) as tx:
        return await tx.all(into, tx.select(table).order_by(table.c.id))


async def held(site):
    return [row.source_id for row in await rows(site, t.sessions, SessionRow)]


async def test_a_batch_becomes_sessions_runs_checkpoints_and_an_agent(site):
    log = await site.log()
    log.write(session(1), run(1), checkpoint(1))

    kept = await site.append(log, 1, 3)

    assert (kept.acked, kept.head, kept.bad) == (3, log.head(3), None)
    assert await held(site) == [session(1).session]
    for table in (t.runs, t.checkpoints, t.agents):
        async with site.db.tenant(site.tenant_id) as tx:
            assert len((await tx._connection.execute(tx.select(table))).all()) == 1, table.name


async def test_a_batch_sent_twice_is_stored_once(site):
    log = await site.log()
    log.write(session(1), session(2))
    await site.append(log, 1, 2)

    again = await site.append(log, 1, 2)

    assert (again.acked, again.added) == (2, 0)
    assert len(await rows(site, t.sync_batches, BatchRow)) == 1


async def test_an_overlapping_batch_adds_only_its_tail_and_is_kept_whole(site):
    log = await site.log()
    log.write(*map(session, range(1, 6)))
    await site.append(log, 1, 3)

    kept = await site.append(log, 2, 5)

    assert (kept.acked, kept.added, kept.head) == (5, 2, log.head(5))
    batches = await rows(site, t.sync_batches, BatchRow)
    assert sorted((row.first_seq, row.skip, row.last_seq) for row in batches) == [(1, 0, 3), (2, 2, 5)]


async def test_what_was_sent_is_kept_byte_for_byte(site):
    log = await site.log()
    log.write(session(1), run(1))
    place, body = log.batch(1, 2)

    await site.append_body(place, body)

    [kept] = await rows(site, t.sync_batches, BatchRow)
    assert kept.body == body
    assert zstandard.decompress(kept.body).splitlines() == log.lines


async def test_a_gap_is_refused_with_the_number_to_go_on_from(site):
    log = await site.log()
    log.write(*map(session, range(1, 5)))
    await site.append(log, 1, 2)

    with pytest.raises(refusals.Gap) as refused:
        await site.append(log, 4, 4)

    assert refused.value.facts() == {"expected": 3}


async def test_an_old_epoch_is_fenced(site):
    old = await site.log()
    old.write(session(1))
    await site.log()

    with pytest.raises(refusals.Fenced):
        await site.append(old, 1, 1)


async def test_another_store_is_refused_before_anything_else(site):
    log = await site.log()
    log.write(session(1))

    with pytest.raises(refusals.StoreChanged):
        await site.append(log, 1, 1, store_id=UUID(int=7), epoch=99)


async def test_another_history_is_refused(site):
    log = await site.log()
    log.write(session(1), session(2))
    await site.append(log, 1, 1)

    with pytest.raises(refusals.Diverged):
        await site.append(log, 2, 2, prev=bytes(32))


async def test_an_overlap_with_another_past_is_refused(site):
    log = await site.log()
    log.write(session(1), session(2), session(3))
    await site.append(log, 1, 2)
    log.lines[1] = line(session(9))

    with pytest.raises(refusals.Diverged):
        await site.append(log, 1, 3)


FAR_WEST = timezone(timedelta(hours=-23))

BROKEN = {
    "not JSON": (b"{", refusals.RecordMalformed),
    "not UTF-8": (b'{"kind":"\xff"}', refusals.RecordMalformed),
    "an empty line": (b"", refusals.RecordMalformed),
    "an unknown kind": (b'{"kind":"dream"}', refusals.RecordUnknownKind),
    "no kind": (b"{}", refusals.RecordIncomplete),
    "a missing field": (json.dumps({"kind": "session"}).encode(), refusals.RecordIncomplete),
    "a status of its own": (line(session()).replace(b"succeeded", b"splendid"), refusals.RecordInvalid),
    "a NUL": (line(session(agent="a\0b")), refusals.RecordInvalid),
    "a zone that is none": (line(session(changed_at=T0.astimezone(FAR_WEST))), refusals.RecordAbsurdTime),
    "a thousand brackets": (
        line(session())[:-1] + b',"x":' + b"[" * 5000 + b"]" * 5000 + b"}",
        refusals.RecordMalformed,
    ),
    "two on a line": (line(session(1)) + b" " + line(session(2)), refusals.RecordMalformed),
    "half a surrogate": (line(session()).replace(b"invoice", b"\\ud800"), refusals.RecordMalformed),
    "too large": (line(session(attention=["x" * 500])) + b" " * 300_000, refusals.RecordTooLarge),
    "before 2000": (line(session(started_at=T0.replace(year=1999))), refusals.RecordAbsurdTime),
    "a name from before 2000": (line(session(session="session_19700101_000000_1")), refusals.RecordAbsurdTime),
    "an end before all time": (line(session(ended_at=T0.replace(year=1))), refusals.RecordAbsurdTime),
    "from next week": (line(session(changed_at=T0 + timedelta(days=7))), refusals.RecordAbsurdTime),
}


@pytest.mark.parametrize("case", BROKEN)
async def test_the_first_bad_record_is_named_and_everything_before_it_kept(site, case):
    broken, wanted = BROKEN[case]
    log = await site.log()
    log.write(session(1), session(2), broken, session(4))

    kept = await site.append(log, 1, 4)

    refusal = kept.refusal()
    assert type(refusal) is wanted
    assert refusal.facts() == {"seq": 3, "acked": 2, "head": log.head(2).hex()}
    assert await held(site) == [session(1).session, session(2).session]


async def test_a_quarantine_at_the_bad_place_lets_the_log_go_on_and_shows(site):
    log = await site.log()
    log.write(session(1), b"{broken", session(3))
    await site.append(log, 1, 3)
    stand_in = Quarantine(
        record_id=new_id(T0), occurred_at=T0, code="record-malformed", sha256="0" * 64, bytes=7, of_kind="session"
    )
    log.lines[1] = line(stand_in)

    kept = await site.append(log, 2, 3)

    assert (kept.acked, kept.bad) == (3, None)
    assert await held(site) == [session(1).session, session(3).session]
    [loss] = await rows(site, t.sync_losses, LossRow)
    assert loss == LossRow("quarantined", 2, 2, 1, "record-malformed")


async def test_what_an_agent_could_not_keep_is_shown(site):
    log = await site.log()
    log.write(Gap(record_id=new_id(T0), occurred_at=T0, reason="disk-full", count=41))

    await site.append(log, 1, 1)

    assert await rows(site, t.sync_losses, LossRow) == [LossRow("gap", 1, 1, 41, "disk-full")]


async def test_text_that_only_looks_like_a_nul_is_kept(site):
    log = await site.log()
    log.write(session(1, attention=["the tool said \\u0000 and stopped"]))

    assert (await site.append(log, 1, 1)).bad is None


async def test_what_is_held_is_not_judged_again(site, clock):
    log = await site.log()
    log.write(session(1, changed_at=T0 + timedelta(hours=20)), session(2))
    await site.append(log, 1, 1)
    clock.forward(timedelta(hours=-12))

    kept = await site.append(log, 1, 2)

    assert (kept.acked, kept.bad) == (2, None)


async def test_a_kind_of_a_newer_agent_is_kept_and_skipped(site):
    log = await site.log()
    log.write(json.dumps({"kind": "dream", "record_id": str(UUID(int=5))}).encode(), session(2))

    kept = await site.append(log, 1, 2, protocol=99)

    assert (kept.acked, kept.bad) == (2, None)
    assert await site.missing(UUID(int=5)) == []


def truncated(body):
    return body[: len(body) // 2]


def refused(site_place, body, now=T0):
    place, _ = site_place
    return batches.read(body, msgspec.structs.replace(place, digest=digest(body)), now)


async def test_a_body_that_is_not_what_its_headers_say_is_refused_whole(site):
    log = await site.log()
    log.write(*map(session, range(1, 4)))
    place = log.batch(1, 3)
    lines = log.lines

    for body, wanted in (
        (b"not zstd", refusals.NotZstd),
        (truncated(place[1]), refusals.Truncated),
        (packed(lines[:2]), refusals.Truncated),
        (zstandard.compress(b"\n".join(lines)), refusals.Truncated),
        (zstandard.compress(b""), refusals.Truncated),
    ):
        with pytest.raises(wanted):
            refused(place, body)
    with pytest.raises(refusals.DigestMismatch):
        batches.read(place[1] + b"x", place[0], T0)
    assert await held(site) == []


async def test_a_decompression_bomb_is_refused_whatever_its_frame_declares(site):
    log = await site.log()
    log.write(session(1))
    place = log.batch(1, 1)
    silent = zstandard.ZstdCompressor(write_content_size=False)

    for bomb in (zstandard.compress(bytes(100 << 20)), silent.compress(bytes(100 << 20))):
        assert len(bomb) < 20_000
        with pytest.raises(refusals.BatchTooLarge):
            refused(place, bomb)


async def test_of_two_states_in_a_batch_the_newer_stays(site):
    log = await site.log()
    log.write(
        session(1, status="running", changed_at=T0), session(1, status="failed", changed_at=T0 + timedelta(hours=1))
    )

    await site.append(log, 1, 2)

    assert [row.status for row in await rows(site, t.sessions, SessionRow)] == ["failed"]


@pytest.mark.parametrize(
    ("earlier", "later", "stays"),
    [(0, 1, "failed"), (1, 0, "running"), (0, 0, "failed")],
    ids=["newer", "older", "same"],
)
async def test_a_state_replaces_an_older_one_by_the_sources_own_time(site, earlier, later, stays):
    log = await site.log()
    log.write(session(1, status="running", changed_at=T0 + timedelta(hours=earlier)))
    log.write(session(1, status="failed", changed_at=T0 + timedelta(hours=later)))
    await site.append(log, 1, 1)

    await site.append(log, 2, 2)

    assert [row.status for row in await rows(site, t.sessions, SessionRow)] == [stays]


async def test_a_new_outbox_doubles_nothing(site):
    first = await site.log()
    cost = CostLine(
        record_id=new_id(T0),
        occurred_at=T0,
        agent="a",
        session=session(1).session,
        entry="e1",
        spent_at=T0,
        micro_usd=5,
    )
    first.write(session(1), run(1), checkpoint(1), cost)
    await site.append(first, 1, 4)

    second = await site.log()
    second.write(session(1), run(1), checkpoint(1), msgspec.structs.replace(cost, record_id=new_id(T0)))
    await site.append(second, 1, 4)

    for table in (t.sessions, t.runs, t.checkpoints, t.cost_entries):
        async with site.db.tenant(site.tenant_id) as tx:
            assert len((await tx._connection.execute(tx.select(table))).all()) == 1, table.name


async def test_two_visits_within_a_second_are_two_checkpoints(site):
    log = await site.log()
    log.write(checkpoint(1, created_raw="2025-12-31T00:00:01.1"), checkpoint(1, created_raw="2025-12-31T00:00:01.9"))

    await site.append(log, 1, 2)

    async with site.db.tenant(site.tenant_id) as tx:
        assert len((await tx._connection.execute(tx.select(t.checkpoints))).all()) == 2


async def test_two_tenants_with_the_same_names_stay_apart(joined):
    mine, theirs = await joined(), await joined()
    for site in (mine, theirs):
        log = await site.log()
        log.write(session(1))
        await site.append(log, 1, 1)

    assert await held(mine) == await held(theirs) == [session(1).session]


@given(st.lists(st.tuples(st.integers(1, 12), st.integers(1, 6)), max_size=10))
async def test_the_prefix_survives_duplication_reordering_and_loss(joined, sent):
    site = await joined()
    log = await site.log()
    log.write(*map(session, range(1, 20)))
    expected = 1
    for first, count in sent:
        try:
            kept = await site.append(log, first, first + count - 1)
        except refusals.Gap as gap:
            assert first > expected == gap.expected
            continue
        expected = max(expected, first + count)
        assert (kept.acked, kept.head) == (expected - 1, log.head(expected - 1))

    assert await held(site) == [session(n).session for n in range(1, expected)]
