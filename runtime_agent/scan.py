"""What changed in a source since last time, and the records that say so."""

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from itertools import islice
from typing import TypeVar

from msgspec import Struct

from runtime_agent.clock import Clock
from runtime_agent.outbox import DiskFull, Outbox, cursor, log
from runtime_agent.outbox.cursor import Found
from runtime_agent.outbox.lines import new_record_id
from runtime_agent.sources import Source, Unit
from runtime_agent.touched import Touched
from runtime_agent.wire.records import Gap

LOOKED_AT = 500
"""Units whose fingerprints are compared in one go."""

READ = 40
RECORDS = 400
"""Units read, or records found, before they are written in one transaction: memory stays bounded."""

MOST_UNKEPT = 10_000

Item = TypeVar("Item")


class Outcome(Struct, kw_only=True):
    """What a scan did."""

    looked_at: int = 0
    read: int = 0
    records: int = 0
    vanished: int = 0
    seconds: float = 0.0


class Stopped(Exception):
    """The program is asked to end; what was read so far is kept."""


class Scanner:
    """One source and the outbox that remembers it. Used by one thread at a time."""

    def __init__(self, outbox: Outbox, source: Source, clock: Clock, touched: Touched) -> None:
        self.source = source
        self.stop = threading.Event()
        """Set by another thread to end the scan soon."""
        self.touched = touched
        self._outbox = outbox
        self._clock = clock
        self._looked_at: datetime | None = None
        """When this process last began a look at everything that it finished."""
        self._unkept: dict[str, datetime] = {}
        """Units that could not be written for want of space, and when they were first read."""

    def everything(self, between: Callable[[Outcome], None] = lambda outcome: None) -> Outcome:
        """Look at every unit, read those that changed, and take note of those that vanished.

        Args:
            between: Called now and then with what was done so far.

        Raises:
            OSError: The home cannot be listed; nothing is concluded about what is not seen.
            DiskFull: What is not kept is found again next time.
            Stopped: On request.
        """
        began, began_at, outcome = time.monotonic(), self._clock(), Outcome()
        cursor.forget_present(self._outbox, self.source.kind)
        for units in _chunks(self.source.discover(), LOOKED_AT):
            outcome.looked_at += len(units)
            cursor.note_present(self._outbox, self.source.kind, units)
            for chunk in _chunks(self._changed(units), READ):
                self._read(chunk, outcome, self._looked_at)
                between(outcome)
            between(outcome)
        self._bury(outcome)
        self._confess(outcome)
        self._looked_at = began_at
        outcome.seconds = time.monotonic() - began
        return outcome

    def some(self, keys: Iterable[str]) -> Outcome:
        """Look at these units, whose files were just seen to change, and read those that did.

        Raises:
            DiskFull, Stopped: As :meth:`everything`.
        """
        outcome = Outcome()
        units = []
        for key in keys:
            fingerprint = self.source.fingerprint(key)
            if fingerprint is None:  # to be counted as gone by a look at everything
                continue
            units.append(Unit(key, fingerprint, ""))
        outcome.looked_at = len(units)
        for chunk in _chunks(self._changed(units), READ):
            self._read(chunk, outcome, self._clock())
        return outcome

    def overdue(self) -> Outcome:
        """Read the units whose time has come, whatever their files look like.

        Raises:
            DiskFull, Stopped: As :meth:`everything`.
        """
        outcome = Outcome()
        keys = cursor.due(self._outbox, self.source.kind, self._clock(), READ)
        units = [Unit(key, self.source.fingerprint(key) or b"", "") for key in keys]
        outcome.looked_at = len(units)
        self._read([unit for unit in units if unit.fingerprint], outcome, self._looked_at)
        if gone := [unit.key for unit in units if not unit.fingerprint]:
            outcome.records += cursor.bury(self._outbox, self.source.kind, gone, self._clock())
            outcome.vanished += len(gone)
        return outcome

    def _changed(self, units: list[Unit]) -> Iterator[Unit]:
        return cursor.changed(self._outbox, self.source.kind, units, self._clock())

    def _read(self, units: list[Unit], outcome: Outcome, looked_at: datetime | None) -> None:
        found: list[Found] = []
        records = 0
        for unit in units:
            if self.stop.is_set():
                break
            began = time.monotonic()
            remembered = cursor.seen(self._outbox, self.source.kind, unit.key)
            try:
                reading = self.source.read(unit.key, now=self._clock(), seen=remembered, looked_at=looked_at)
            except FileNotFoundError:
                continue
            now = time.monotonic()
            self.touched.took(unit.key, now - began, now)
            found.append(Found(key=unit.key, fingerprint=unit.fingerprint, reading=reading))
            records += len(reading.records)
            if records >= RECORDS:
                self._keep(found, outcome)
                found, records = [], 0
        self._keep(found, outcome)
        if self.stop.is_set():
            raise Stopped

    def _keep(self, found: list[Found], outcome: Outcome) -> None:
        if not found:
            return
        try:
            outcome.records += cursor.keep(self._outbox, self.source.kind, found, self._clock())
        except DiskFull:
            now = self._clock()
            for unit in found[: MOST_UNKEPT - len(self._unkept)]:
                self._unkept.setdefault(unit.key, now)
            raise
        outcome.read += len(found)

    def _bury(self, outcome: Outcome) -> None:
        """Units that were there once and are not any more; what ran there is lost."""
        while keys := cursor.absent(self._outbox, self.source.kind, READ):
            gone = [key for key in keys if self.source.fingerprint(key) is None]
            back = [Unit(key, b"", "") for key in keys if key not in set(gone)]
            cursor.note_present(self._outbox, self.source.kind, back)
            outcome.records += cursor.bury(self._outbox, self.source.kind, gone, self._clock())
            outcome.vanished += len(gone)

    def _confess(self, outcome: Outcome) -> None:
        """Say how many units were seen, could not be kept, and are gone now that they could be."""
        if not self._unkept:
            return
        lost = {key: at for key, at in self._unkept.items() if self.source.fingerprint(key) is None}
        if lost:
            now = self._clock()
            gap = Gap(
                record_id=new_record_id(now),
                occurred_at=now,
                reason="disk-full",
                count=len(lost),
                first_at=min(lost.values()),
                last_at=max(lost.values()),
                detail=f"{len(lost)} sessions vanished while this machine's disk was full",
            )
            log.append(self._outbox, [gap], now)
            outcome.records += 1
        self._unkept.clear()


def _chunks(items: Iterable[Item], size: int) -> Iterator[list[Item]]:
    rest = iter(items)
    while chunk := list(islice(rest, size)):
        yield chunk
