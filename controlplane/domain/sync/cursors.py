"""Where each runtime's log stands: one row a runtime, the only lock of the log lane."""

import base64
from datetime import datetime
from typing import Final
from uuid import UUID

from msgspec import Struct
from sqlalchemy import text

from controlplane.db import schema as t
from controlplane.db.database import TenantTx
from controlplane.kit.ids import ProjectId, RuntimeId
from runtime_agent.wire import chain
from runtime_agent.wire.content import ContentPolicy
from runtime_agent.wire.sync import Durable


class Cursor(Struct, frozen=True, kw_only=True):
    """How far the log is held, and what else an append must know."""

    store_id: UUID
    epoch: int
    """0 until the first hello."""
    last_seq: int
    head: bytes
    project_id: ProjectId
    generation: int
    state: str
    locked_at: datetime | None
    revoked_at: datetime | None
    key_wanted_at: datetime | None
    leave_wanted_at: datetime | None
    compare_wanted_at: datetime | None
    moved_at: datetime | None
    durable_epoch: int | None
    durable_seq: int | None
    durable_head: bytes | None
    tenant_status: str
    content_policy: str
    """What the project lets leave of checkpoints, and the key that it is sealed to."""
    content_suite: int
    content_key: bytes | None

    @property
    def durable(self) -> Durable | None:
        """How far a finished backup covers the log; None: no backup was ever announced."""
        if self.durable_epoch is None or self.durable_seq is None or self.durable_head is None:
            return None
        return Durable(epoch=self.durable_epoch, seq=self.durable_seq, head=self.durable_head.hex())

    def known_head(self, runtime_id: RuntimeId) -> bytes:
        """The head, also before the first hello."""
        return self.head or chain.origin(runtime_id, self.epoch)

    def content(self) -> ContentPolicy:
        """The same, as an agent is told."""
        key = base64.urlsafe_b64encode(self.content_key or b"").rstrip(b"=").decode()
        return ContentPolicy(policy=self.content_policy, suite=self.content_suite, key=key)


FIELDS: Final = """
    s.store_id, c.epoch, c.last_seq, c.head, r.project_id, r.generation, r.state, r.locked_at, r.revoked_at,
    r.key_wanted_at, r.leave_wanted_at, r.compare_wanted_at, c.moved_at, c.durable_epoch, c.durable_seq,
    c.durable_head, n.status AS tenant_status,
    coalesce(p.policy, 'metadata') AS content_policy, coalesce(p.suite, 0) AS content_suite,
    p.public_key AS content_key
"""
"""Those of :class:`Cursor`."""

JOINED: Final = """
    FROM sync_cursors c
    JOIN runtimes r ON r.tenant_id = c.tenant_id AND r.id = c.runtime_id
    JOIN tenants n ON n.tenant_id = c.tenant_id
    LEFT JOIN content_policies p ON p.tenant_id = r.tenant_id AND p.project_id = r.project_id
    CROSS JOIN store s
"""

_READ = f"SELECT {FIELDS} {JOINED} WHERE c.tenant_id = :tenant_id AND c.runtime_id = :runtime_id"
PEEK = text(_READ)
LOCK = text(_READ + " FOR UPDATE OF c")

MOVE = text("""
    UPDATE sync_cursors SET epoch = :epoch, last_seq = :last_seq, head = :head, moved_at = :moved_at
    WHERE tenant_id = :tenant_id AND runtime_id = :runtime_id
""")


async def begin(tx: TenantTx, runtime_id: RuntimeId) -> None:
    """Give a runtime that has just joined its cursor."""
    await tx.run(tx.insert(t.sync_cursors).values(runtime_id=runtime_id, epoch=0, last_seq=0, head=b""))


async def lock(tx: TenantTx, runtime_id: RuntimeId) -> Cursor | None:
    """The cursor, locked until the transaction ends: two agents with one identity meet here, not in the data."""
    found = await tx.query(Cursor, LOCK, tenant_id=tx.tenant_id, runtime_id=runtime_id)
    return found[0] if found else None


async def peek(tx: TenantTx, runtime_id: RuntimeId) -> Cursor | None:
    """The cursor as it stands, without a lock."""
    found = await tx.query(Cursor, PEEK, tenant_id=tx.tenant_id, runtime_id=runtime_id)
    return found[0] if found else None


async def move(tx: TenantTx, runtime_id: RuntimeId, *, epoch: int, last_seq: int, head: bytes) -> None:
    await tx.load(MOVE, runtime_id=runtime_id, epoch=epoch, last_seq=last_seq, head=head, moved_at=tx.now)
