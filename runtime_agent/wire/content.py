"""Checkpoint content: what of it may leave, the manifest in the log, and the blob lane that brings the chunks."""

from typing import Annotated, Literal, TypeAlias

from msgspec import Meta, Struct

from runtime_agent.wire.types import Amount

MAX_CHUNK_BYTES = 4 << 20
"""Of one chunk as it is sent, compressed and sealed."""

MAX_CHUNKS = 2000
"""Of one checkpoint: its manifest is a line of the log."""

MAX_CHECKED = 500
"""Chunks asked about, or committed, in one call."""

CONTENT_TYPE = "application/octet-stream"

Sha256: TypeAlias = Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]
Policy: TypeAlias = Literal["metadata", "sealed", "plain"]
"""What leaves of a checkpoint, from the least to the most."""

POLICIES: tuple[Policy, ...] = ("metadata", "sealed", "plain")


class Chunk(Struct, frozen=True, kw_only=True, gc=False):
    """A part of some content, known by the SHA-256 of its bytes as they are sent."""

    sha256: Sha256
    size: Annotated[int, Meta(ge=1, le=MAX_CHUNK_BYTES)]


class Content(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a checkpoint's file held: the chunks of which it is made, in their order."""

    policy: Literal["sealed", "plain"]
    size: Annotated[int, Meta(ge=0, le=1 << 30)]
    """Bytes of the file."""
    digest: Sha256
    """Over the whole file: SHA-256 where it is plain, HMAC-SHA-256 with the content key where it is sealed."""
    chunks: Annotated[list[Chunk], Meta(max_length=MAX_CHUNKS)]
    """Each of them zstd; where it is sealed, in AES-256-GCM behind its nonce."""
    suite: Annotated[int, Meta(ge=0, le=255)] = 0
    kid: Annotated[str, Meta(max_length=64)] = ""
    """The tenant's public key, to which :attr:`sealed_key` is sealed."""
    sealed_key: Annotated[str, Meta(max_length=4096)] = ""
    """The content key in an HPKE envelope, base64url."""


class ContentPolicy(Struct, frozen=True, kw_only=True):
    """What the runtime's project wants of checkpoints. An agent never sends more than its own settings allow."""

    policy: Annotated[str, Meta(max_length=20)] = "metadata"
    """One of :data:`POLICIES`; an unknown one means the least."""
    suite: Annotated[int, Meta(ge=0, le=255)] = 0
    key: Annotated[str, Meta(max_length=4096)] = ""
    """The tenant's public key, base64url."""


class Check(Struct, frozen=True, kw_only=True):
    """``POST …/blobs/check``: which of these are wanted?"""

    chunks: Annotated[list[Chunk], Meta(min_length=1, max_length=MAX_CHECKED)]
    direct: bool = True
    """Whether the agent can put chunks right into the object store; False: through the control plane."""


class Wanted(Struct, frozen=True, kw_only=True):
    """What is to be done with one chunk."""

    sha256: Sha256
    state: Annotated[str, Meta(max_length=20)]
    """``have``: nothing. ``put``: send it. ``later``: ask again. ``unwanted``: no checkpoint here is made of it."""
    url: str = ""
    """Where to put it, with :attr:`headers`; empty: ``PUT …/blobs/{sha256}``."""
    headers: dict[str, str] = {}


class Checked(Struct, frozen=True, kw_only=True):
    chunks: list[Wanted]


class Commit(Struct, frozen=True, kw_only=True):
    """``POST …/blobs/commit``: these were put. Those before the first that is refused are committed."""

    chunks: Annotated[list[Sha256], Meta(min_length=1, max_length=MAX_CHECKED)]


class Committed(Struct, frozen=True, kw_only=True):
    chunks: Amount


class Put(Struct, frozen=True, kw_only=True):
    """The answer to one chunk."""

    sha256: Sha256


class SealedContent(Struct, frozen=True, kw_only=True):
    """A sealed checkpoint as the control plane exports it: all that it has of it, and nothing that opens it."""

    format: Literal["engine-cloud-sealed-checkpoint-1"] = "engine-cloud-sealed-checkpoint-1"
    checkpoint: str
    size: int
    digest: Sha256
    suite: int
    kid: str
    sealed_key: str
    chunks: list[str]
    """Base64, in their order."""


class HeldContent(Struct, frozen=True, kw_only=True):
    """``GET …/checkpoints/{checkpoint}/content``: what the control plane has of a checkpoint, for who once sent it."""

    content: Content
    bodies: list[str]
    """Base64, one for each of the content's chunks, in their order."""
