"""The hash chain over a log: every position carries a hash of the whole history before it.

``c_0 = SHA-256(runtime id, 16 bytes || epoch, 8 bytes big endian)`` and
``c_n = SHA-256(c_(n-1) || SHA-256(line_n))``, where a line is its raw bytes without the line feed.
"""

from collections.abc import Iterable
from hashlib import sha256
from uuid import UUID


def origin(runtime_id: UUID, epoch: int) -> bytes:
    """The head before the first record of *epoch*."""
    return sha256(runtime_id.bytes + epoch.to_bytes(8, "big")).digest()


def extend(head: bytes, lines: Iterable[bytes]) -> bytes:
    """The head after *lines* follow *head*."""
    for line in lines:
        head = sha256(head + sha256(line).digest()).digest()
    return head
