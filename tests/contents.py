"""What a checkpoint holds, as an agent's log and its blob lane leave it."""

from hashlib import sha256
from uuid import UUID

from controlplane.db import schema as t
from controlplane.db.database import Database
from controlplane.domain.content.chunks import name_of
from controlplane.kit.blobs import Blobs
from runtime_agent.content.sealing import Plain
from tests.runtimes import Joined


async def keep(
    db: Database, blobs: Blobs, runtime: Joined, session_id: UUID, checkpoint_id: UUID, document: bytes
) -> None:
    """All of *document*, in one chunk that is committed."""
    form, now = Plain(), db.clock()
    chunk = form.chunk(document)
    name, of = sha256(chunk).digest(), {"checkpoint_id": checkpoint_id}
    whose = {"runtime_id": runtime.id, "project_id": runtime.project_id, "session_id": session_id}
    what = {"policy": "plain", "size": len(document), "digest": bytes.fromhex(form.digest(document))}
    plain = {"suite": 0, "kid": "", "sealed_key": b"", "created_at": now, "received_at": now}
    await blobs.put(name_of(runtime.tenant_id, name), chunk)
    async with db.tenant(runtime.tenant_id) as tx:
        await tx.run(tx.insert(t.contents).values(**of, **whose, **what, **plain))
        await tx.run(tx.insert(t.content_chunks).values(**of, position=0, sha256=name, size=len(chunk)))
        held = tx.insert(t.chunks).values(sha256=name, size=len(chunk), state="committed", touched_at=now)
        await tx.run(held.on_conflict_do_nothing())
