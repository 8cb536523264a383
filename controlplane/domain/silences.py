"""Who has fallen silent: not heard from in the memory of last words, nor in what was written of them."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from msgspec import Struct
from sqlalchemy import text

from controlplane.db.database import Database
from controlplane.domain import events, reports, runtimes
from controlplane.domain.events.catalogue import RuntimeTurned
from controlplane.domain.reports import Report
from controlplane.kit.ids import RuntimeId, TenantId, text_id
from controlplane.kit.presence import Presence

MISSED: Final = 3
"""Heartbeats that may be missed before a runtime counts as silent."""

LEEWAY: Final = timedelta(seconds=15)
"""Added to the silence that is allowed."""

AT_ONCE: Final = 1_000
"""Last words looked up in one go."""

TALKING: Final = text("""
    SELECT r.tenant_id, r.id, r.state_since, w.received_at,
        coalesce(CAST(w.report ->> 'interval_ms' AS bigint), :interval_ms) AS interval_ms
    FROM runtimes r LEFT JOIN runtime_reports w ON w.tenant_id = r.tenant_id AND w.runtime_id = r.id
    WHERE r.state IN ('connected', 'lagging', 'draining')
        AND greatest(w.received_at, r.state_since) < CAST(:now AS timestamptz) - CAST(:leeway AS interval)
""")

CROWD: Final = text("SELECT count(*) AS talking FROM runtimes WHERE state IN ('connected', 'lagging', 'draining')")


class _Talking(Struct, frozen=True):
    tenant_id: TenantId
    id: RuntimeId
    state_since: datetime
    received_at: datetime | None
    interval_ms: int

    def last(self, heard: Report | None) -> datetime:
        """When it was last heard from."""
        known = (self.received_at, heard.received_at if heard else None)
        return max((at for at in known if at is not None), default=self.state_since)

    def is_silent(self, heard: Report | None, now: datetime, listening_since: datetime) -> bool:
        interval_ms = heard.said.interval_ms if heard else self.interval_ms
        since = max(self.last(heard), self.state_since, listening_since)
        return since + MISSED * timedelta(milliseconds=interval_ms) + LEEWAY < now


class _Count(Struct, frozen=True):
    talking: int


async def talking(db: Database) -> int:
    """How many runtimes are there, in all tenants: so many may come back at once."""
    async with db.operator() as tx:
        [found] = await tx.query(_Count, CROWD)
    return found.talking


async def mark_silent(db: Database, presence: Presence, listening_since: datetime) -> int:
    """Turn to ``silent`` who has missed its heartbeats.

    Looks across tenants, works inside one at a time.

    Args:
        listening_since: Before that nobody could be heard, because we were away, or they were told to take their time.
    """
    async with db.operator() as tx:
        now = tx.now
        unwritten = await tx.query(_Talking, TALKING, now=now, leeway=LEEWAY, interval_ms=runtimes.HEARTBEAT_MS)
    heard = await _heard(presence, unwritten)
    quiet = [row for row in unwritten if row.is_silent(heard.get(row.id), now, listening_since)]
    for row in quiet:
        report = heard.get(row.id)
        if report is not None:
            await reports.keep(db, [report])
        reason = f"{MISSED} heartbeats missed; last heard {row.last(report):%Y-%m-%d %H:%M:%S} UTC"
        async with db.tenant(row.tenant_id) as own:
            await runtimes.turn(own, row.id, "silent", reason)
            turned = RuntimeTurned(runtime=text_id("rt", row.id), state="silent", reason=reason)
            events.tell(own, "runtime.silent", turned)
    return len(quiet)


async def _heard(presence: Presence, rows: Sequence[_Talking]) -> Mapping[UUID, Report]:
    found: dict[UUID, Report] = {}
    for first in range(0, len(rows), AT_ONCE):
        some = rows[first : first + AT_ONCE]
        words = await presence.last_of([row.id for row in some])
        found |= {row.id: reports.REMEMBERED.decode(word) for row, word in zip(some, words, strict=True) if word}
    return found
