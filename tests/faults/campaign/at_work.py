"""A runtime at work when a schedule says so: the same seed has the same happen in its home, at the same distances."""

from datetime import UTC, datetime, timedelta

from controlplane.demo.recorder import Recorder
from tests.faults.writer import Story, Writer

TICK = timedelta(seconds=0.31)
BEFORE = timedelta(minutes=3)

AT_ONCE = 2
"""Sessions under way."""


class Clock:
    """Goes on by the same whenever somebody looks, and never comes up with time: nothing is written in the future."""

    def __init__(self):
        self._now = datetime.now(UTC).replace(microsecond=0) - BEFORE

    def __call__(self):
        self._now += TICK
        return self._now


class Brisk(Story):
    """Its files are whole whenever somebody looks: nobody does while it writes."""

    recorder = Recorder


class Runtime(Writer):
    story = Brisk

    def __init__(self, folder, dice):
        super().__init__(folder, dice, Clock())

    def write(self, steps):
        for _ in range(steps):
            if len(self._moving) < AT_ONCE:
                self._begin()
            self._step()
