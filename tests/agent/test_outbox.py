"""The outbox: what is in it after a crash, on a full disk, in a damaged file; what it forgets, and when."""

import os
import sqlite3
from contextlib import closing
from datetime import timedelta
from uuid import UUID

import msgspec
import pytest

from runtime_agent.outbox import DiskFull, OutboxDamaged, log, open_outbox, pruning, quarantine
from runtime_agent.outbox.file import NewerOutbox, Outbox
from runtime_agent.outbox.position import position
from runtime_agent.wire import chain
from runtime_agent.wire.records import MAX_RECORD_BYTES, AnyRecord, Quarantine
from runtime_agent.wire.sync import Durable
from tests.agent.reference import RUNTIME
from tests.agent.rig import START, Rig, record

OTHER = UUID("01980000-0000-7000-8000-000000000002")


def lines(outbox):
    return [row[0] for row in outbox.rows("SELECT line FROM log ORDER BY epoch, seq")]


def full(outbox):
    """No page more than the file has now."""
    (pages,) = outbox.row("PRAGMA page_count")
    outbox.rows(f"PRAGMA max_page_count={pages}")


def space_again(outbox):
    outbox.rows("PRAGMA max_page_count=1073741823")


def test_the_head_is_the_chain_over_the_lines_as_they_are_sent(rig):
    rig.write(3)

    where = position(rig.outbox)

    assert where.head == chain.extend(chain.origin(RUNTIME, 0), lines(rig.outbox))
    assert (where.epoch, where.last_seq, where.acked) == (0, 3, 0)


def test_a_batch_starts_after_what_is_acknowledged_and_carries_the_head_before_it(rig):
    rig.write(5)
    rig.settle()
    rig.write(3)

    batch = log.next_batch(rig.outbox, 2, 1 << 20)

    assert (batch.first, len(batch.lines)) == (6, 2)
    assert batch.prev == rig.server.head()


def test_a_batch_has_at_least_one_line_and_otherwise_keeps_to_the_bytes_allowed(rig):
    rig.write(5)
    one = len(lines(rig.outbox)[0]) + 1

    assert len(log.next_batch(rig.outbox, 500, 1).lines) == 1
    assert len(log.next_batch(rig.outbox, 500, 3 * one).lines) == 3


def test_the_backlog_counts_what_is_not_acknowledged(rig):
    rig.write(4)
    rig.settle()
    rig.clock.forward(seconds=5)
    rig.write(2)

    waiting = log.backlog(rig.outbox)

    assert waiting.records == 2
    assert waiting.bytes == sum(map(len, lines(rig.outbox)[4:]))
    assert waiting.oldest_ms == round((START + timedelta(seconds=5)).timestamp() * 1000)


def test_an_acknowledgement_of_another_history_is_not_noted(rig):
    rig.write(2)

    assert not log.acknowledge(rig.outbox, 0, 1, "ab" * 32, START)
    assert not log.acknowledge(rig.outbox, 7, 0, chain.origin(RUNTIME, 0).hex(), START)
    assert position(rig.outbox).acked == 0


def test_a_full_disk_leaves_nothing_half_written_and_takes_the_same_again_later(rig):
    rig.write(1)
    before = position(rig.outbox)
    full(rig.outbox)

    with pytest.raises(DiskFull):
        rig.write(5_000)

    assert position(rig.outbox) == before
    assert len(lines(rig.outbox)) == 1
    space_again(rig.outbox)
    rig.write(5_000)
    assert position(rig.outbox).last_seq == 5_001


def test_a_record_over_the_limit_stays_here_and_a_note_takes_its_place(rig):
    large = msgspec.structs.replace(record(0), node="x" * MAX_RECORD_BYTES)
    log.append(rig.outbox, [record(1), large, record(2)], START)

    written = [msgspec.json.decode(line, type=AnyRecord) for line in lines(rig.outbox)]

    note = written[1]
    assert isinstance(note, Quarantine)
    assert (note.code, note.of_kind) == ("record-too-large", "checkpoint")
    assert note.bytes > MAX_RECORD_BYTES
    assert quarantine.count(rig.outbox) == 1
    assert position(rig.outbox).last_seq == 3


def test_a_refused_record_makes_way_at_its_own_place_and_the_chain_is_made_anew(rig):
    ids = rig.write(4)
    raw = lines(rig.outbox)[1]

    assert quarantine.replace(rig.outbox, 0, 2, quarantine.Reason("record-malformed", "why", 2), START)

    after = lines(rig.outbox)
    assert position(rig.outbox).head == chain.extend(chain.origin(RUNTIME, 0), after)
    assert len(after) == 4
    assert rig.outbox.rows("SELECT record_id, line FROM quarantine") == [(ids[1].bytes, raw)]
    assert log.backlog(rig.outbox).bytes == sum(map(len, after))
    assert not quarantine.replace(rig.outbox, 0, 2, quarantine.Reason("record-malformed"), START)


def test_a_damaged_file_is_moved_aside_and_a_fresh_one_begun(rig, caplog):
    rig.write(1)
    rig.outbox.close()
    rig.path.write_bytes(b"not a database, by any means" * 100)

    with closing(open_outbox(rig.path, RUNTIME)) as outbox:
        assert position(outbox).last_seq == 0

    assert (rig.folder / "outbox.damaged").exists()
    assert "a fresh one begins" in caplog.text


def test_damage_inside_the_file_is_named_and_not_taken_for_a_bug(rig):
    rig.write(2_000)
    rig.outbox.close()
    size = rig.path.stat().st_size
    with rig.path.open("r+b") as file:
        file.seek(size // 2 // 4096 * 4096)
        file.write(os.urandom(size // 4))

    with closing(Outbox(rig.path, RUNTIME)) as outbox, pytest.raises(OutboxDamaged):
        lines(outbox)


def test_the_outbox_of_another_runtime_is_moved_aside(rig):
    rig.write(1)
    rig.outbox.close()

    with closing(open_outbox(rig.path, OTHER)) as outbox:
        assert position(outbox).head == chain.origin(OTHER, 0)


def test_the_outbox_of_a_newer_version_is_refused_and_left_alone(rig):
    rig.outbox.close()
    with closing(sqlite3.connect(rig.path)) as db:
        db.execute("PRAGMA user_version=99")

    with pytest.raises(NewerOutbox):
        open_outbox(rig.path, RUNTIME)

    assert rig.path.exists()


def test_deleting_the_file_alone_leaves_no_trace_of_its_log(rig):
    rig.write(3)
    copy = rig.copy_disk()
    rig.outbox.close()
    for name in ("outbox.db-wal", "outbox.db-shm"):
        if (copy / name).exists():
            (rig.folder / name).write_bytes((copy / name).read_bytes())
    rig.path.unlink()

    with closing(open_outbox(rig.path, RUNTIME)) as outbox:
        assert position(outbox).last_seq == 0
        outbox.rows("PRAGMA integrity_check")


def test_the_file_is_closed_to_other_accounts(rig):
    rig.write(1)

    modes = {path.name: path.stat().st_mode & 0o777 for path in rig.folder.glob("outbox.db*")}

    assert set(modes.values()) == {0o600}


class TestPruning:
    """What is forgotten."""

    def keep(self, rig: Rig, *, days: float = 7, size: int = 1 << 30) -> int:
        return pruning.by_window(rig.outbox, rig.clock(), timedelta(days=days), size)

    def test_a_backup_covers_up_to_its_mark_and_not_beyond_what_is_acknowledged(self, rig):
        rig.write(3)
        rig.settle()
        rig.server.back_up()
        rig.write(2)
        rig.settle()

        assert pruning.by_mark(rig.outbox, rig.server.durable) == 3

        where = position(rig.outbox)
        assert (where.pruned, where.first_retained, where.last_seq) == (3, 4, 5)
        assert where.pruned_head.hex() == rig.server.durable.head

    def test_a_mark_of_another_history_covers_nothing(self, rig):
        rig.write(3)
        rig.settle()

        assert pruning.by_mark(rig.outbox, Durable(epoch=1, seq=3, head="ab" * 32)) == 0
        assert pruning.by_mark(rig.outbox, Durable(epoch=9, seq=3, head=rig.server.head().hex())) == 0

    def test_leftovers_go_when_a_later_mark_covers_the_whole_log(self, rig):
        rig.write(2)
        rig.settle()
        rig.sync._diverged = True
        rig.sync.doubt()
        rig.settle()
        rig.write(1)
        rig.settle()
        assert position(rig.outbox).epoch == 2
        assert len(lines(rig.outbox)) == 3

        rig.server.back_up()
        pruning.by_mark(rig.outbox, rig.server.durable)

        assert lines(rig.outbox) == []

    def test_without_backups_records_stay_a_week_after_their_acknowledgement(self, rig):
        rig.write(2)
        rig.clock.forward(days=30)
        rig.settle()
        rig.clock.forward(days=6)
        rig.write(1)
        rig.settle()
        assert self.keep(rig) == 0

        rig.clock.forward(days=1)

        assert self.keep(rig) == 2
        assert position(rig.outbox).first_retained == 3

    def test_without_backups_the_oldest_go_when_there_are_too_many(self, rig):
        rig.write(100)
        rig.settle()
        size = sum(map(len, lines(rig.outbox)))

        assert self.keep(rig, size=size // 2) in {49, 50}
        assert self.keep(rig, size=size // 2) == 0

    def test_what_is_not_acknowledged_never_goes(self, rig):
        rig.step()
        rig.write(50)
        rig.clock.forward(days=400)

        assert self.keep(rig, size=1) == 0
        assert len(lines(rig.outbox)) == 50

    def test_leftovers_go_with_the_window_too(self, rig):
        rig.write(5)
        rig.settle()
        rig.sync._diverged = True
        rig.sync.doubt()
        rig.settle()
        assert position(rig.outbox).last_seq == 0
        assert self.keep(rig) == 0

        rig.clock.forward(days=8)

        assert self.keep(rig) == 5

    def test_once_a_mark_was_announced_marks_decide(self, rig):
        rig.write(3)
        rig.settle()
        rig.server.back_up()
        pruning.by_mark(rig.outbox, Durable(epoch=1, seq=0, head=chain.origin(RUNTIME, 1).hex()))
        rig.clock.forward(days=400)

        assert self.keep(rig, size=1) == 0

    def test_the_log_goes_on_where_it_was_after_all_of_it_is_forgotten(self, rig):
        rig.write(3)
        rig.settle()
        rig.clock.forward(days=8)
        assert self.keep(rig) == 3
        pruning.shrink(rig.outbox)
        rig.crash()

        made = rig.write(1)
        assert rig.settle()

        assert rig.server.applied()[-1:] == made
        assert rig.server.epoch == 1
