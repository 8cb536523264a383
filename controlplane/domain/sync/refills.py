"""What each runtime brought again after the database was restored: kept so that a page can explain it."""

from datetime import datetime, timedelta
from typing import Final, Literal
from uuid import UUID

from msgspec import Struct
from sqlalchemy import text

from controlplane.db.database import TenantTx
from controlplane.domain.newest import Reading
from controlplane.domain.sync.cursors import Cursor
from controlplane.kit.ids import RuntimeId
from runtime_agent.wire.sync import Hello, Welcome

SHOWN_FOR: Final = timedelta(days=7)
"""How long a restore is told on first pages; a runtime's own page tells of the last one for ever."""

NOTICED: Final = text("""
    INSERT INTO sync_refills AS f (tenant_id, runtime_id, store_id, mode, epoch, first_seq, last_seq, kept, missing,
        noticed_at, anew)
    SELECT r.tenant_id, r.id, s.store_id, CAST(:mode AS text), :epoch, :first_seq, :last_seq, 0, 0, :now, 0
    FROM runtimes r CROSS JOIN store s
    WHERE r.tenant_id = :tenant_id AND r.id = :runtime_id AND r.joined_at < s.made_at AND s.restored_to IS NOT NULL
    ON CONFLICT (tenant_id, runtime_id, store_id) DO UPDATE SET epoch = excluded.epoch, kept = 0, missing = 0
    WHERE f.mode = 'new_epoch' AND excluded.mode = 'new_epoch' AND f.epoch = :epoch_before AND :held = 0
""")
"""The first hello counts; another one only where the epoch that the first was granted came to nothing."""

ASKED: Final = text("""
    UPDATE sync_refills f SET kept = f.kept + :kept, missing = f.missing + :missing
    FROM store s, sync_cursors c
    WHERE f.tenant_id = :tenant_id AND f.runtime_id = :runtime_id AND f.store_id = s.store_id
        AND f.mode = 'new_epoch' AND c.tenant_id = f.tenant_id AND c.runtime_id = f.runtime_id AND c.epoch = f.epoch
""")

COMPARED: Final = text("""
    UPDATE sync_refills f SET compared_at = :now, anew = :anew
    FROM store s
    WHERE f.tenant_id = :tenant_id AND f.runtime_id = :runtime_id AND f.store_id = s.store_id AND f.compared_at IS NULL
""")

OF_RUNTIME: Final = text("""
    SELECT s.made_at, s.restored_to, s.restored_from, f.noticed_at, f.mode, f.epoch, f.first_seq, f.last_seq, f.kept,
        f.missing, f.compared_at, f.anew,
        (SELECT CAST(least(coalesce(sum(l.records), 0), 9223372036854775807) AS bigint) FROM sync_losses l
            WHERE l.tenant_id = r.tenant_id AND l.runtime_id = r.id AND l.noticed_at >= s.made_at
                AND l.kind <> 'quarantined') AS lost
    FROM runtimes r CROSS JOIN store s
    LEFT JOIN sync_refills f ON f.tenant_id = r.tenant_id AND f.runtime_id = r.id AND f.store_id = s.store_id
    WHERE r.tenant_id = :tenant_id AND r.id = :runtime_id AND r.joined_at < s.made_at AND s.restored_to IS NOT NULL
""")

OF_ALL: Final = text("""
    SELECT s.made_at, s.restored_to, s.restored_from, s.refreshing_as <> s.store_id AS refreshes_wait,
        count(r.id) AS runtimes, count(f.noticed_at) AS noticed, count(f.compared_at) AS compared,
        CAST(coalesce(sum(l.records), 0) AS bigint) AS lost
    FROM store s
    LEFT JOIN runtimes r ON r.joined_at < s.made_at AND r.revoked_at IS NULL
        AND (CAST(:seen AS uuid[]) IS NULL OR r.id = ANY (CAST(:seen AS uuid[])))
    LEFT JOIN sync_refills f ON f.tenant_id = r.tenant_id AND f.runtime_id = r.id AND f.store_id = s.store_id
    LEFT JOIN LATERAL (
        SELECT least(coalesce(sum(x.records), 0), 999999999999) AS records FROM sync_losses x
        WHERE x.tenant_id = r.tenant_id AND x.runtime_id = r.id AND x.noticed_at >= s.made_at AND x.kind <> 'quarantined'
    ) l ON true
    WHERE s.restored_to IS NOT NULL AND s.made_at > :since
    GROUP BY s.made_at, s.restored_to, s.restored_from, s.refreshing_as, s.store_id
""")


class Refill(Struct, frozen=True, kw_only=True):
    """The last restore as one runtime met it. None: it has not got that far."""

    made_at: datetime
    restored_to: datetime
    """The time of the backup."""
    restored_from: str | None
    """The name of its file; None: it was restored by other means."""
    noticed_at: datetime | None
    mode: Literal["resume", "new_epoch"] | None
    epoch: int | None
    first_seq: int | None
    last_seq: int | None
    """Records from the first to the last had been acknowledged before, and are sent again."""
    kept: int | None
    missing: int | None
    """Of so many records that it still kept so many were missing here, and are sent again under the new epoch."""
    compared_at: datetime | None
    anew: int | None
    """Things that it kept no records of any more, and says anew from its source."""
    lost: int
    """Records that are known to be lost for good, as far as that was noticed since."""

    @property
    def again(self) -> int:
        """How many records are sent again."""
        if self.mode == "new_epoch":
            return self.missing or 0
        return max(0, (self.last_seq or 0) - (self.first_seq or 1) + 1)


class Aftermath(Struct, frozen=True, kw_only=True):
    """The last restore as all runtimes met it that somebody may see."""

    made_at: datetime
    restored_to: datetime
    restored_from: str | None
    refreshes_wait: bool
    """Whether refresh tokens rest until somebody says that the other database is gone."""
    runtimes: int
    """Those that had joined by then and have not gone."""
    noticed: int
    compared: int
    lost: int


async def notice(tx: TenantTx, runtime_id: RuntimeId, cursor: Cursor, said: Hello, welcome: Welcome) -> None:
    """Keep what a hello means for what was lost in a restore, if it is the first one since.

    Args:
        cursor: As it was before the hello.
    """
    if cursor.epoch == said.epoch == 0:  # it has said nothing yet that could be gone
        return
    resumes = welcome.mode == "resume"
    await tx.load(
        NOTICED,
        runtime_id=runtime_id,
        mode=welcome.mode,
        epoch=welcome.epoch,
        first_seq=welcome.from_seq,
        last_seq=max(said.acked, welcome.from_seq - 1) if resumes else 0,
        epoch_before=cursor.epoch,
        held=cursor.last_seq,
        now=tx.now,
    )


async def asked(tx: TenantTx, runtime_id: RuntimeId, kept: int, missing: int) -> None:
    """Count records that the runtime still keeps, and those of them that are missing."""
    await tx.load(ASKED, runtime_id=runtime_id, kept=kept, missing=missing)


async def compared(tx: TenantTx, runtime_id: RuntimeId, anew: int) -> None:
    """Keep what the first comparison since came to."""
    await tx.load(COMPARED, runtime_id=runtime_id, now=tx.now, anew=anew)


async def of_runtime(tx: Reading, tenant_id: UUID, runtime_id: UUID) -> Refill | None:
    """None: the database was not restored since it joined."""
    found = await tx.query(Refill, OF_RUNTIME, tenant_id=tenant_id, runtime_id=runtime_id)
    return found[0] if found else None


async def of_all(tx: Reading) -> Aftermath | None:
    """None: there was no restore of late."""
    found = await tx.query(Aftermath, OF_ALL, since=tx.now - SHOWN_FOR, seen=tx.sight.runtimes)
    return found[0] if found else None
