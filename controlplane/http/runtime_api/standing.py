"""What every call of a runtime begins with: its cursor, and whether it may still call."""

from typing import TypeVar

from controlplane.db.database import TenantTx
from controlplane.domain import runtimes
from controlplane.domain.permissions import Runtime
from controlplane.domain.runtime_locks import RuntimeLocked
from controlplane.domain.runtime_tokens import TokenInvalid
from controlplane.domain.sync import cursors
from controlplane.domain.sync.cursors import Cursor

Found = TypeVar("Found", bound=Cursor)


async def locked(tx: TenantTx, runtime: Runtime) -> Cursor:
    """The runtime's cursor, locked.

    Raises:
        TokenInvalid: If its token was made before the last revocation, lock or replacement of its key.
        Revoked, RuntimeLocked, TenantSuspended, TenantPendingDeletion: If it may not call any more, or not now.
    """
    return may_call(await cursors.lock(tx, runtime.id), runtime)


async def seen(tx: TenantTx, runtime: Runtime) -> Cursor:
    """As :func:`locked`, without the lock."""
    return may_call(await cursors.peek(tx, runtime.id), runtime)


def may_call(cursor: Found | None, runtime: Runtime) -> Found:
    """The cursor as it was found, if its runtime may call; refuses as :func:`locked`."""
    if cursor is None:
        raise TokenInvalid
    if cursor.revoked_at is not None:
        raise runtimes.Revoked
    if cursor.locked_at is not None:
        raise RuntimeLocked
    if cursor.tenant_status != "active":
        raise runtimes.not_served(cursor.tenant_status)
    if cursor.generation != runtime.generation:
        raise TokenInvalid
    return cursor
