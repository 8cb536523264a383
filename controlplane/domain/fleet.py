"""The fleet as one looks at it: each runtime with its ledger, and whether it is telling us everything."""

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import msgspec
from msgspec import Struct
from msgspec.structs import replace
from sqlalchemy import text

from controlplane.db import schema as t
from controlplane.domain import newest
from controlplane.domain.newest import Condition, Reading, Search
from controlplane.domain.runtimes import State
from controlplane.kit.presence import Presence

LOSSES = 20
"""Losses that a ledger lists, the newest; ``lost_records`` counts them all."""


class Member(Struct, frozen=True, kw_only=True):
    """A runtime and the state it is in."""

    id: UUID
    tenant_id: UUID
    tenant: str
    project: str
    name: str
    state: State
    state_reason: str
    state_since: datetime
    facts: dict[str, Any]
    labels: dict[str, Any]
    joined_at: datetime
    key_since: datetime | None
    """None: it has the key that it joined with."""
    key_wanted_at: datetime | None
    leave_wanted_at: datetime | None
    compare_wanted_at: datetime | None
    locked_at: datetime | None
    revoked_at: datetime | None
    left_at: datetime | None


class Backlog(Struct, frozen=True, kw_only=True):
    """What a runtime said waits to be acknowledged."""

    records: int
    bytes: int
    oldest_age_s: int


class Loss(Struct, frozen=True, kw_only=True):
    """Records that are known to be missing here."""

    runtime_id: UUID
    kind: str
    """``lost``: vanished with an agent's disk; ``gap``: could not be kept there; ``quarantined``: refused here."""
    epoch: int
    first_seq: int
    last_seq: int
    records: int
    reason: str
    detail: str
    noticed_at: datetime
    first_at: datetime | None
    last_at: datetime | None
    """Between when and when they were written, as far as it is known."""


class Compared(Struct, frozen=True, kw_only=True):
    """What the last comparison of what the runtime has said with what is held of it found."""

    at: datetime
    wanted: int
    """Missing or older here; the runtime says them anew."""
    newer: int
    """Newer here than there."""


class Tip(Struct, frozen=True, kw_only=True):
    """A session that has not ended, as its runtime had it with its last heartbeat."""

    agent: str
    session: str
    status: str
    current_node: str | None = None
    changed_at: datetime


class Said(Struct, frozen=True, kw_only=True):
    """Of a heartbeat."""

    epoch: int
    last_seq: int
    backlog: Backlog
    wall_ms: int
    disk_free_bytes: int | None = None
    tip: list[Tip] = []


class Word(Struct, frozen=True, kw_only=True):
    """What is remembered of a runtime's last heartbeat, as far as it is shown."""

    received_at: datetime
    skew_ms: int
    said: Said


_WORD: Final = msgspec.json.Decoder(Word)


class Ledger(Struct, frozen=True, kw_only=True):
    """What a runtime says it has against what we hold. None: it has said nothing yet."""

    acknowledged: int
    epoch: int
    moved_at: datetime | None
    reported: int | None
    reported_epoch: int | None
    backlog: Backlog | None
    lost: list[Loss]
    lost_records: int
    last_heard_at: datetime | None
    """By our clock."""
    skew_ms: int | None
    """Its clock minus ours."""
    durable: int | None
    """How far a finished backup covers the epoch; None: none was ever announced, or of an earlier epoch only."""
    durable_at: datetime | None
    compared: Compared | None


class _Entry(Struct, frozen=True, kw_only=True):
    runtime_id: UUID
    epoch: int
    acknowledged: int
    moved_at: datetime | None
    reported: int | None
    reported_epoch: int | None
    last_heard_at: datetime | None
    skew_ms: int | None
    waiting_records: int | None
    waiting_bytes: int | None
    oldest_age_s: int | None
    durable: int | None
    durable_at: datetime | None
    compared_at: datetime | None
    compared_wanted: int | None
    compared_newer: int | None
    lost_records: int


ENTRIES: Final = text(
    """
    SELECT r.id AS runtime_id, coalesce(c.epoch, 0) AS epoch, coalesce(c.last_seq, 0) AS acknowledged, c.moved_at,
        w.last_seq AS reported, w.epoch AS reported_epoch, w.received_at AS last_heard_at, w.skew_ms,
        CAST(w.report -> 'backlog' ->> 'records' AS bigint) AS waiting_records,
        CAST(w.report -> 'backlog' ->> 'bytes' AS bigint) AS waiting_bytes,
        CAST(w.report -> 'backlog' ->> 'oldest_age_s' AS bigint) AS oldest_age_s,
        CASE WHEN c.durable_epoch = c.epoch THEN c.durable_seq END AS durable, c.durable_at, c.compared_at,
        c.compared_wanted, c.compared_newer,
        (SELECT CAST(least(coalesce(sum(l.records), 0), 9223372036854775807) AS bigint) FROM sync_losses l
            WHERE l.tenant_id = r.tenant_id AND l.runtime_id = r.id) AS lost_records
    FROM runtimes r
    LEFT JOIN sync_cursors c ON c.tenant_id = r.tenant_id AND c.runtime_id = r.id
    LEFT JOIN runtime_reports w ON w.tenant_id = r.tenant_id AND w.runtime_id = r.id
    WHERE r.tenant_id = ANY (CAST(:tenants AS uuid[])) AND r.id = ANY (CAST(:runtimes AS uuid[]))
    """
)

LOST: Final = text(
    """
    SELECT l.runtime_id, l.kind, l.epoch, l.first_seq, l.last_seq, l.records, l.reason, l.detail, l.noticed_at,
        l.first_at, l.last_at
    FROM runtimes r
    CROSS JOIN LATERAL (
        SELECT * FROM sync_losses s WHERE s.tenant_id = r.tenant_id AND s.runtime_id = r.id ORDER BY s.noticed_at DESC, s.id DESC LIMIT :most
    ) l
    WHERE r.tenant_id = ANY (CAST(:tenants AS uuid[])) AND r.id = ANY (CAST(:runtimes AS uuid[]))
    ORDER BY l.id DESC
    """
)


async def listing(
    tx: Reading,
    *,
    state: State | None = None,
    project: str | None = None,
    before: UUID | None = None,
    limit: int = 50,
) -> list[Member]:
    """Runtimes, the one that joined last first, from the first one older than *before*.

    Args:
        project: Slug or id.
    """
    wanted: list[Condition] = []
    if state is not None:
        wanted.append(t.runtimes.c.state == state)
    if project is not None:
        wanted.append(t.runtimes.c.project_id.in_(await newest.project_ids(tx, project)))
    return await newest.page(tx, Member, t.runtimes, Search(conditions=wanted), before=before, limit=limit)


async def get(tx: Reading, runtime_id: UUID) -> Member:
    """
    Raises:
        NotFound: If there is none that *tx* can see.
    """
    return await newest.one(tx, Member, t.runtimes, runtime_id)


async def ledgers(tx: Reading, members: Sequence[Member], presence: Presence) -> dict[UUID, Ledger]:
    """The ledgers of *members*, by runtime id, in two statements and with their last words."""
    if not members:
        return {}
    these = {
        "runtimes": [member.id for member in members],
        "tenants": list({member.tenant_id for member in members}),
    }
    lost: dict[UUID, list[Loss]] = defaultdict(list)
    for loss in await tx.query(Loss, LOST, most=LOSSES, **these):
        lost[loss.runtime_id].append(loss)
    entries = await tx.query(_Entry, ENTRIES, **these)
    words = await last_words(presence, [entry.runtime_id for entry in entries])
    return {
        entry.runtime_id: _ledger(_told(entry, words.get(entry.runtime_id)), lost[entry.runtime_id])
        for entry in entries
    }


async def last_words(presence: Presence, runtime_ids: Sequence[UUID]) -> dict[UUID, Word]:
    """What is remembered of the runtimes' last heartbeats; what is written of them may be older."""
    words = await presence.last_of(runtime_ids) if runtime_ids else []
    return {runtime_id: _WORD.decode(word) for runtime_id, word in zip(runtime_ids, words, strict=True) if word}


def _told(entry: _Entry, word: Word | None) -> _Entry:
    if word is None or (entry.last_heard_at is not None and entry.last_heard_at >= word.received_at):
        return entry
    return replace(
        entry,
        reported=word.said.last_seq,
        reported_epoch=word.said.epoch,
        last_heard_at=word.received_at,
        skew_ms=word.skew_ms,
        waiting_records=word.said.backlog.records,
        waiting_bytes=word.said.backlog.bytes,
        oldest_age_s=word.said.backlog.oldest_age_s,
    )


def _ledger(entry: _Entry, lost: list[Loss]) -> Ledger:
    waiting = Backlog(
        records=entry.waiting_records or 0, bytes=entry.waiting_bytes or 0, oldest_age_s=entry.oldest_age_s or 0
    )
    return Ledger(
        acknowledged=entry.acknowledged,
        epoch=entry.epoch,
        moved_at=entry.moved_at,
        reported=entry.reported,
        reported_epoch=entry.reported_epoch,
        backlog=None if entry.last_heard_at is None else waiting,
        lost=lost,
        lost_records=entry.lost_records,
        last_heard_at=entry.last_heard_at,
        skew_ms=entry.skew_ms,
        durable=entry.durable,
        durable_at=entry.durable_at,
        compared=_compared(entry),
    )


def _compared(entry: _Entry) -> Compared | None:
    if entry.compared_at is None:
        return None
    return Compared(at=entry.compared_at, wanted=entry.compared_wanted or 0, newer=entry.compared_newer or 0)
