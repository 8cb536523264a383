"""Sessions that failed or came to wait for somebody, as a batch says: told once each, with the rows of the batch.

What turned long ago is history, which a runtime brings along when it joins, and nobody's news.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from msgspec import UNSET, Struct

from controlplane.db.database import TenantTx
from controlplane.domain import events
from controlplane.domain.events.catalogue import ApprovalRequested, SessionFailed, SessionWaiting
from controlplane.domain.sync.rows import SessionRow
from controlplane.kit.ids import RuntimeId, text_id

NEWS_FOR: Final = timedelta(days=7)
"""How long ago a session may have turned for it to be told: longer than a network is away over the holidays."""

TURNED: Final = """
    SELECT s.id, s.agent, s.status, s.waiting_for, s.told #>> '{error,name}' AS error FROM written s
    WHERE s.status IN ('failed', 'waiting') AND s.changed_at > CAST(:news_since AS timestamptz)
        AND concat(s.status, s.waiting_for) IS DISTINCT FROM (
            SELECT concat(b.status, b.waiting_for) FROM sessions b
            WHERE b.tenant_id = CAST(:tenant_id AS uuid) AND b.id = s.id)
"""
"""Of the rows ``written`` in the same statement, those that stood differently before it, or nowhere."""


class Turned(Struct, frozen=True):
    """A session that stands as it did not stand before."""

    id: UUID
    agent: str
    status: str
    waiting_for: str | None
    error: str | None


def may_turn(row: SessionRow, since: datetime) -> bool:
    """Whether *row* is to be told of, if it is a change."""
    return row.status in ("failed", "waiting") and row.changed_at > since


def tell(tx: TenantTx, runtime_id: RuntimeId, turned: Iterable[Turned]) -> None:
    """Have an event written for each, when the batch is committed."""
    for each in turned:
        session, runtime = text_id("ses", each.id), text_id("rt", runtime_id)
        if each.status == "failed":
            failed = SessionFailed(session=session, runtime=runtime, agent=each.agent, error=each.error or UNSET)
            events.tell(tx, "session.failed", failed)
        else:
            waiting_for = each.waiting_for or UNSET
            waits = SessionWaiting(session=session, runtime=runtime, agent=each.agent, waiting_for=waiting_for)
            events.tell(tx, "session.waiting", waits)
            if each.waiting_for == "human_approval":
                approval = text_id("apr", each.id)
                asked = ApprovalRequested(approval=approval, session=session, runtime=runtime, agent=each.agent)
                events.tell(tx, "approval.requested", asked)
