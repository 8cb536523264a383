"""The protocol's promise, checked over random faults: S1, L0, L1 and L1b of the model, on the real outbox and sync."""

import os
import sys
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from runtime_agent import heartbeat
from runtime_agent.http import Unreachable
from runtime_agent.outbox.position import position
from tests.agent.rig import Rig

pytestmark = [
    pytest.mark.filterwarnings("ignore:unclosed file"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]
"""A process that ends between two lines closes nothing; here it is only pretended to end."""


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


class History:
    """One agent and one server through a list of things that happen, with the books that the model keeps."""

    def __init__(self, folder: Path) -> None:
        self.rig = Rig(folder)
        self.lineage = set()
        """What was committed on this disk, as far as this disk knows."""
        self.snapshot = None
        self.excused = set()
        self.acked_ever = set()
        self.restores = 0

    def happens(self, label: str, number: int) -> None:
        what, _, how = label.partition(" ")
        getattr(self, f"on_{what}")(how, number)
        self.acked_ever |= self.rig.acknowledged()
        applied = self.rig.server.applied()
        assert len(applied) == len(set(applied)), "S1: applied twice"

    def on_commit(self, _, number):
        self.lineage |= set(self.rig.write(1 + number % 3))

    def on_call(self, fate, _):
        self.rig.step(fate)

    def on_beat(self, fate, _):
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

    def on_late(self, _, number):
        self.rig.network.deliver_late(number)

    def on_prune(self, *_):
        self.rig.sync.prune()

    def on_crash(self, *_):
        self.rig.crash()

    def on_cut(self, what, number):
        """The agent crashes at some line of its own code."""
        before = self.rig.held()
        with Cut(1 + number):
            if what == "commit":
                self.rig.write(2)
            elif what == "prune":
                self.rig.sync.prune()
            else:
                self.rig.step("deliver")
        self.rig.crash()
        if what == "commit":
            committed = self.rig.held() - before
            assert len(committed) in {0, 2}, "half a transaction"
            self.lineage |= committed

    def on_snapshot(self, *_):
        self.snapshot = (self.rig.copy_disk(), set(self.lineage))

    def on_rollback(self, *_):
        if self.snapshot is not None:
            copy, lineage = self.snapshot
            self.excused |= self.lineage - lineage
            self.lineage = set(lineage)
            self.rig.roll_back(copy)

    def on_backup(self, *_):
        self.rig.server.back_up()

    def on_restore(self, *_):
        if self.rig.server.backed_up:
            self.rig.server.restore()
            self.restores += 1

    def comes_to_rest(self) -> None:
        """Without further faults."""
        rig = self.rig
        rig.network.late.clear()
        for _ in range(6):
            assert rig.settle(), "L0: it never comes to rest"
            self.acked_ever |= rig.acknowledged()
            self.on_beat("deliver", 0)
            if rig.sync.store_id is not None:
                break
        else:
            raise AssertionError("L0: heartbeat and hello do not agree")
        applied = rig.server.applied()
        assert len(applied) == len(set(applied)), "S1: applied twice"
        assert self.lineage <= set(applied), "L1: a record that was committed is not there"
        if not self.restores:
            assert self.excused & self.acked_ever <= set(applied), "L1b: an acknowledged record is gone"


MEMORY = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
"""The process is only pretended to end, so the disk's own promise (fsync) is not what is tested here."""

USUAL = ["commit"] * 4 + ["call deliver"] * 6 + ["beat deliver"]
NETWORK = ["call lose", "call lose-answer", "call delay", "call twice", "late", "late", "beat lose"]
DISASTERS = [
    "crash",
    "cut commit",
    "cut call",
    "cut call",
    "cut prune",
    "prune",
    "snapshot",
    "rollback",
    "backup",
    "restore",
]
HAPPENINGS = st.tuples(st.sampled_from(USUAL + NETWORK + DISASTERS), st.integers(0, 400))


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(HAPPENINGS, min_size=40, max_size=80))
def test_whatever_happens_every_record_is_applied_once(happenings):
    with tempfile.TemporaryDirectory(prefix="delivery-", dir=MEMORY) as folder:
        history = History(Path(folder) / "home")
        try:
            for label, number in happenings:
                history.happens(label, number)
            history.comes_to_rest()
        finally:
            history.rig.close()


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
