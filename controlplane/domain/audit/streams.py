"""How far outside listeners have been sent each log, and what is to be sent next: everything, at least once."""

from collections.abc import Sequence
from typing import Final
from uuid import UUID

from msgspec import Struct
from sqlalchemy import Table

from controlplane.db import schema as t
from controlplane.db.database import ScopedTx, TenantTx
from controlplane.domain.audit.events import Event, line
from controlplane.kit.syslog import INFORMATIONAL, WARNING, Message

A_BATCH: Final = 1_000


class Batch(Struct, frozen=True):
    messages: Sequence[Message]
    through: int
    """Number of the last event in it."""


class _Cursor(Struct, frozen=True):
    seq: int


async def waiting(tx: ScopedTx, sink: str) -> Batch | None:
    """The next events that *sink* has not been sent, oldest first; None: it has them all."""
    streams, events = _tables(tx)
    cursor = await tx.first(_Cursor, tx.select(streams).where(streams.c.sink == sink))
    behind = tx.select(events).where(events.c.seq > (cursor.seq if cursor else 0))
    found = await tx.all(Event, behind.order_by(events.c.seq).limit(A_BATCH))
    chain = tx.tenant_id if isinstance(tx, TenantTx) else None
    return Batch([_message(chain, event) for event in found], found[-1].seq) if found else None


async def sent(tx: ScopedTx, sink: str, through: int) -> None:
    """Note that *sink* has everything up to event *through*. A cursor never goes back."""
    streams, _ = _tables(tx)
    insert = tx.insert(streams).values(sink=sink, seq=through)
    key = [column.name for column in streams.primary_key]
    further = streams.c.seq < through
    await tx.run(insert.on_conflict_do_update(index_elements=key, set_={"seq": through}, where=further))


def _message(chain: UUID | None, event: Event) -> Message:
    severity = INFORMATIONAL if event.outcome == "success" else WARNING
    return Message(at=event.occurred_at, severity=severity, kind=event.action, text=line(chain, event))


def _tables(tx: ScopedTx) -> tuple[Table, Table]:
    if isinstance(tx, TenantTx):
        return t.audit_streams, t.audit_events
    return t.platform_audit_streams, t.platform_audit_events
