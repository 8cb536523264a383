"""Histories: what became of one connection, for people to read. The proof is in the audit log."""

from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from msgspec import Struct
from sqlalchemy import text

from controlplane.db import schema as t
from controlplane.db.database import TenantTx
from controlplane.domain.audit import Actor
from controlplane.kit.ids import new_id

KEPT: Final = timedelta(days=365)

FORGET: Final = text("DELETE FROM connection_events WHERE tenant_id = :tenant_id AND occurred_at < :before")


class Entry(Struct, frozen=True, kw_only=True):
    id: UUID
    type: str
    """As the audit event that belongs to it: ``connection.refreshed``."""
    actor_kind: str
    actor_id: str
    cred_version: int
    """The version that the connection had afterwards."""
    facts: dict[str, Any]
    occurred_at: datetime


async def note(tx: TenantTx, actor: Actor, connection_id: UUID, kind: str, cred_version: int, **facts: object) -> None:
    """Write down that something became of a connection.

    Args:
        facts: JSON; ids and words of ours, never a secret.
    """
    await tx.run(
        tx.insert(t.connection_events).values(
            id=new_id(tx.now),
            connection_id=connection_id,
            type=kind,
            actor_kind=actor.kind,
            actor_id=actor.id,
            cred_version=cred_version,
            facts=facts,
            occurred_at=tx.now,
        )
    )


async def listing(tx: TenantTx, connection_id: UUID, *, after: UUID | None, limit: int) -> list[Entry]:
    """Newest first, from just before *after* on."""
    wanted = tx.select(t.connection_events).where(t.connection_events.c.connection_id == connection_id)
    if after is not None:
        wanted = wanted.where(t.connection_events.c.id < after)
    return await tx.all(Entry, wanted.order_by(t.connection_events.c.id.desc()).limit(limit))


async def prune(tx: TenantTx) -> None:
    """Forget what is older than :data:`KEPT`."""
    await tx.load(FORGET, before=tx.now - KEPT)
