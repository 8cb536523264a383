"""The heartbeat: what it says, and what its answer gives away."""

import msgspec
import pytest

from runtime_agent import heartbeat
from runtime_agent.wire.heartbeat import Pulse, Trouble
from tests.agent.reference import NOW_MS


def composed(rig, **other):
    return heartbeat.compose(
        rig.outbox, rig.sync, rig.clock(), **{"interval_s": 30, "sources": ["engine"], "troubles": [], **other}
    )


def pulse(rig):
    return msgspec.convert(msgspec.to_builtins(rig.server.heartbeat(composed(rig)[0])), Pulse)


@pytest.fixture
def sent(rig):
    rig.write(3)
    assert rig.settle()
    return rig


def test_it_says_where_the_log_stands_and_what_waits(sent):
    sent.write(2)
    sent.clock.forward(seconds=90)

    said, _ = composed(sent, troubles=[Trouble(code="home-missing", line="gone")])

    assert (said.epoch, said.last_seq, said.acked) == (1, 5, 3)
    assert (said.backlog.records, said.backlog.oldest_age_s) == (2, 90)
    assert said.wall_ms == NOW_MS + 90_000
    assert said.troubles[0].code == "home-missing"
    assert said.disk_free_bytes > 0


def test_a_cursor_that_is_ours_fits(sent):
    _, before = composed(sent)

    assert heartbeat.fits(sent.outbox, before, sent.sync.store_id, pulse(sent))


def test_what_was_acknowledged_while_the_heartbeat_was_on_its_way_fits(sent):
    _, before = composed(sent)
    early = pulse(sent)
    sent.write(2)
    sent.settle()

    assert heartbeat.fits(sent.outbox, before, sent.sync.store_id, early)
    assert heartbeat.fits(sent.outbox, before, sent.sync.store_id, pulse(sent))


def test_a_restored_server_does_not_fit(sent):
    sent.server.back_up()
    sent.write(1)
    sent.settle()
    sent.server.restore()
    _, before = composed(sent)

    assert not heartbeat.fits(sent.outbox, before, sent.sync.store_id, pulse(sent))


def test_a_server_that_forgot_something_without_knowing_it_does_not_fit(sent):
    _, before = composed(sent)
    sent.server.logs[1] = sent.server.logs[1][:2]

    assert not heartbeat.fits(sent.outbox, before, sent.sync.store_id, pulse(sent))


def test_another_history_of_the_same_length_does_not_fit(sent):
    _, before = composed(sent)
    sent.server.logs[1] = [*sent.server.logs[1][:2], b"{}"]

    assert not heartbeat.fits(sent.outbox, before, sent.sync.store_id, pulse(sent))


def test_while_a_hello_is_due_nothing_is_judged(sent):
    _, before = composed(sent)
    sent.server.logs[1] = []

    assert heartbeat.fits(sent.outbox, before, None, pulse(sent))
