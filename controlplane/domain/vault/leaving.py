"""Leaving: a connection is disabled for a while, or deleted for good. What was kept goes at once; providers hear of it."""

from typing import Final
from uuid import UUID

from msgspec import Struct

from controlplane.db import schema as t
from controlplane.db.database import TenantTx
from controlplane.domain import quotas
from controlplane.domain.audit import Actor
from controlplane.domain.vault import connections, revocations
from controlplane.domain.vault.connections import GONE, Connection, ConnectionUnconfirmed
from controlplane.kit.problems import Refusal

SHREDDED: Final = {
    "access_blob": None,
    "refresh_blob": None,
    "prev_refresh_blob": None,
    "access_exp": None,
    "refresh_exp": None,
    "next_refresh_at": None,
    "rstate": "idle",
    "rdeadline": None,
    "rowner": None,
}
"""What is left of a credential."""


class NotDisabled(Refusal):
    code, status, title = "connection-not-disabled", 409, "This connection is not disabled"
    hint = "There is nothing to enable. Where it needs a person, connect the account anew."


async def disable(tx: TenantTx, actor: Actor, connection_id: UUID, reason: str = "") -> Connection:
    """Lease nothing of it from now on, and refresh nothing. Doing it again changes nothing.

    Raises:
        NotFound, ConnectionGone: If there is no such connection.
        ConnectionUnconfirmed: If nobody has confirmed it.
    """
    before = await connections.locked(tx, connection_id)
    connections.check_there(before)
    if before.state == "pending_confirm":
        raise ConnectionUnconfirmed
    if before.state == "disabled":
        return before
    return await connections.turned(tx, actor, before, "disabled", reason, "connection.disabled")


async def enable(tx: TenantTx, actor: Actor, connection_id: UUID) -> Connection:
    """Lease from it again, if there is something; else it says that it needs a person.

    Raises:
        NotFound, ConnectionGone: If there is no such connection.
        NotDisabled: If it is not disabled.
    """
    before = await connections.locked(tx, connection_id)
    connections.check_there(before)
    if before.state != "disabled":
        raise NotDisabled
    enabled = await connections.turned(tx, actor, before, "active", "", "connection.enabled")
    its = t.connections.c
    empty = its.access_blob.is_(None), its.refresh_blob.is_(None), its.minting.is_(None)
    if await tx.first(_Id, tx.select(t.connections).where(its.id == before.id, *empty)) is None:
        return enabled
    return await connections.turned(tx, actor, enabled, "needs_reauth", "nothing_kept", "connection.needs_reauth")


async def delete(tx: TenantTx, actor: Actor, connection_id: UUID, reason: str = "") -> Connection:
    """Destroy what was kept for it, and have the provider told. Doing it again changes nothing.

    Raises:
        NotFound: If this tenant has no such connection.
    """
    before = await connections.locked(tx, connection_id)
    if before.state in GONE:
        return before
    if before.replaces_id is None:
        await quotas.release(tx, "connections")
        waiting = tx.select(t.connections).where(t.connections.c.replaces_id == before.id)
        for each in await tx.all(_Id, waiting.limit(connections.MOST_WAITING)):
            await delete(tx, actor, each.id, reason)
    is_known_there = before.auth != "static" and await revocations.queue(tx, before.id, reason or "deleted")
    await tx.run(tx.delete(t.refresh_orphans).where(t.refresh_orphans.c.connection_id == before.id))
    await connections.write(tx, before.id, SHREDDED)
    state: connections.State = "revoking" if is_known_there else "deleted"
    return await connections.turned(tx, actor, before, state, reason, "connection.deleted")


class _Id(Struct, frozen=True):
    id: UUID
