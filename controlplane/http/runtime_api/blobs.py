"""/v1/runtime/sync/blobs: the blob lane, beside the log and never in its way."""

from typing import Any

from litestar import Controller, Request, post, put
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody

from controlplane.db.database import Database
from controlplane.domain.content import chunks
from controlplane.domain.content.chunks import ChunkNotOffered, ChunkRefused, ContentNotAllowed, Held
from controlplane.domain.permissions import Runtime
from controlplane.http.authorize import Surface, rule
from controlplane.http.runtime_api import standing
from controlplane.kit.blobs import Blobs
from controlplane.kit.problems import NotFound
from runtime_agent.wire.content import MAX_CHUNK_BYTES, Check, Checked, Commit, Committed, Put, Wanted


class BlobsController(Controller):
    path = "/sync/blobs"

    @post("/check", status_code=200, opt=rule(Surface.RUNTIME, "sync:write"), summary="Ask which chunks are wanted")
    async def check(
        self,
        data: JSONBody[Check],
        runtime: NamedDependency[Runtime],
        db: NamedDependency[Database],
        blobs: NamedDependency[Blobs],
    ) -> Checked:
        """Chunks of checkpoints that are in the log: what is held already need not be sent."""
        async with db.tenant(runtime.tenant_id) as tx:
            if (await standing.seen(tx, runtime)).content_policy == "metadata":
                raise ContentNotAllowed
            found = await chunks.check(tx, data.chunks)
            now = tx.now
        wanted = []
        for sha256, state in found.items():
            key = bytes.fromhex(sha256)
            name = chunks.name_of(runtime.tenant_id, key)
            upload = blobs.upload(name, key, now) if data.direct and state == "put" else None
            if upload is None:
                wanted.append(Wanted(sha256=sha256, state=state))
            else:
                wanted.append(Wanted(sha256=sha256, state=state, url=upload.url, headers=upload.headers))
        return Checked(chunks=wanted)

    @put(
        "/{sha256:str}",
        status_code=200,
        opt=rule(Surface.RUNTIME, "sync:write"),
        request_max_body_size=MAX_CHUNK_BYTES + 1,
        summary="Send a chunk",
    )
    async def put(
        self,
        request: Request[Runtime, Any, Any],
        runtime: NamedDependency[Runtime],
        db: NamedDependency[Database],
        blobs: NamedDependency[Blobs],
        sha256: FromPath[str],
    ) -> Put:
        """Where the object store takes nothing from outside: its bytes, as they were asked about."""
        key = _hash(sha256)
        async with db.tenant(runtime.tenant_id) as tx:
            if (await standing.seen(tx, runtime)).content_policy == "metadata":
                raise ContentNotAllowed
            wanted = await chunks.expected(tx, key)
        content = await request.body()
        chunks.examine(wanted, content)
        await blobs.put(chunks.name_of(runtime.tenant_id, key), content)
        async with db.tenant(runtime.tenant_id) as tx:
            await chunks.stored(tx, key)
        return Put(sha256=sha256)

    @post("/commit", status_code=200, opt=rule(Surface.RUNTIME, "sync:write"), summary="Commit chunks")
    async def commit(
        self,
        data: JSONBody[Commit],
        runtime: NamedDependency[Runtime],
        db: NamedDependency[Database],
        blobs: NamedDependency[Blobs],
    ) -> Committed:
        """Chunks that were put, in their order; where one is refused, those before it are committed."""
        asked = list(dict.fromkeys(bytes.fromhex(each) for each in data.chunks))
        async with db.tenant(runtime.tenant_id) as tx:
            await standing.seen(tx, runtime)
            held = {row.sha256: row for row in await chunks.rows(tx, asked)}
        verified, refused = await _verified(blobs, runtime, asked, held)
        async with db.tenant(runtime.tenant_id) as tx:
            await chunks.commit(tx, verified)
        if refused is not None:
            raise refused
        return Committed(chunks=len(verified))


async def _verified(
    blobs: Blobs, runtime: Runtime, asked: list[bytes], held: dict[bytes, Held]
) -> tuple[list[bytes], ChunkRefused | None]:
    """Those that are what they should be, up to the first that is not."""
    good: list[bytes] = []
    for key in asked:
        chunk = held.get(key)
        try:
            if chunk is None:
                raise ChunkNotOffered(key)
            if chunk.state == "condemned":
                raise chunks.ChunkCondemned(key)
            if chunk.state == "offered":  # it went right into the object store, so nobody has looked at it yet
                await chunks.verify(blobs, runtime.tenant_id, chunk)
        except ChunkRefused as refused:
            return good, refused
        good.append(key)
    return good, None


def _hash(text: str) -> bytes:
    try:
        key = bytes.fromhex(text)
    except ValueError:
        raise NotFound from None
    if len(key) != 32 or key.hex() != text:
        raise NotFound
    return key
