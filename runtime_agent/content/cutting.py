"""Where a document is cut: at places that its content decides, so that what stays as it was stays the same chunk.

A gear hash runs over the bytes; where its upper bits are zero a chunk ends. What is put in or taken out somewhere
changes the chunks around it and no others.
"""

from collections.abc import Iterator
from hashlib import sha256
from typing import NamedTuple

BITS = 32
GEAR = tuple(int.from_bytes(sha256(b"gear" + bytes([byte])).digest()[:4], "big") for byte in range(256))


class Grain(NamedTuple):
    """How large chunks are."""

    least: int
    mask: int
    most: int


FINE = Grain(least=1 << 10, mask=0xFFF << 20, most=32 << 10)
"""About 5 KiB each: of a checkpoint, that repeats the whole memory, little is new."""

COARSE = Grain(least=16 << 10, mask=0xFFFF << 16, most=256 << 10)
"""About 80 KiB each: a manifest has room for so many and no more."""

LARGE = 1 << 20
"""Bytes from which on a document is cut coarsely."""


def cut(content: bytes) -> Iterator[bytes]:
    """The chunks of *content*, in their order; none of nothing."""
    grain = FINE if len(content) < LARGE else COARSE
    start = 0
    while start < len(content):
        end = _end(content, start, grain)
        yield content[start:end]
        start = end


def _end(content: bytes, start: int, grain: Grain) -> int:
    gear, mask, full = GEAR, grain.mask, (1 << BITS) - 1
    hashed, first, last = 0, start + grain.least, min(start + grain.most, len(content))
    for position, byte in enumerate(content[first:last], first + 1):
        hashed = ((hashed << 1) + gear[byte]) & full
        if not hashed & mask:
            return position
    return last
