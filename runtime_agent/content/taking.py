"""From the source's files into the outbox: what checkpoints hold, as far as it may leave."""

import logging
import time
from datetime import datetime
from hashlib import sha256
from typing import NamedTuple

import msgspec

from runtime_agent.clock import Clock
from runtime_agent.content.cutting import cut
from runtime_agent.content.sealing import KEY, SUITE, Envelope, Form, Plain, Sealed, fresh
from runtime_agent.identity import decoded, encoded
from runtime_agent.outbox import Outbox, contents, cursor
from runtime_agent.outbox.lines import new_record_id
from runtime_agent.settings import Settings
from runtime_agent.sources import Source
from runtime_agent.wire.content import POLICIES, Chunk, Content, ContentPolicy
from runtime_agent.wire.leases import kid_of
from runtime_agent.wire.records import CheckpointSeen

SHARE = 0.01
"""The part of a core that looking for checkpoints that nobody looked at may take."""

logger = logging.getLogger(__name__)


class Allowed(NamedTuple):
    """What may leave: the lesser of what the project wants and what is allowed here."""

    policy: str
    key: bytes = b""
    """The tenant's, where it is to be sealed."""


def allowed(settings: Settings, told: ContentPolicy) -> Allowed:
    """Remote configuration can only narrow: whoever controls the control plane gets no more than is allowed here.

    A key that was set here is the only one that is sealed to; another one that the project has stops everything.
    """
    wanted = told.policy if told.policy in POLICIES else "metadata"
    policy = POLICIES[min(POLICIES.index(settings.content), [*POLICIES].index(wanted))]
    if policy != "sealed":
        return Allowed(policy)
    try:
        ours, theirs = decoded(settings.content_key), decoded(told.key)
    except ValueError:
        return Allowed("metadata")
    if ours and theirs and ours != theirs:
        logger.warning("content.withheld: the project's key is not the one that is set here")
        return Allowed("metadata")
    key = ours or (theirs if settings.content == "plain" else b"")
    return Allowed("sealed", key) if len(key) == KEY else Allowed("metadata")


class Taker:
    """Looks for checkpoints whose content may leave and has not, one session at a time."""

    def __init__(self, outbox: Outbox, sources: list[Source], settings: Settings, clock: Clock) -> None:
        self.settings = settings
        self._outbox, self._sources, self._clock = outbox, sources, clock
        self._after = {source.kind: 0 for source in sources}
        self._rests_until = 0.0

    def take(self, told: ContentPolicy) -> bool:
        """Take the content of one session's checkpoints; False where there is none to take, or no room for it."""
        may = allowed(self.settings, told)
        if may.policy == "metadata" or time.monotonic() < self._rests_until:
            return False
        if contents.size(self._outbox) >= self.settings.keep_mib << 20:
            return False
        began = time.monotonic()
        for source in self._sources:
            unit = contents.next_unit(self._outbox, source.kind, self._after[source.kind])
            if unit is not None:
                self._after[source.kind] = unit[0]
                self._take(source, *unit, self._form(may))
                return True
            self._after[source.kind] = 0
        ended = time.monotonic()
        self._rests_until = ended + (ended - began) / SHARE
        return False

    def _form(self, may: Allowed) -> Form:
        if may.policy == "plain":
            return Plain()
        kid = kid_of(SUITE, may.key)
        held = contents.content_key(self._outbox, kid)
        if held is not None:
            return Sealed(Envelope(kid, *held))
        made = fresh(may.key)
        contents.keep_content_key(self._outbox, *made)
        return Sealed(made)

    def _take(self, source: Source, unit: int, key: str, form: Form) -> None:
        now = self._clock()
        missing = contents.untaken(self._outbox, unit)
        try:
            reading = source.read(key, now=now, seen=cursor.seen(self._outbox, source.kind, key))
        except FileNotFoundError:
            return
        for draft in reading.records:
            if draft.key in missing and isinstance(draft.record, CheckpointSeen):
                document = source.content(draft.record)
                if document is not None:
                    missing.discard(draft.key)
                    self._keep(unit, draft.key, draft.record, document, form, now)
        if not reading.again:
            contents.nothing_to_take(self._outbox, unit, missing)

    def _keep(self, unit: int, key: str, seen: CheckpointSeen, document: bytes, form: Form, now: datetime) -> None:
        chunks = [(sha256(body).digest(), body) for body in map(form.chunk, cut(document))]
        content = Content(
            policy="sealed" if isinstance(form, Sealed) else "plain",
            size=len(document),
            digest=form.digest(document),
            chunks=[Chunk(sha256=name.hex(), size=len(body)) for name, body in chunks],
            suite=SUITE if isinstance(form, Sealed) else 0,
            kid=form.envelope.kid if isinstance(form, Sealed) else "",
            sealed_key=encoded(form.envelope.sealed) if isinstance(form, Sealed) else "",
        )
        record = msgspec.structs.replace(seen, record_id=new_record_id(now), occurred_at=now, content=content)
        contents.keep(self._outbox, unit, key, record, chunks, now)
