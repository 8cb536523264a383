"""Exports that a tenant's owner asks for: requested, written by a chore, kept for some days in the database itself."""

from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from msgspec import Struct
from sqlalchemy import text

from controlplane.db import schema as t
from controlplane.db.database import Database, OperatorTx, TenantTx
from controlplane.domain import archives, audit
from controlplane.domain.archives import Manifest
from controlplane.domain.audit import Actor
from controlplane.kit.ids import ExportId, TenantId, new_id, text_id
from controlplane.kit.problems import NotFound, Refusal

KEPT: Final = timedelta(days=7)
"""How long an archive can be fetched."""

PART_BYTES: Final = 1 << 20

UNFINISHED: Final = ("waiting", "writing")


class Export(Struct, frozen=True, kw_only=True):
    id: ExportId
    state: str
    """``waiting``, ``writing``, ``ready`` or ``expired``."""
    requested_by: str
    requested_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    expires_at: datetime | None
    rows: int
    size_bytes: int
    manifest_sha256: str | None


class Due(Struct, frozen=True):
    """An export that somebody has to see to."""

    tenant_id: TenantId
    id: ExportId
    requested_by: str


class ExportRunning(Refusal):
    code, status, title = "export-running", 409, "An export of this tenant is being made already"
    hint = "Wait for it: GET /v1/tenants/{tenant}/exports lists it."


class ExportNotReady(Refusal):
    code, status, title = "export-not-ready", 409, "There is nothing to fetch"
    hint = "Ask for the export until its state is ready; one that has expired is made again with a new request."


WAITING: Final = text("""
    SELECT tenant_id, id, requested_by FROM exports WHERE state IN ('waiting', 'writing') ORDER BY id
""")

EXPIRED: Final = text("""
    SELECT tenant_id, id, requested_by FROM exports WHERE state = 'ready' AND expires_at <= :now ORDER BY id LIMIT 1000
""")

PART: Final = text("""
    SELECT body FROM export_parts WHERE tenant_id = :tenant_id AND export_id = :export_id AND number = :number
""")


async def request(tx: TenantTx, actor: Actor) -> Export:
    """Have an archive made.

    Raises:
        ExportRunning: If one is being made.
    """
    unfinished = tx.select(t.exports).where(t.exports.c.state.in_(UNFINISHED)).with_for_update()
    if await tx.first(Export, unfinished):
        raise ExportRunning
    export_id = new_id(tx.now)
    [export] = await tx.take(
        Export,
        tx.insert(t.exports).values(
            id=export_id,
            state="waiting",
            requested_by=actor.id or actor.kind,
            requested_at=tx.now,
            rows=0,
            size_bytes=0,
        ),
    )
    audit.record(tx, actor, "export.requested", _target(export.id))
    return export


async def listing(tx: TenantTx, *, after: UUID | None, limit: int) -> list[Export]:
    """Newest first, from just before *after* on."""
    wanted = tx.select(t.exports)
    if after is not None:
        wanted = wanted.where(t.exports.c.id < after)
    return await tx.all(Export, wanted.order_by(t.exports.c.id.desc()).limit(limit))


async def get(tx: TenantTx, export_id: UUID) -> Export:
    """
    Raises:
        NotFound: If this tenant has no such export.
    """
    export = await tx.first(Export, tx.select(t.exports).where(t.exports.c.id == export_id))
    if export is None:
        raise NotFound
    return export


async def fetch(tx: TenantTx, actor: Actor, export_id: UUID) -> Export:
    """The export, about to be downloaded: that is an event.

    Raises:
        NotFound: If this tenant has no such export.
        ExportNotReady: If there is nothing to download.
    """
    export = await get(tx, export_id)
    if export.state != "ready":
        raise ExportNotReady
    audit.record(tx, actor, "export.downloaded", _target(export.id))
    return export


async def discard(tx: TenantTx, actor: Actor, export_id: UUID) -> None:
    """Delete an archive before its time. Doing it again changes nothing.

    Raises:
        NotFound: If this tenant has no such export.
    """
    if (await get(tx, export_id)).state != "expired":
        await expire(tx, export_id)
        audit.record(tx, actor, "export.discarded", _target(ExportId(export_id)))


async def parts(db: Database, tenant_id: TenantId, export_id: ExportId) -> AsyncIterator[bytes]:
    """The archive's bytes. Each part is read for itself: nothing is held open while somebody is slow to take it."""
    number = 0
    while True:
        async with db.tenant(tenant_id) as tx:
            found = await tx.query(_Part, PART, tenant_id=tenant_id, export_id=export_id, number=number)
        if not found:
            return
        yield found[0].body
        number += 1


async def waiting(look: OperatorTx) -> list[Due]:
    """Archives that were asked for, and those whose writing was cut short."""
    return await look.query(Due, WAITING)


async def over(look: OperatorTx) -> list[Due]:
    """Archives whose time is over."""
    return await look.query(Due, EXPIRED, now=look.now)


async def write(db: Database, due: Due) -> Manifest:
    """Write one archive from its beginning. Until the last part is there nobody can fetch it."""
    mine = t.exports.c.id == due.id
    async with db.tenant(due.tenant_id) as tx:
        await tx.run(tx.delete(t.export_parts).where(t.export_parts.c.export_id == due.id))
        await tx.run(tx.update(t.exports).where(mine).values(state="writing", started_at=tx.now))
    sink = _Parts(db, due)
    async with db.snapshot(due.tenant_id) as look:
        manifest = await archives.pack(look, sink, due.requested_by)
    await sink.put_rest()
    async with db.tenant(due.tenant_id) as tx:
        finished = {"state": "ready", "finished_at": tx.now, "expires_at": tx.now + KEPT}
        counted = {"rows": manifest.rows, "size_bytes": sink.size_bytes, "manifest_sha256": manifest.sha256}
        still = tx.update(t.exports).where(mine, t.exports.c.state == "writing")
        if not await tx.run(still.values(**finished, **counted)):  # discarded meanwhile
            await tx.run(tx.delete(t.export_parts).where(t.export_parts.c.export_id == due.id))
    return manifest


async def expire(tx: TenantTx, export_id: UUID) -> None:
    """Delete an archive's bytes; that there was one stays."""
    await tx.run(tx.delete(t.export_parts).where(t.export_parts.c.export_id == export_id))
    await tx.run(tx.update(t.exports).where(t.exports.c.id == export_id).values(state="expired"))


class _Parts:
    """Takes an archive's bytes and puts them away a part at a time, each in a transaction of its own."""

    def __init__(self, db: Database, due: Due) -> None:
        self._db, self._due = db, due
        self._waiting = bytearray()
        self._number = 0
        self.size_bytes = 0

    def write(self, data: bytes, /) -> int:
        self._waiting += data
        return len(data)

    def flush(self) -> None:
        """What waits is put away by :meth:`drain`."""

    async def drain(self) -> None:
        while len(self._waiting) >= PART_BYTES:
            await self._put(PART_BYTES)

    async def put_rest(self) -> None:
        if self._waiting:
            await self._put(len(self._waiting))

    async def _put(self, size: int) -> None:
        body = bytes(self._waiting[:size])
        async with self._db.tenant(self._due.tenant_id) as tx:
            part = {"export_id": self._due.id, "number": self._number, "body": body}
            await tx.run(tx.insert(t.export_parts).values(**part))
        del self._waiting[:size]
        self._number, self.size_bytes = self._number + 1, self.size_bytes + size


class _Part(Struct, frozen=True):
    body: bytes


def _target(export_id: ExportId) -> audit.Target:
    return "export", text_id("exp", export_id)
