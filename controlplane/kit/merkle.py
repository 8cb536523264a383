"""Merkle trees over append-only logs (RFC 6962, section 2.1), held as no more than their right edge."""

import hashlib
from collections.abc import Sequence

EMPTY = hashlib.sha256().digest()
"""The root of a tree without leaves."""


class Tree:
    """A tree that grows at its end and knows its root; it remembers one hash per bit of its size, not its leaves."""

    def __init__(self, size: int = 0, edge: Sequence[bytes] = ()) -> None:
        """
        Args:
            size: Number of leaves so far.
            edge: Roots of the complete subtrees that make up the tree, largest first: one for each 1 in *size*.

        Raises:
            ValueError: If there are not that many.
        """
        if len(edge) != size.bit_count() or size < 0:
            raise ValueError(f"a tree of {size} leaves has {size.bit_count()} complete subtrees")
        self.size = size
        self.edge = list(edge)

    def append(self, leaf: bytes) -> None:
        """Add one leaf's data at the end."""
        node, size = hashlib.sha256(b"\x00" + leaf).digest(), self.size
        while size & 1:
            node = _parent(self.edge.pop(), node)
            size >>= 1
        self.edge.append(node)
        self.size += 1

    def root(self) -> bytes:
        """The Merkle tree hash over all leaves so far."""
        if not self.edge:
            return EMPTY
        *others, node = self.edge
        for left in reversed(others):
            node = _parent(left, node)
        return node


def _parent(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\x01" + left + right).digest()
