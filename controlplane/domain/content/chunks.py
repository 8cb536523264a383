"""The blob lane: which chunks are wanted, one of them taken, and what was put committed.

A chunk belongs to its tenant: what another tenant has is as unknown here as what nobody has. No transaction is open
while the object store is asked.
"""

import hashlib
from collections.abc import Sequence
from typing import Final
from uuid import UUID

from msgspec import Struct

from controlplane.db import schema as t
from controlplane.db.database import TenantTx
from controlplane.kit.blobs import Absent, Blobs, TooMuch
from controlplane.kit.problems import Refusal
from runtime_agent.wire.content import MAX_CHUNK_BYTES, Chunk

FOLDER: Final = "chunks"
"""What the names of all chunks in the object store begin with."""


class ChunkRefused(Refusal):
    """One chunk is not taken; which one is among the facts."""

    status, title = 409, "This chunk is not taken"

    def __init__(self, sha256: bytes) -> None:
        super().__init__(f"chunk {sha256.hex()}")
        self.sha256 = sha256

    def facts(self) -> dict[str, object]:
        return {"sha256": self.sha256.hex()}


class ChunkHashWrong(ChunkRefused):
    """The bytes are others than those that were announced."""

    code, status, title = "chunk-hash-wrong", 400, "The chunk's SHA-256 is not its name"
    hint = "Send it again; where this repeats, something between changes the bytes."


class ChunkTruncated(ChunkRefused):
    """Fewer bytes than were announced."""

    code, status, title = "chunk-truncated", 400, "The chunk is shorter than was said"
    hint = "Send it again, whole."


class ChunkTooLong(ChunkRefused):
    """More bytes than were announced."""

    code, status, title = "chunk-too-long", 413, "The chunk is longer than was said"
    hint = "Send exactly the bytes that were asked about."


class ChunkNotOffered(ChunkRefused):
    """Nobody of this tenant has asked about it, whoever else may have it."""

    code, status, title = "chunk-not-offered", 404, "This chunk was not asked about"
    hint = "Ask with POST …/blobs/check first; checkpoints made of it have to be in the log by then."


class ChunkCommitted(ChunkRefused):
    """It is there, and nobody puts anything in its place."""

    code, title = "chunk-committed", "This chunk is held already"
    hint = "There is nothing to send."


class ChunkCondemned(ChunkRefused):
    """It is just being deleted, because no checkpoint was made of it for long."""

    code, title = "chunk-condemned", "This chunk is being deleted"
    hint = "Ask again in some minutes; then it is taken anew."


class ChunkMissing(ChunkRefused):
    """It was not put, or the object store has lost it."""

    code, title = "chunk-missing", "There is no such chunk in the object store"
    hint = "Ask again where to put it."


class ContentNotAllowed(Refusal):
    """The project lets nothing but metadata leave."""

    code, status, title = "content-not-allowed", 403, "This project takes no checkpoint content"
    hint = "PUT …/projects/{project}/content-policy decides; the agent asks again at its next heartbeat."


class Held(Struct, frozen=True):
    sha256: bytes
    size: int
    state: str


def name_of(tenant_id: UUID, sha256: bytes) -> str:
    """Where the object store has it."""
    text = sha256.hex()
    return f"{FOLDER}/{tenant_id}/{text[:2]}/{text}"


async def check(tx: TenantTx, asked: Sequence[Chunk]) -> dict[str, str]:
    """What is to be done with each: ``have``, ``put``, ``later`` or ``unwanted``. What is to be put is offered."""
    wanted = {bytes.fromhex(chunk.sha256): chunk for chunk in asked}
    used = {row.sha256 for row in await _used(tx, list(wanted))}
    held = {row.sha256: row.state for row in await rows(tx, list(wanted))}
    offered = [
        {"sha256": key, "size": chunk.size, "state": "offered", "touched_at": tx.now}
        for key, chunk in sorted(wanted.items())
        if key in used and key not in held
    ]
    if offered:
        await tx.run(tx.insert(t.chunks).on_conflict_do_nothing(), offered)
    return {chunk.sha256: _todo(key in used, held.get(key, "offered")) for key, chunk in wanted.items()}


def _todo(used: bool, state: str) -> str:
    if not used:
        return "unwanted"
    return {"committed": "have", "condemned": "later"}.get(state, "put")


async def expected(tx: TenantTx, sha256: bytes) -> Held:
    """The chunk that may be put.

    Raises:
        ChunkNotOffered, ChunkCommitted, ChunkCondemned: If it may not.
    """
    found = await rows(tx, [sha256])
    if not found:
        raise ChunkNotOffered(sha256)
    if found[0].state == "committed":
        raise ChunkCommitted(sha256)
    if found[0].state == "condemned":
        raise ChunkCondemned(sha256)
    return found[0]


def examine(chunk: Held, content: bytes) -> None:
    """
    Raises:
        ChunkTruncated, ChunkTooLong, ChunkHashWrong: If *content* is not the chunk.
    """
    if len(content) < chunk.size:
        raise ChunkTruncated(chunk.sha256)
    if len(content) > chunk.size:
        raise ChunkTooLong(chunk.sha256)
    if hashlib.sha256(content).digest() != chunk.sha256:
        raise ChunkHashWrong(chunk.sha256)


async def stored(tx: TenantTx, sha256: bytes) -> None:
    """Note that the object store has it, and that it is what it should be.

    Raises:
        ChunkCondemned: If it was given up meanwhile.
    """
    mine = tx.update(t.chunks).where(t.chunks.c.sha256 == sha256, t.chunks.c.state.in_(("offered", "stored")))
    if not await tx.run(mine.values(state="stored", touched_at=tx.now)):
        raise ChunkCondemned(sha256)


async def verify(blobs: Blobs, tenant_id: UUID, chunk: Held) -> None:
    """See that what was put right into the object store is the chunk; what is not is deleted there.

    Raises:
        ChunkMissing, ChunkTruncated, ChunkTooLong, ChunkHashWrong: If it is not.
        BlobsUnreachable: Nobody knows.
    """
    name = name_of(tenant_id, chunk.sha256)
    try:
        examine(chunk, await blobs.get(name, MAX_CHUNK_BYTES))
    except Absent:
        raise ChunkMissing(chunk.sha256) from None
    except TooMuch:
        await blobs.delete([name])
        raise ChunkTooLong(chunk.sha256) from None
    except ChunkRefused:
        await blobs.delete([name])
        raise


async def commit(tx: TenantTx, verified: Sequence[bytes]) -> None:
    """From now on these are held: the agent may forget them once a backup covers that."""
    if verified:
        mine = tx.update(t.chunks).where(t.chunks.c.sha256.in_(verified), t.chunks.c.state != "condemned")
        await tx.run(mine.values(state="committed", touched_at=tx.now))


async def rows(tx: TenantTx, hashes: Sequence[bytes]) -> list[Held]:
    return await tx.all(Held, tx.select(t.chunks).where(t.chunks.c.sha256.in_(hashes)))


async def _used(tx: TenantTx, hashes: Sequence[bytes]) -> list["_Named"]:
    return await tx.all(_Named, tx.select(t.content_chunks).where(t.content_chunks.c.sha256.in_(hashes)).distinct())


class _Named(Struct, frozen=True):
    sha256: bytes
