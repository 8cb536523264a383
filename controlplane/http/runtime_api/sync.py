"""POST /v1/runtime/sync/hello, /log and /diff: the log lane."""

from typing import Any

from litestar import Controller, Request, post
from litestar.di import NamedDependency
from litestar.params import JSONBody
from msgspec.structs import replace

from controlplane.db.database import Database, TenantTx
from controlplane.db.partitions import Partitions
from controlplane.domain import reports
from controlplane.domain.permissions import Runtime
from controlplane.domain.sync import batches, comparing, log, recovery, refills
from controlplane.domain.sync.batches import Position
from controlplane.domain.sync.log import Kept, PartitionsWanted
from controlplane.domain.sync.recovery import Reported
from controlplane.domain.vault import leased
from controlplane.http.authorize import Surface, rule
from controlplane.http.runtime_api import standing
from controlplane.http.runtime_api.admission import HELLO, LOG, Admission, at
from controlplane.kit.presence import Presence
from controlplane.kit.wakeups import Wakeups
from runtime_agent.wire.comparing import Compared, Found, Items, Manifest, Want
from runtime_agent.wire.sync import MAX_COMPRESSED_BYTES, Ack, Diff, Hello, Missing, Welcome


class SyncController(Controller):
    path = "/sync"

    @post(
        "/hello",
        status_code=200,
        opt=rule(Surface.RUNTIME, "sync:write"),
        before_request=at(HELLO),
        summary="Say where the log stands",
    )
    async def hello(
        self,
        data: JSONBody[Hello],
        request: Request[Runtime, Any, Any],
        runtime: NamedDependency[Runtime],
        db: NamedDependency[Database],
        presence: NamedDependency[Presence],
    ) -> Welcome:
        """Go on where the log stands, or be granted a new epoch."""
        word = await presence.last(runtime.id)
        admission: Admission = request.app.state.admission
        async with admission.one_who_comes(str(runtime.tenant_id)), db.tenant(runtime.tenant_id) as tx:
            cursor = await standing.locked(tx, runtime)
            reported = await _reported(tx, runtime, word)
            welcome = await recovery.hello(tx, runtime.id, cursor, data, reported)
            await refills.notice(tx, runtime.id, cursor, data, welcome)
            return replace(welcome, leases=await leased.notices(tx, runtime.id), content=cursor.content())

    @post(
        "/log",
        status_code=200,
        opt=rule(Surface.RUNTIME, "sync:write"),
        before_request=at(LOG),
        request_max_body_size=MAX_COMPRESSED_BYTES + 1,
        summary="Append a batch of records",
    )
    async def append(
        self,
        request: Request[Runtime, Any, Any],
        runtime: NamedDependency[Runtime],
        db: NamedDependency[Database],
        partitions: NamedDependency[Partitions],
        wakeups: NamedDependency[Wakeups],
    ) -> Ack:
        """Keep a batch: newline-delimited JSON, compressed with zstd, placed by the ``Sync-…`` headers.

        Acknowledged after the commit. Where a record is refused, everything before it has been kept. Large batches wait
        for one another, so that small ones do not: who catches up keeps nobody waiting who says what happens now.
        """
        admission: Admission = request.app.state.admission
        place = batches.position(request.headers.get)
        body = await request.body()
        async with admission.one_of(place.count, runtime.tenant_id):
            try:
                kept = await _append(db, partitions, runtime, place, body)
            except PartitionsWanted as wanted:
                await partitions.see_to(wanted.births)
                kept = await _append(db, partitions, runtime, place, body)
        return await _answer(kept, runtime, wakeups)

    @post("/diff", status_code=200, opt=rule(Surface.RUNTIME, "sync:write"), summary="Ask which records are missing")
    async def diff(
        self, data: JSONBody[Diff], runtime: NamedDependency[Runtime], db: NamedDependency[Database]
    ) -> Missing:
        """Of records that the agent still holds, those that no batch of it ever brought."""
        async with db.tenant(runtime.tenant_id) as tx:
            await standing.seen(tx, runtime)
            missing = await recovery.missing(tx, runtime.id, data.record_ids)
            await refills.asked(tx, runtime.id, len(data.record_ids), len(missing))
            return Missing(missing=missing)

    @post("/manifest", status_code=200, opt=rule(Surface.RUNTIME, "sync:write"), summary="Compare both sides")
    async def manifest(
        self, data: JSONBody[Manifest], runtime: NamedDependency[Runtime], db: NamedDependency[Database]
    ) -> Compared:
        """Counts and sums of what the runtime has said; the answer has those that are not the same here."""
        async with db.tenant(runtime.tenant_id) as tx:
            cursor = await standing.seen(tx, runtime)
            return await comparing.compare(tx, runtime.id, cursor, data.buckets)

    @post("/manifest/items", status_code=200, opt=rule(Surface.RUNTIME, "sync:write"), summary="Compare name by name")
    async def manifest_items(
        self, data: JSONBody[Items], runtime: NamedDependency[Runtime], db: NamedDependency[Database]
    ) -> Want:
        """Of what is in buckets that differ, what is missing or older here, and what is newer."""
        async with db.tenant(runtime.tenant_id) as tx:
            await standing.seen(tx, runtime)
            return await comparing.wanted(tx, runtime.id, data.items)

    @post("/manifest/found", status_code=200, opt=rule(Surface.RUNTIME, "sync:write"), summary="Say what differed")
    async def manifest_found(
        self,
        data: JSONBody[Found],
        runtime: NamedDependency[Runtime],
        db: NamedDependency[Database],
        wakeups: NamedDependency[Wakeups],
    ) -> dict[str, bool]:
        """What the comparison came to, to be shown with the runtime."""
        async with db.tenant(runtime.tenant_id) as tx:
            await standing.seen(tx, runtime)
            await comparing.note(tx, runtime.id, data)
            await refills.compared(tx, runtime.id, data.wanted)
        await wakeups.nudge(f"tenant:{runtime.tenant_id}")
        return {"identical": not data.wanted and not data.newer}


async def _append(db: Database, partitions: Partitions, runtime: Runtime, place: Position, body: bytes) -> Kept:
    async with db.tenant(runtime.tenant_id) as tx:
        cursor = await standing.locked(tx, runtime)
        return await log.append(tx, runtime.id, cursor, place, body, partitions.there)


async def _answer(kept: Kept, runtime: Runtime, wakeups: Wakeups) -> Ack:
    if kept.added:
        await wakeups.nudge(f"tenant:{runtime.tenant_id}")
        await wakeups.nudge("fleet")
    if refusal := kept.refusal():
        raise refusal
    return Ack(acked=kept.acked, head=kept.head.hex(), durable=kept.durable)


async def _reported(tx: TenantTx, runtime: Runtime, word: bytes | None) -> Reported | None:
    """What the runtime last said it had: just now, or as it was written down."""
    if word:
        report = reports.REMEMBERED.decode(word)
        return Reported(epoch=report.said.epoch, last_seq=report.said.last_seq, at=report.received_at)
    said = await reports.last_word(tx, runtime.id)
    return Reported(epoch=said.epoch, last_seq=said.last_seq) if said else None
