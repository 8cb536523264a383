"""How a runtime stands here, for the calls that each one makes again and again: asked for many at once."""

from collections.abc import Sequence
from datetime import datetime
from functools import partial
from typing import Final
from weakref import WeakValueDictionary

from controlplane.db.database import Database, inside
from controlplane.domain.sync.cursors import FIELDS, JOINED, Cursor
from controlplane.domain.vault.leased import TO_TELL
from controlplane.kit.ids import RuntimeId, TenantId
from controlplane.kit.together import Together
from runtime_agent.wire.config import News, Standing, Status

GATHER_S: Final = 0.01
"""How long the first call waits for others of its tenant: longer than one alone takes, and nobody notices."""


class Seen(Cursor, frozen=True, kw_only=True):
    """A cursor, and whether there is more to be said."""

    runtime_id: RuntimeId
    asked: int
    """Commands that it has not acknowledged."""
    unfinished: bool
    """Whether there are commands that are not finished, acknowledged or not."""
    noticed: bool
    """Whether there is something to tell of its leases."""
    looked_at: bool
    """Whether somebody looks at a log there."""
    config_changed: bool
    """Whether what it is to be like has to be put together anew."""
    config_generation: int
    config_hash: str
    """Of the document that there is for it; 0 and empty: none."""
    told_status: Status
    told_generation: int
    told_applied: int
    told_hash: str
    told_error: str
    told_drift: list[str]
    """What it said last of its configuration."""
    budgets: int
    """Revision of the tenant's budgets."""

    @property
    def news(self) -> News | None:
        """Which document there is for it; None: that has to be found out first."""
        return None if self.config_changed else News(generation=self.config_generation, hash=self.config_hash)

    @property
    def told(self) -> Standing:
        return Standing(
            status=self.told_status,
            generation=self.told_generation,
            applied=self.told_applied,
            hash=self.told_hash,
            error=self.told_error,
            drift=self.told_drift,
        )


STANDING: Final = inside(
    ", ".join(f"found.{name}" for name in Seen.__struct_fields__),
    f"""
    SELECT {FIELDS}, c.runtime_id, q.asked, q.unfinished > 0 AS unfinished,
        EXISTS (SELECT 1 {
        TO_TELL.replace(":tenant_id", "c.tenant_id")
        .replace(":runtime_id", "c.runtime_id")
        .replace(":now", "CAST($3 AS timestamptz)")
    }) AS noticed,
        EXISTS (
            SELECT 1 FROM log_tails l WHERE l.tenant_id = c.tenant_id AND l.runtime_id = c.runtime_id
                AND l.until > CAST($3 AS timestamptz) AND l.not_after > CAST($3 AS timestamptz)
        ) AS looked_at,
        coalesce(h.revision > coalesce(k.revision, -1), false) AS config_changed,
        coalesce(k.generation, 0) AS config_generation, coalesce(k.hash, '') AS config_hash,
        coalesce(k.status, 'none') AS told_status, coalesce(k.said_generation, 0) AS told_generation,
        coalesce(k.applied, 0) AS told_applied, coalesce(k.applied_hash, '') AS told_hash,
        coalesce(k.error, '') AS told_error, coalesce(k.drift, '{{}}') AS told_drift,
        coalesce(b.revision, 0) AS budgets
    {JOINED}
    LEFT JOIN budget_heads b ON b.tenant_id = c.tenant_id
    LEFT JOIN config_heads h ON h.tenant_id = c.tenant_id
    LEFT JOIN runtime_configs k ON k.tenant_id = c.tenant_id AND k.runtime_id = c.runtime_id
    CROSS JOIN LATERAL (
        SELECT count(*) FILTER (WHERE o.state = 'queued') AS asked, count(*) AS unfinished FROM commands o
        WHERE o.tenant_id = c.tenant_id AND o.runtime_id = c.runtime_id AND o.ended_at IS NULL
    ) q
    WHERE c.tenant_id = entered.tenant_id AND c.runtime_id = ANY (CAST($2 AS uuid[]))
    """,  # noqa: S608 constants
)


class Pulses:
    """One statement for all runtimes of a tenant that call at about the same time."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._by_tenant: WeakValueDictionary[TenantId, Together[RuntimeId, Seen | None]] = WeakValueDictionary()

    async def of(self, tenant_id: TenantId, runtime_id: RuntimeId) -> Seen | None:
        """None: the tenant has no such runtime."""
        together = self._by_tenant.get(tenant_id)
        if together is None:
            together = Together(partial(self._ask, tenant_id), gather_s=GATHER_S)
            self._by_tenant[tenant_id] = together
        return await together.ask(runtime_id)

    async def _ask(self, tenant_id: TenantId, runtime_ids: Sequence[RuntimeId]) -> list[Seen | None]:
        now: datetime = self._db.clock()
        rows = await self._db.at_once(tenant_id, Seen, STANDING, list(dict.fromkeys(runtime_ids)), now)
        found = {row.runtime_id: row for row in rows}
        return [found.get(runtime_id) for runtime_id in runtime_ids]
