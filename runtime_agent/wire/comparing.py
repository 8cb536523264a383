"""Comparing what a runtime has said with what is held of it: counts and sums first, names where they differ.

A thing's name here is the last eight bytes of its derived id (``docs/reference/derived-ids.md``), which both sides can
compute. Its version is the instant of its state in microseconds since 1970, 0 of what is no state.
"""

from hashlib import sha256
from typing import Annotated, Final, Literal, TypeAlias
from uuid import UUID

from msgspec import Meta, Struct

from runtime_agent.wire.types import Count, Epoch, Head

KINDS: Final = ("session", "run", "checkpoint", "cost")
BUCKETS: Final = 256
"""Of each kind: by the second byte of the name, the first of which is not all noise."""

MAX_ITEMS: Final = 5_000

Kind: TypeAlias = Literal["session", "run", "checkpoint", "cost"]
Name: TypeAlias = Annotated[str, Meta(pattern="^[0-9a-f]{16}$")]
"""Eight bytes in hexadecimal."""


class Bucket(Struct, frozen=True, kw_only=True):
    """How many things are in a bucket, and the exclusive or of :func:`digest` over them."""

    kind: Kind
    bucket: Annotated[int, Meta(ge=0, lt=BUCKETS)]
    count: Count
    xor: Name


class Manifest(Struct, frozen=True, kw_only=True):
    """``POST /v1/runtime/sync/manifest``. Without buckets: only ask what ids are derived from, and where the log stands."""

    buckets: Annotated[list[Bucket], Meta(max_length=len(KINDS) * BUCKETS)] | None = None
    """Those that are not empty; the others are."""


class Compared(Struct, frozen=True, kw_only=True):
    tenant_id: UUID
    """What ids are derived from, with the runtime's own."""
    store_id: UUID
    epoch: Epoch
    last_seq: Count
    head: Head
    differs: list[Bucket] = []
    """Those that are not the same here, as they are here."""


class Item(Struct, frozen=True, kw_only=True):
    kind: Kind
    name: Name
    version: Annotated[int, Meta(ge=0, le=1 << 53)] = 0


class Items(Struct, frozen=True, kw_only=True):
    """``POST /v1/runtime/sync/manifest/items``: what is in buckets that differ."""

    items: Annotated[list[Item], Meta(max_length=MAX_ITEMS)]


class Want(Struct, frozen=True, kw_only=True):
    """Places in the list that was sent."""

    want: list[int]
    """Missing or older here: to be said again."""
    newer: list[int]
    """Newer here."""
    absent: Count = 0
    """How many of those that are wanted are not there at all."""


class Found(Struct, frozen=True, kw_only=True):
    """``POST /v1/runtime/sync/manifest/found``: what the whole comparison came to, to be shown."""

    wanted: Count
    newer: Count


def digest(name: bytes, version: int) -> int:
    """What a thing adds to the sum of its bucket."""
    return int.from_bytes(sha256(name + version.to_bytes(8, "big")).digest()[:8], "big")


class Names:
    """The names of one runtime's things."""

    def __init__(self, tenant_id: UUID, runtime_id: UUID) -> None:
        self._begun = sha256(f"{tenant_id}\x1f{runtime_id}\x1f".encode())

    def of(self, kind: str, key: str) -> bytes:
        """The last eight bytes of the id that is derived from *key*."""
        hashing = self._begun.copy()
        hashing.update(f"{kind}\x1f{key}".encode())
        noise = int.from_bytes(hashing.digest()[2:10], "big")
        return (noise & _NOISE | _VARIANT).to_bytes(8, "big")


_NOISE: Final = (1 << 62) - 1
_VARIANT: Final = 1 << 63
