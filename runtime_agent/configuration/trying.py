"""Configuration as this runtime has it: what is new is tried, and taken back by itself where it does not do.

One that is fetched stands on the disk beside the last good one before anything of it counts. It has proved itself when
a while has passed, everything was looked at and the control plane has been heard from; until then a bug takes it back,
and so do a few starts of the program that did not end as they should: whatever killed it, this came last.
"""

import logging
import re
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final
from uuid import UUID

import msgspec
from msgspec.structs import replace

from runtime_agent import redact
from runtime_agent.configuration import files, kept
from runtime_agent.configuration.kept import Kept, Refused
from runtime_agent.wire.config import MOST_DRIFTED, Desired, Document, Effective, Standing, Status

MOST_STARTS: Final = 3
"""Starts of the program with a candidate that did not live to prove itself."""

logger = logging.getLogger(__name__)


class Unfit(Exception):
    """It cannot be what this runtime is like."""


class Trial:
    """Of one home. Used by one process at a time, from its event loop."""

    def __init__(self, home: Path, take: Callable[[Document], None], monotonic: Callable[[], float]) -> None:
        """
        Args:
            take: Makes a document count in this program; one that raises is taken back.
        """
        self._home, self._take, self._monotonic = home, take, monotonic
        self._kept = kept.load(home)
        self._document = Document()
        self._watch = files.Watch(home)
        self._since = monotonic()
        self.looked = self.heard = False
        """Since the candidate counts: everything was looked at; the control plane answered a heartbeat."""

    def start(self) -> None:
        """What the program begins with: the candidate once more, or the last good one."""
        if self._kept.candidate is None:
            self._use_good()
        elif self._kept.starts >= MOST_STARTS:
            self.refuse(f"the agent died {MOST_STARTS} times while it tried this")
        else:
            self._try(replace(self._kept, starts=self._kept.starts + 1))

    def stopped(self) -> None:
        """The program ends as it should: that says nothing about the candidate."""
        if self._kept.starts:
            self._keep(replace(self._kept, starts=0))

    def reached(self, store_id: UUID) -> int:
        return self._kept.reached(store_id)

    @property
    def trying(self) -> bool:
        return self._kept.candidate is not None

    def offer(self, desired: Desired) -> None:
        """Try this one, whose signature was checked; one that is older than what was looked at is left alone."""
        its = desired.effective
        if its.generation <= self.reached(its.store_id):
            logger.warning("config.older: generation %d was offered again", its.generation)
            return
        logger.info("config.tried: generation %d", its.generation)
        self._try(Kept(good=self._kept.good, candidate=desired, starts=1, refused=self._kept.refused))

    def prove(self, after_s: float) -> bool:
        """Whether the candidate has just become the good one.

        Args:
            after_s: How long it has to have counted.
        """
        candidate = self._kept.candidate
        if candidate is None or not (self.looked and self.heard) or self._monotonic() - self._since < after_s:
            return False
        if not self._keep(Kept(good=candidate)):
            return False
        logger.info("config.applied: generation %d", candidate.effective.generation)
        return True

    def refuse(self, error: str) -> None:
        """Take the candidate back, and remember why. Without one nothing happens."""
        candidate = self._kept.candidate
        if candidate is None:
            return
        its = candidate.effective
        refused = Refused(generation=its.generation, store_id=its.store_id, error=redact.line(error))
        with suppress(Unfit):
            said = understood(its)
            refused = replace(refused, redaction=said.redaction, content=said.content)
        logger.warning("config.failed: generation %d: %s", its.generation, error)
        wanted = Kept(good=self._kept.good, refused=refused)
        if not self._keep(wanted):
            self._kept = wanted
        self._use_good()

    def standing(self) -> Standing:
        """As the next heartbeat says it."""
        force, refused = self._kept.in_force, self._kept.refused
        status: Status = "failed" if refused else "applied" if force else "none"
        if self._kept.candidate:
            status = "applying"
        applied = self._kept.good.effective if self._kept.good else None
        newest = max([each.generation for each in (force, refused) if each and self._same(each)], default=0)
        drift = self._watch.drift(self._document)[:MOST_DRIFTED] if force else []
        return Standing(
            status=status,
            generation=newest,
            applied=applied.generation if applied else 0,
            hash=applied.hash if applied else "",
            error=refused.error if refused and status == "failed" else "",
            drift=drift,
        )

    def _same(self, each: Effective | Refused) -> bool:
        """Of the database that was heard from last."""
        last = self._kept.candidate.effective if self._kept.candidate else self._kept.refused or self._kept.in_force
        return last is not None and each.store_id == last.store_id

    def _try(self, wanted: Kept) -> None:
        """On the disk first, then for what it is."""
        if not self._keep(wanted):
            self._kept = wanted
            self.refuse("this machine's disk takes nothing more")
            return
        self._since, self.looked, self.heard = self._monotonic(), False, False
        assert wanted.candidate is not None, "there is something to try"
        try:
            self._use(wanted.candidate.effective)
        except (Unfit, OSError, re.error) as error:
            self.refuse(f"{type(error).__name__}: {error}")

    def _use_good(self) -> None:
        good = self._kept.good
        if good is None:
            self._document = Document()
            files.take_away(self._home)
            refused = self._kept.refused
            self._take(Document(redaction=refused.redaction, content=refused.content) if refused else self._document)
            return
        try:
            self._use(good.effective)
        except (Unfit, OSError) as error:  # what was written stays as it is: drift says so
            logger.warning("config.unwritten: %s", error)

    def _use(self, effective: Effective) -> None:
        document = understood(effective)
        files.lay_out(self._home, effective, document)
        self._take(document)
        self._document, self._watch = document, files.Watch(self._home)

    def _keep(self, wanted: Kept) -> bool:
        try:
            kept.save(self._home, wanted)
        except OSError as error:
            logger.warning("config.unkept: %s", error)
            return False
        self._kept = wanted
        return True


def understood(effective: Effective) -> Document:
    """
    Raises:
        Unfit: If it says what cannot be: whoever signed it, a name that leads elsewhere is none.
    """
    try:
        return msgspec.json.decode(effective.document, type=Document)
    except msgspec.MsgspecError as error:
        raise Unfit(str(error)) from None


def seen(home: Path) -> Standing:
    """How far it is with this home, for whoever only looks."""
    trial = Trial(home, lambda _: None, lambda: 0.0)
    trial._document = in_force(home)
    return trial.standing()


def in_force(home: Path) -> Document:
    """What counts with this home, for whoever only looks."""
    effective = kept.load(home).in_force
    try:
        return understood(effective) if effective else Document()
    except Unfit:
        return Document()
