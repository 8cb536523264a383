"""Reading content back: whether all of it is here, the file of one checkpoint, or its sealed parts for who has the key."""

import asyncio
import base64
import hashlib
import io
from collections.abc import Sequence
from datetime import datetime
from typing import Final, Literal, TypeAlias
from uuid import UUID

import msgspec
import zstandard
from msgspec import Struct
from sqlalchemy import text

from controlplane.db import schema as t
from controlplane.db.database import TenantTx, Tx
from controlplane.domain import audit
from controlplane.domain.audit import Actor
from controlplane.domain.content.chunks import name_of
from controlplane.kit.blobs import Absent, Blobs, TooMuch
from controlplane.kit.ids import text_id
from controlplane.kit.problems import Refusal
from runtime_agent.wire.content import MAX_CHUNK_BYTES, SealedContent

MAX_DOCUMENT: Final = 64 << 20
"""Bytes of a file that is put together here."""

AT_ONCE: Final = 8
"""Chunks that are fetched side by side."""

State: TypeAlias = Literal["arriving", "complete", "pruned"]

STANDINGS: Final = text("""
    SELECT c.checkpoint_id, c.policy, c.size, c.pruned_at,
        NOT EXISTS (
            SELECT FROM content_chunks k
            LEFT JOIN chunks h ON h.tenant_id = k.tenant_id AND h.sha256 = k.sha256 AND h.state = 'committed'
            WHERE k.tenant_id = c.tenant_id AND k.checkpoint_id = c.checkpoint_id AND h.sha256 IS NULL
        ) AS whole
    FROM contents c WHERE c.tenant_id = :tenant_id AND c.checkpoint_id = ANY (:seen)
""")


class ContentUnavailable(Refusal):
    """There is a checkpoint, and its content cannot be read."""

    status, title = 409, "The content of this checkpoint cannot be read"


class ContentAbsent(ContentUnavailable):
    code, title = "content-absent", "The content of this checkpoint never came"
    hint = "Only content that the project's policy and the agent's settings let leave comes here."


class ContentIncomplete(ContentUnavailable):
    code, title = "content-incomplete", "The content of this checkpoint is still arriving"
    hint = "Its `content.state` turns to `complete` once every part is committed."


class ContentPruned(ContentUnavailable):
    code, status, title = "content-pruned", 410, "The content of this checkpoint was pruned"
    hint = "The project's `keep_days` says how long content stays."


class ContentDamaged(ContentUnavailable):
    """What the object store has is not what was committed."""

    code, title = "content-damaged", "The content of this checkpoint is damaged"
    hint = "Restore the object store; the runtime itself may still have the checkpoint."


class ContentSealed(ContentUnavailable):
    code, title = "content-sealed", "The content of this checkpoint is sealed"
    hint = "Export it, and open it with your private key: `runtime-agent content open`."


class Standing(Struct, frozen=True, kw_only=True):
    """What is here of one checkpoint's content."""

    checkpoint_id: UUID
    policy: str
    size: int
    """Bytes of the file."""
    pruned_at: datetime | None
    whole: bool
    """Every chunk is committed."""

    @property
    def state(self) -> State:
        if self.pruned_at is not None:
            return "pruned"
        return "complete" if self.whole else "arriving"


class Manifest(Struct, frozen=True, kw_only=True):
    """What a checkpoint's file is made of."""

    checkpoint_id: UUID
    policy: str
    size: int
    digest: bytes
    suite: int
    kid: str
    sealed_key: bytes


class Part(Struct, frozen=True, kw_only=True):
    sha256: bytes
    size: int


async def standings(tx: Tx, tenant_id: UUID, checkpoints: Sequence[UUID]) -> dict[UUID, Standing]:
    """Of those of *checkpoints* whose content came, or was announced."""
    found = await tx.query(Standing, STANDINGS, tenant_id=tenant_id, seen=list(checkpoints))
    return {each.checkpoint_id: each for each in found}


async def manifest(tx: TenantTx, checkpoint_id: UUID) -> tuple[Manifest, list[Part]]:
    """What to put together, all of which is here.

    Raises:
        ContentAbsent, ContentPruned, ContentIncomplete: If it is not.
    """
    standing = (await standings(tx, tx.tenant_id, [checkpoint_id])).get(checkpoint_id)
    if standing is None:
        raise ContentAbsent
    if standing.state == "pruned":
        raise ContentPruned
    if standing.state == "arriving":
        raise ContentIncomplete
    [found] = await tx.all(Manifest, tx.select(t.contents).where(t.contents.c.checkpoint_id == checkpoint_id))
    its = tx.select(t.content_chunks).where(t.content_chunks.c.checkpoint_id == checkpoint_id)
    return found, await tx.all(Part, its.order_by(t.content_chunks.c.position))


async def taken_out(tx: TenantTx, actor: Actor, checkpoint_id: UUID) -> tuple[Manifest, list[Part]]:
    """What to put together for somebody who takes it away; that goes into the audit log.

    Raises:
        ContentAbsent, ContentPruned, ContentIncomplete: As :func:`manifest`.
    """
    found, parts = await manifest(tx, checkpoint_id)
    audit.record(tx, actor, "checkpoint.exported", ("checkpoint", text_id("cp", checkpoint_id)), policy=found.policy)
    return found, parts


async def document(blobs: Blobs, tenant_id: UUID, found: Manifest, parts: Sequence[Part]) -> bytes:
    """The file, byte for byte.

    Raises:
        ContentSealed: Only the tenant can.
        ContentDamaged: If the object store has something else.
        BlobsUnreachable: If it does not answer.
    """
    if found.policy == "sealed":
        raise ContentSealed
    if found.size > MAX_DOCUMENT:
        raise ContentDamaged
    whole, room = [], found.size
    for packed in await _fetched(blobs, tenant_id, parts):
        whole.append(_unpacked(packed, room))
        room -= len(whole[-1])
    content = b"".join(whole)
    if hashlib.sha256(content).digest() != found.digest:
        raise ContentDamaged
    return content


async def sealed(blobs: Blobs, tenant_id: UUID, found: Manifest, parts: Sequence[Part], name: str) -> bytes:
    """What the tenant opens with its private key, as one JSON document.

    Raises:
        ContentDamaged, BlobsUnreachable: As :func:`document`.
    """
    chunks = await _fetched(blobs, tenant_id, parts)
    return msgspec.json.encode(
        SealedContent(
            checkpoint=name,
            size=found.size,
            digest=found.digest.hex(),
            suite=found.suite,
            kid=found.kid,
            sealed_key=base64.urlsafe_b64encode(found.sealed_key).rstrip(b"=").decode(),
            chunks=[base64.b64encode(chunk).decode() for chunk in chunks],
        )
    )


async def _fetched(blobs: Blobs, tenant_id: UUID, parts: Sequence[Part]) -> list[bytes]:
    turns = asyncio.Semaphore(AT_ONCE)

    async def fetch(part: Part) -> bytes:
        async with turns:
            try:
                found = await blobs.get(name_of(tenant_id, part.sha256), MAX_CHUNK_BYTES)
            except (Absent, TooMuch):
                raise ContentDamaged from None
        if hashlib.sha256(found).digest() != part.sha256:
            raise ContentDamaged
        return found

    return await asyncio.gather(*map(fetch, parts))


def _unpacked(packed: bytes, most: int) -> bytes:
    """At most *most* bytes, whatever the frame declares."""
    reader = zstandard.ZstdDecompressor(max_window_size=1 << 27).stream_reader(
        io.BytesIO(packed), read_across_frames=False
    )
    try:
        content = reader.read(most + 1)
    except zstandard.ZstdError:
        raise ContentDamaged from None
    if len(content) > most:
        raise ContentDamaged
    return content
