"""What runtimes say of themselves: the state that follows from it, and the ledger that keeps their last words.

Every word is remembered where that costs no write (:mod:`controlplane.kit.presence`); the ledger has those that say
something new.
"""

from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

import msgspec
from msgspec import Struct
from msgspec.structs import replace
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from controlplane.db import schema as t
from controlplane.db.database import Database, TenantTx
from controlplane.domain.runtimes import State
from controlplane.kit.clock import AHEAD, is_plausible
from controlplane.kit.ids import RuntimeId, TenantId
from controlplane.kit.problems import Refusal
from runtime_agent.wire.heartbeat import Heartbeat

LAGGING_S = 60
"""A backlog older than this makes a runtime lag."""

AGAIN = timedelta(minutes=15)
"""So often a last word is written of a runtime that says the same all the time."""

KEEP = text("""
    INSERT INTO runtime_reports (tenant_id, runtime_id, received_at, epoch, last_seq, skew_ms, report)
    SELECT CAST(:tenant_id AS uuid), r.runtime_id, r.received_at, r.epoch, r.last_seq, r.skew_ms, r.report
    FROM json_to_recordset(CAST(:rows AS json)) AS r(
        runtime_id uuid, received_at timestamptz, epoch bigint, last_seq bigint, skew_ms bigint, report jsonb)
    JOIN runtimes n ON n.tenant_id = CAST(:tenant_id AS uuid) AND n.id = r.runtime_id
    ON CONFLICT (tenant_id, runtime_id) DO UPDATE SET received_at = excluded.received_at, epoch = excluded.epoch,
        last_seq = excluded.last_seq, skew_ms = excluded.skew_ms, report = excluded.report
    WHERE runtime_reports.received_at < excluded.received_at
""")


class Boots(Struct, frozen=True, kw_only=True):
    """Which programs speak for a runtime: one that was started again does not come back."""

    current: UUID
    wall_ms: int
    """What its clock said last."""
    before: UUID | None = None

    def heard(self, said: Heartbeat) -> "Boots":
        """After this word; one of the program before that was on its way for long changes nothing."""
        if said.boot_id == self.current:
            return replace(self, wall_ms=max(self.wall_ms, said.wall_ms))
        if said.boot_id == self.before:
            return self
        return Boots(current=said.boot_id, wall_ms=said.wall_ms, before=self.current)

    def takes_turns(self, said: Heartbeat) -> bool:
        """Whether the program before speaks again, after the one that followed it: then there are two of them."""
        return said.boot_id == self.before and said.wall_ms > self.wall_ms


class Report(Struct, frozen=True, kw_only=True):
    """A heartbeat as it was heard."""

    tenant_id: TenantId
    runtime_id: RuntimeId
    received_at: datetime
    skew_ms: int
    """The runtime's clock minus ours, the way here included."""
    said: Heartbeat
    boots: Boots | None = None
    kept_at: datetime
    """When one was last taken to be written."""

    @property
    def to_be_kept(self) -> bool:
        """Whether this is one that is written."""
        return self.kept_at == self.received_at


REMEMBERED: Final = msgspec.json.Decoder(Report)
"""What is said to the memory of last words."""


class _Row(Struct, frozen=True, kw_only=True):
    runtime_id: RuntimeId
    received_at: datetime
    epoch: int
    last_seq: int
    skew_ms: int
    report: Heartbeat


class HeartbeatUnfit(Refusal):
    """A heartbeat that could be heard but not written down."""

    code, status, title = "heartbeat-unfit", 400, "The heartbeat cannot be kept"
    hint = "Texts must not hold NUL characters, and times must lie between 2000 and tomorrow."


def heard(
    tenant_id: TenantId, runtime_id: RuntimeId, said: Heartbeat, now: datetime, before: Report | None = None
) -> Report:
    """The heartbeat as it will be remembered, and written where it says something new.

    Args:
        before: What was heard last; None: that is not remembered.

    Raises:
        HeartbeatUnfit: If the database could not take it, or a page could not show it.
    """
    for trouble in said.troubles:
        if "\0" in trouble.line or "\0" in trouble.code:
            raise HeartbeatUnfit("a trouble with a NUL character")
        if trouble.since is not None and not is_plausible(trouble.since, now + AHEAD):
            raise HeartbeatUnfit(f"a trouble since {trouble.since.isoformat()}")
    if "\0" in said.agent_version or any("\0" in source for source in said.sources):
        raise HeartbeatUnfit("a name with a NUL character")
    configured = said.config
    if configured is not None and "\0" in "".join((configured.hash, configured.error, *configured.drift)):
        raise HeartbeatUnfit("a configuration with a NUL character")
    skew_ms = said.wall_ms - int(now.timestamp() * 1000)
    boots = before.boots.heard(said) if before and before.boots else Boots(current=said.boot_id, wall_ms=said.wall_ms)
    return Report(
        tenant_id=tenant_id,
        runtime_id=runtime_id,
        received_at=now,
        skew_ms=skew_ms,
        said=said,
        boots=boots,
        kept_at=before.kept_at if before and _says_the_same(before, said, now) else now,
    )


def _says_the_same(before: Report, said: Heartbeat, now: datetime) -> bool:
    """Whether only the clock and what passes by have moved since, and it was written not long ago."""
    return now - before.kept_at < AGAIN and _lasting(before.said) == _lasting(said)


def _lasting(said: Heartbeat) -> Heartbeat:
    """Without what differs in every heartbeat of a runtime to which nothing happens."""
    backlog = replace(said.backlog, oldest_age_s=said.backlog.oldest_age_s // LAGGING_S)
    return replace(said, wall_ms=0, disk_free_bytes=None, tip=[], backlog=backlog)


def state_of(said: Heartbeat) -> tuple[State, str]:
    """The state that a heartbeat puts its runtime in, and why."""
    backlog = said.backlog
    if said.draining:
        return "draining", f"{backlog.records} records to go"
    if backlog.oldest_age_s > LAGGING_S:
        return "lagging", f"{backlog.records} records wait, the oldest for {backlog.oldest_age_s} s"
    return "connected", "heard from, nothing older than a minute waits"


async def keep(db: Database, reports: Iterable[Report]) -> int:
    """Write last words, one statement a tenant. An older one never replaces a newer.

    Raises:
        ExceptionGroup: Of what went wrong with single tenants; the words of all others have been written.
    """
    by_tenant: dict[TenantId, list[Report]] = defaultdict(list)
    for report in reports:
        by_tenant[report.tenant_id].append(report)
    failures: list[DBAPIError] = []
    for tenant_id, group in by_tenant.items():
        try:
            await _keep(db, tenant_id, group)
        except DBAPIError as error:  # one tenant's trouble is not the others'
            failures.append(error)
    if failures:
        raise ExceptionGroup("some tenants' last words were not written", failures)
    return sum(map(len, by_tenant.values()))


async def _keep(db: Database, tenant_id: TenantId, group: Iterable[Report]) -> None:
    rows = [
        _Row(
            runtime_id=report.runtime_id,
            received_at=report.received_at,
            epoch=report.said.epoch,
            last_seq=report.said.last_seq,
            skew_ms=report.skew_ms,
            report=report.said,
        )
        for report in group
    ]
    async with db.tenant(tenant_id) as tx:
        await tx.load(KEEP, rows=msgspec.json.encode(rows).decode())


async def last_word(tx: TenantTx, runtime_id: RuntimeId) -> Heartbeat | None:
    """The last heartbeat that was written."""
    mine = tx.select(t.runtime_reports).where(t.runtime_reports.c.runtime_id == runtime_id)
    found = await tx.first(_Written, mine)
    return msgspec.convert(found.report, Heartbeat) if found else None


class _Written(Struct, frozen=True):
    report: dict[str, object]
