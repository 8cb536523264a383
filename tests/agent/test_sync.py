"""Sending: what the agent does with each answer of the server."""

import httpx
import pytest
from zstandard import ZstdDecompressor

from runtime_agent.http import Busy, Refused
from runtime_agent.outbox import log, quarantine
from runtime_agent.outbox.lines import encode
from runtime_agent.outbox.position import position
from runtime_agent.wire.records import MAX_RECORD_BYTES
from runtime_agent.wire.sync import Limits
from tests.agent.reference import Problem, ReferenceServer
from tests.agent.rig import START, Rig, record


def kinds(server):
    return [line["kind"] for line in server.lines()]


def test_the_first_hello_brings_an_epoch_and_everything_is_sent_in_order(rig):
    made = rig.write(3)

    assert rig.settle()

    assert rig.server.applied() == made
    assert (position(rig.outbox).epoch, position(rig.outbox).acked) == (1, 3)


def test_a_batch_sent_twice_is_stored_once(rig):
    made = rig.write(3)
    rig.step()
    rig.step("lose-answer")

    assert rig.settle()

    assert rig.server.applied() == made


def test_a_restart_resumes_without_a_new_epoch(rig):
    rig.write(2)
    rig.settle()
    rig.crash()
    rig.write(1)

    assert rig.settle()

    assert (rig.server.epoch, len(rig.server.applied())) == (1, 3)


def test_after_a_rollback_of_the_disk_a_new_epoch_carries_only_what_is_missing(rig):
    first = rig.write(2)
    rig.settle()
    copy = rig.copy_disk()
    second = rig.write(2)
    rig.settle()
    rig.roll_back(copy)
    third = rig.write(1)

    assert rig.settle()

    assert rig.server.epoch == 2
    assert rig.server.applied() == first + second + third


def test_a_log_of_equal_length_and_other_content_is_found_out_by_its_head(rig):
    rig.write(2)
    rig.settle()
    copy = rig.copy_disk()
    rig.write(2)
    rig.settle()
    rig.roll_back(copy)
    rig.write(5)

    assert rig.settle()

    assert rig.server.epoch == 2
    assert len(set(rig.server.applied())) == 9


def test_records_written_while_the_server_is_asked_what_is_missing_are_carried_over(rig):
    made = rig.write(3)
    diff = rig.remote.diff

    async def and_meanwhile(ids):
        made.extend(rig.write(2))
        return await diff(ids)

    rig.remote.diff = and_meanwhile
    assert rig.settle()

    assert rig.server.applied() == made


def test_many_records_are_asked_about_in_pages(tmp_path):
    rig = Rig(tmp_path / "home", ReferenceServer(Limits(max_diff_ids=4)))
    made = rig.write(11)

    assert rig.settle()

    assert rig.network.asked.count("/v1/runtime/sync/diff") == 3
    assert rig.server.applied() == made
    rig.close()


def test_limits_of_the_server_are_kept(tmp_path):
    rig = Rig(tmp_path / "home", ReferenceServer(Limits(max_records=3, max_inflated_bytes=2_000)))
    made = rig.write(20)

    assert rig.settle()

    assert rig.server.applied() == made
    assert max(body.count(b"\n") for body in rig.server.bodies) <= 3
    rig.close()


def test_a_batch_that_compresses_badly_is_halved_before_it_is_sent(tmp_path):
    rig = Rig(tmp_path / "home", ReferenceServer(Limits(max_compressed_bytes=1_000)))
    made = rig.write(64)

    assert rig.settle()

    assert rig.server.applied() == made
    assert len(rig.server.bodies) > 1
    rig.close()


def test_too_large_for_the_server_is_halved_down_to_the_one_record_that_must_stay_here(rig):
    rig.write(8)
    rig.step()
    append = rig.server.append

    def small_only(headers, body):
        if int(headers["Sync-Count"]) > 2 or (
            headers["Sync-First"] == "5" and b"quarantine" not in ZstdDecompressor().decompress(body)
        ):
            raise Problem(413, "too-large")
        return append(headers, body)

    rig.server.append = small_only
    assert rig.settle()

    assert kinds(rig.server) == ["checkpoint"] * 4 + ["quarantine"] + ["checkpoint"] * 3


def test_a_proxy_that_takes_no_large_bodies_and_speaks_html_is_sent_smaller_ones(rig):
    made = rig.write(8)
    rig.step()
    answer = rig.server.answer

    def proxied(request):
        if int(request.headers.get("Sync-Count", 0)) > 2:
            return httpx.Response(413, html="<h1>413 Request Entity Too Large</h1>")
        return answer(request)

    rig.server.answer = proxied
    assert rig.settle()

    assert rig.server.applied() == made


@pytest.mark.parametrize(
    ("given", "wait_s"),
    [
        ("7", 7),
        ("0", 1),
        ("-3", 1),
        ("nan", 5),
        ("inf", 5),
        ("9" * 400, 5),
        ("soon", 5),
        ("", 5),
        ("86400", 3600),
        ("Sat, 21 Nov 2026 08:00:30 GMT", 30),
        ("Sat, 21 Nov 2026 07:00:00 GMT", 1),
        ("Sat, 21 Nov 2027 07:00:00 GMT", 3600),
    ],
)
def test_a_busy_server_is_left_alone_for_a_time_that_makes_sense(rig, given, wait_s):
    headers = {"Retry-After": given, "Date": "Sat, 21 Nov 2026 08:00:00 GMT"}
    rig.server.answer = lambda request: httpx.Response(503, headers=headers)

    with pytest.raises(Busy) as busy:
        rig.runner.run(rig.sync.step())

    assert busy.value.retry_after_s == wait_s


def test_a_poison_record_is_put_aside_at_its_place_and_blocks_nothing(rig):
    made = rig.write(6)
    rig.server.poison = lambda line: "record-malformed" if str(made[3]).encode() in line else None

    assert rig.settle()

    assert kinds(rig.server) == ["checkpoint"] * 3 + ["quarantine"] + ["checkpoint"] * 2
    note = rig.server.lines()[3]
    assert (note["code"], note["was_seq"], note["of_kind"]) == ("record-malformed", 4, "checkpoint")
    assert quarantine.count(rig.outbox) == 1
    assert rig.server.epoch == 1


def test_every_record_poisoned_ends_with_every_record_put_aside(rig):
    rig.write(20)
    rig.server.poison = lambda line: None if b'"kind":"quarantine"' in line else "record-unknown-kind"

    assert rig.settle(100)

    assert kinds(rig.server) == ["quarantine"] * 20


def test_a_server_that_refuses_even_the_note_is_not_tried_for_ever(rig):
    rig.write(2)
    rig.server.poison = lambda line: "record-malformed"
    rig.step()
    rig.step()

    with pytest.raises(Refused):
        rig.runner.run(rig.sync.step())

    assert quarantine.count(rig.outbox) == 1


def test_a_record_as_long_as_allowed_is_sent(rig):
    empty = len(encode(record(0, node="")))
    long = record(1, node="x" * (MAX_RECORD_BYTES - empty))
    assert len(encode(long)) == MAX_RECORD_BYTES
    log.append(rig.outbox, [long], START)

    assert rig.settle()

    assert kinds(rig.server) == ["checkpoint"]


def test_a_gap_is_filled_from_where_the_server_says(rig):
    rig.write(4)
    rig.settle()
    made = rig.write(1)
    rig.server.logs[1] = rig.server.logs[1][:2]  # a server that forgot, and does not know it

    assert rig.settle()

    assert len(rig.server.applied()) == 5
    assert rig.server.applied()[-1:] == made
    assert rig.server.epoch == 1


def test_what_the_server_refuses_for_good_changes_nothing_here(rig):
    rig.write(2)
    rig.settle()
    rig.write(1)
    rig.server.refuse = Problem(403, "revoked")

    with pytest.raises(Refused) as refused:
        rig.runner.run(rig.sync.step())

    assert refused.value.problem.code == "revoked"
    assert log.backlog(rig.outbox).records == 1
    rig.server.refuse = None
    assert rig.settle()


def test_lines_are_sent_byte_for_byte_as_they_were_written(rig):
    rig.write(3)
    written = [row[0] for row in rig.outbox.rows("SELECT line FROM log ORDER BY seq")]

    rig.settle()

    assert rig.server.bodies == [b"".join(line + b"\n" for line in written)]
    assert rig.server.logs[1] == written


def test_what_an_older_epoch_left_behind_is_sent_again_to_a_server_that_was_restored(rig):
    rig.step()
    rig.server.back_up()
    made = rig.write(3)
    rig.settle()
    rig.sync._diverged = True
    rig.sync.doubt()
    made += rig.write(1)
    rig.settle()
    assert position(rig.outbox).epoch == 2

    rig.server.restore()
    made += rig.write(1)
    assert rig.settle()

    assert sorted(rig.server.applied()) == sorted(made)


def test_a_late_message_of_a_history_that_was_rolled_back_gets_no_other_record_acknowledged(rig):
    rig.step()
    copy = rig.copy_disk()
    rig.write(1)
    rig.step("delay")
    rig.roll_back(copy)
    rig.step()
    made = rig.write(1)

    rig.network.deliver_late(0)
    assert rig.settle()

    assert set(made) < set(rig.server.applied())
    assert len(rig.server.applied()) == 2
