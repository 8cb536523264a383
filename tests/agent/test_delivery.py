"""The protocol's promise, checked over random faults: S1, L0, L1 and L1b of the model, on the real outbox and sync."""

import shutil
import sys
import tempfile
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from runtime_agent import heartbeat
from runtime_agent.http import Unreachable
from runtime_agent.outbox.position import position
from tests.agent.rig import Rig, record

FATES = st.sampled_from(["deliver", "deliver", "lose", "lose-answer", "delay", "twice"])


class PowerCut(BaseException):
    """The process ends in the middle of a line."""


class Cut:
    """Raises :class:`PowerCut` before the nth line of the agent's own code from here on."""

    def __init__(self, after_lines: int) -> None:
        self._left = after_lines

    def __enter__(self):
        self._before = sys.gettrace()
        sys.settrace(self._trace)
        return self

    def __exit__(self, kind, *_):
        sys.settrace(self._before)
        return kind is PowerCut

    def _trace(self, frame, event, _):
        if "/runtime_agent/" not in frame.f_code.co_filename:
            return None
        if event == "line":
            self._left -= 1
            if self._left == 0:
                raise PowerCut
        return self._trace


class Delivery(RuleBasedStateMachine):
    @initialize()
    def start(self):
        self.root = Path(tempfile.mkdtemp(prefix="delivery-"))
        self.rig = Rig(self.root / "home")
        self.lineage = set()
        self.snapshot = None
        self.excused = set()
        self.acked_ever = set()
        self.restores = 0

    def teardown(self):
        if not hasattr(self, "rig"):
            return
        try:
            self.rig.network.late.clear()
            self.check_at_rest()
        finally:
            self.rig.close()
            shutil.rmtree(self.root)

    def check_at_rest(self):
        rig = self.rig
        for _ in range(6):
            assert rig.settle(), "L0: it never comes to rest"
            self.note()
            self.beat("deliver")
            if rig.sync.store_id is not None:
                break
        else:
            raise AssertionError("L0: heartbeat and hello do not agree")
        applied = rig.server.applied()
        assert len(applied) == len(set(applied)), "S1: applied twice"
        assert self.lineage <= set(applied), "L1: a record that was committed is not there"
        if not self.restores:
            assert self.excused & self.acked_ever <= set(applied), "L1b: an acknowledged record is gone"

    @invariant()
    def nothing_is_applied_twice(self):
        if hasattr(self, "rig"):
            applied = self.rig.server.applied()
            assert len(applied) == len(set(applied))

    def note(self):
        self.acked_ever |= self.rig.acknowledged()

    @rule(count=st.integers(1, 4))
    def commit(self, count):
        self.lineage |= set(self.rig.write(count))

    @rule(fate=FATES)
    def call(self, fate):
        self.rig.step(fate)
        self.note()

    @rule(fate=FATES)
    def beat(self, fate):
        rig = self.rig
        store_id = rig.sync.store_id
        message, before = heartbeat.compose(
            rig.outbox, rig.sync, rig.clock(), interval_s=30, sources=["engine"], troubles=[]
        )
        rig.network.fate = fate
        try:
            pulse = rig.runner.run(rig.remote.heartbeat(message))
        except Unreachable:
            return
        finally:
            rig.network.fate = "deliver"
        rig.sync.durable = pulse.durable
        if not heartbeat.fits(rig.outbox, before, store_id, pulse):
            rig.sync.doubt()

    @precondition(lambda self: self.rig.network.late)
    @rule(index=st.integers(0, 5))
    def something_late_arrives(self, index):
        self.rig.network.deliver_late(index)

    @rule()
    def prune(self):
        self.rig.sync.prune()

    @rule()
    def the_agent_crashes(self):
        self.rig.crash()

    @rule(lines=st.integers(1, 400), fate=FATES)
    def the_agent_crashes_at_some_line_of_a_call(self, lines, fate):
        with Cut(lines):
            self.rig.step(fate)
        self.rig.crash()
        self.note()

    @rule(lines=st.integers(1, 60))
    def the_agent_crashes_at_some_line_of_a_commit(self, lines):
        before = self.rig.held()
        with Cut(lines):
            self.rig.write(2)
        self.rig.crash()
        committed = self.rig.held() - before
        assert len(committed) in {0, 2}
        self.lineage |= committed

    @rule(lines=st.integers(1, 80))
    def the_agent_crashes_at_some_line_of_pruning(self, lines):
        with Cut(lines):
            self.rig.sync.prune()
        self.rig.crash()

    @rule()
    def the_disk_is_copied(self):
        self.snapshot = (self.rig.copy_disk(), set(self.lineage))

    @precondition(lambda self: self.snapshot is not None)
    @rule()
    def the_disk_is_rolled_back(self):
        copy, lineage = self.snapshot
        self.excused |= self.lineage - lineage
        self.lineage = set(lineage)
        self.rig.roll_back(copy)

    @rule()
    def the_server_is_backed_up(self):
        self.rig.server.back_up()

    @precondition(lambda self: self.rig.server.backed_up)
    @rule()
    def the_server_is_restored_from_its_latest_backup(self):
        self.rig.server.restore()
        self.restores += 1


TestDelivery = Delivery.TestCase
TestDelivery.settings = settings(
    max_examples=60, stateful_step_count=30, deadline=None, suppress_health_check=list(HealthCheck)
)


def test_the_trace_that_lost_a_record_in_an_earlier_draft(rig):
    """commit hello send backup srv rcv restore: the record was acknowledged, the backup was older."""
    made = rig.write(1)
    rig.server.back_up()
    assert rig.settle()
    assert rig.server.applied() == made

    rig.server.restore()
    rig.write(1)
    assert rig.settle()

    assert set(made) < set(rig.server.applied())
    assert position(rig.outbox).acked == 2
    assert record(1).checkpoint == "cp_node_start_1"
