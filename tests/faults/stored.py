"""What the server stored, from the bodies as they came."""

from uuid import UUID

import msgspec

from controlplane.domain.sync import batches
from tests.faults.items import item_of_line

STORED = "SELECT epoch, first_seq, skip, last_seq, prev_head, head, record_ids, body FROM sync_batches ORDER BY 1, 4"


class Stretch(msgspec.Struct):
    """The lines of one stored batch that count."""

    epoch: int
    first: int
    prev: bytes
    head: bytes
    lines: list[bytes]
    record_ids: list[UUID]

    @property
    def last(self):
        return self.first + len(self.lines) - 1


def stretches(ask):
    """Every batch, in the order of epochs and numbers."""
    found = []
    for row in ask(STORED):
        lines = batches.unpacked(row["body"])[:-1].split(b"\n")
        first = row["first_seq"] + row["skip"]
        lines = lines[row["skip"] : row["skip"] + row["last_seq"] - first + 1]
        ids = [UUID(bytes=row["record_ids"][at : at + 16]) for at in range(0, len(row["record_ids"]), 16)]
        found.append(Stretch(row["epoch"], first, row["prev_head"], row["head"], lines, ids))
    return found


def stored_items(ask):
    """The items that the stored lines carry."""
    return {found for one in stretches(ask) for line in one.lines for found in item_of_line(line)}


def stored_ids(ask):
    """Ids of the stored records, 16 bytes each."""
    return {identity.bytes for one in stretches(ask) for identity in one.record_ids}
