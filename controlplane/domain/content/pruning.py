"""What goes: content that is old enough and that nobody may still resume from, and chunks that nothing is made of.

A chunk that lost its last checkpoint stays for a while, because the next may be made of it again. Then it is condemned,
which is seen before anything is deleted: nobody is told any more that it need not be sent.
"""

from collections.abc import Sequence
from datetime import timedelta
from typing import Final
from uuid import UUID

from msgspec import Struct
from sqlalchemy import text

from controlplane.db import schema as t
from controlplane.db.database import OperatorTx, TenantTx
from controlplane.domain import audit
from controlplane.domain.audit import Actor
from controlplane.domain.content.chunks import Held
from controlplane.domain.content.policies import KEEP_DAYS
from controlplane.kit.blobs import UPLOAD_FOR_S
from controlplane.kit.ids import text_id

AT_ONCE: Final = 500

GRACE: Final = timedelta(days=1)
"""Between the last checkpoint that is made of a chunk, and its being condemned."""

REST: Final = timedelta(seconds=2 * UPLOAD_FOR_S)
"""Between being condemned and being deleted: uploads that were begun before have ended by then."""

CONTENT_HOLDERS: Final = text("SELECT tenant_id FROM contents UNION SELECT tenant_id FROM chunks ORDER BY tenant_id")

PRUNE_CONTENTS: Final = text("""
    WITH old AS (
        SELECT c.checkpoint_id FROM contents c
        LEFT JOIN content_policies p ON p.tenant_id = c.tenant_id AND p.project_id = c.project_id
        WHERE c.tenant_id = :tenant_id AND c.pruned_at IS NULL
            AND c.created_at < CAST(:now AS timestamptz) - make_interval(days => coalesce(p.keep_days, :days))
            AND (
                NOT EXISTS (
                    SELECT FROM sessions s WHERE s.tenant_id = c.tenant_id AND s.id = c.session_id
                        AND s.status IN ('running', 'waiting'))
                OR EXISTS (
                    SELECT FROM contents n WHERE n.tenant_id = c.tenant_id AND n.session_id = c.session_id
                        AND n.pruned_at IS NULL AND (n.created_at, n.checkpoint_id) > (c.created_at, c.checkpoint_id)
                        AND NOT EXISTS (
                            SELECT FROM content_chunks k
                            LEFT JOIN chunks h ON h.tenant_id = k.tenant_id AND h.sha256 = k.sha256
                                AND h.state = 'committed'
                            WHERE k.tenant_id = n.tenant_id AND k.checkpoint_id = n.checkpoint_id
                                AND h.sha256 IS NULL)))
        ORDER BY c.created_at LIMIT :most
    ), loosened AS (
        DELETE FROM content_chunks k USING old
        WHERE k.tenant_id = :tenant_id AND k.checkpoint_id = old.checkpoint_id RETURNING k.sha256
    ), touched AS (
        UPDATE chunks SET touched_at = :now
        WHERE tenant_id = :tenant_id AND sha256 IN (SELECT sha256 FROM loosened)
    )
    UPDATE contents c SET pruned_at = :now FROM old
    WHERE c.tenant_id = :tenant_id AND c.checkpoint_id = old.checkpoint_id RETURNING c.checkpoint_id
""")
"""From which a session that still runs or waits may go on, stays: the newest of it that is whole."""

CONDEMN: Final = text("""
    UPDATE chunks c SET state = 'condemned', touched_at = :now
    WHERE c.tenant_id = :tenant_id AND c.state <> 'condemned' AND c.touched_at < :before
        AND NOT EXISTS (SELECT FROM content_chunks k WHERE k.tenant_id = c.tenant_id AND k.sha256 = c.sha256)
""")


class Holder(Struct, frozen=True):
    tenant_id: UUID


class _Pruned(Struct, frozen=True):
    checkpoint_id: UUID


async def holders(look: OperatorTx) -> list[Holder]:
    """The tenants that have content, or had."""
    return await look.query(Holder, CONTENT_HOLDERS)


async def prune(tx: TenantTx, actor: Actor) -> int:
    """Let go of content whose time is over, and return of how many checkpoints; the checkpoints themselves stay."""
    values = {"tenant_id": tx.tenant_id, "now": tx.now, "days": KEEP_DAYS, "most": AT_ONCE}
    pruned = await tx.query(_Pruned, PRUNE_CONTENTS, **values)
    if pruned:
        audit.record(tx, actor, "content.pruned", ("tenant", text_id("ten", tx.tenant_id)), checkpoints=len(pruned))
    return len(pruned)


async def condemn(tx: TenantTx) -> None:
    """Mark the chunks that no checkpoint has been made of for long."""
    await tx.load(CONDEMN, now=tx.now, before=tx.now - GRACE)


async def condemned(tx: TenantTx) -> list[Held]:
    """Chunks that may be deleted in the object store now."""
    its = t.chunks.c
    due = tx.select(t.chunks).where(its.state == "condemned", its.touched_at < tx.now - REST)
    return await tx.all(Held, due.order_by(its.touched_at).limit(AT_ONCE))


async def forget(tx: TenantTx, deleted: Sequence[bytes]) -> int:
    """They are gone from the object store: from now on they can be sent again."""
    mine = tx.delete(t.chunks).where(t.chunks.c.sha256.in_(deleted), t.chunks.c.state == "condemned")
    return await tx.run(mine)
