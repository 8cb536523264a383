"""What ``controlplane audit export`` writes: events, the checkpoint that covers them, and the key that signed it."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Final

from msgspec import Struct

from controlplane.cli.problems import Declined
from controlplane.cli.shell import shell, tenant_id
from controlplane.db.database import Database
from controlplane.domain import audit
from controlplane.domain.audit import checkpoints, reads
from controlplane.domain.keys import Keyring
from controlplane.kit.ids import TenantId, text_id

EVENTS, CHECKPOINT, PUBLIC_KEY, READS = "events.jsonl", "checkpoint", "public-key", "reads.jsonl"

A_PAGE: Final = 2_000
EVENTS_OF_READS: Final = 20
"""Events whose reads are taken at once."""


class Exported(Struct, frozen=True):
    events: int
    through: int
    """Number of the last one."""
    checkpoint: str
    public_key: str


async def to_stream(
    db: Database, keyring: Keyring, reference: str, out: BinaryIO, progress: Callable[[int, int], None]
) -> Exported:
    """Write the log's events to *out*, one on a line; what is returned covers no more than was written."""
    chain = await _opened(db, keyring, reference)
    async with db.tenant(chain) as tx:
        newest = await checkpoints.newest(tx)
    events, through = await _write(db, chain, out, progress)
    keys = "".join(f"{key}\n" for key in checkpoints.public_keys(keyring, chain))
    return Exported(events, through, newest.note if newest else "", keys)


async def reads_to_stream(db: Database, reference: str, out: BinaryIO, through: int) -> int:
    """Write the reads of credentials that events up to number *through* have roots over, and return how many."""
    chain, last, count = await tenant_id(db, reference), 0, 0
    while True:
        async with db.tenant(chain) as tx:
            found = [
                read
                for read in await reads.sealed_behind(tx, last, EVENTS_OF_READS)
                if (read.sealed_by or 0) <= through
            ]
        if not found:
            return count
        out.write(b"".join(reads.line(chain, read) + b"\n" for read in found))
        last, count = found[-1].sealed_by or 0, count + len(found)


def beside(path: Path) -> BinaryIO:
    """A file for the reads in the folder of an export."""
    return open(_new(path / READS), "wb")


@contextmanager
def folder(path: Path) -> Iterator[tuple[BinaryIO, Callable[[Exported], dict[str, object]]]]:
    """A file for the events, and what puts checkpoint and key beside it.

    Raises:
        Declined: If there is an export in the folder already.
    """

    def put(exported: Exported) -> dict[str, object]:
        for name, text in ((CHECKPOINT, exported.checkpoint), (PUBLIC_KEY, exported.public_key)):
            with open(_new(path / name), "w", encoding="utf-8") as file:
                file.write(text)
        return {"events": exported.events, "folder": str(path)}

    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        with open(_new(path / EVENTS), "wb") as events:
            yield events, put
    except FileExistsError as error:
        raise Declined(f"{error.filename} is there already.", "Choose another folder.") from None


async def _opened(db: Database, keyring: Keyring, reference: str) -> TenantId:
    """The chain, with the export on record and everything signed."""
    chain = await tenant_id(db, reference)
    async with db.tenant(chain) as tx:
        audit.record(tx, shell(), "audit.exported", ("tenant", text_id("ten", chain)))
    while True:
        async with db.tenant(chain) as tx:
            verdict = await checkpoints.make(tx, keyring)
        if verdict is None or not verdict.unbroken:
            return chain


async def _write(db: Database, chain: TenantId, out: BinaryIO, progress: Callable[[int, int], None]) -> tuple[int, int]:
    """Everything up to the event that is the last one now; how many, and its number."""
    async with db.tenant(chain) as tx:
        head = await checkpoints.head(tx)
    last, count, of = 0, 0, head.seq if head else 0
    while last < of:
        async with db.tenant(chain) as tx:
            events = [event for event in await audit.after(tx, last, A_PAGE) if event.seq <= of]
        if not events:
            break
        out.write(b"".join(audit.line(chain, event) + b"\n" for event in events))
        last, count = events[-1].seq, count + len(events)
        progress(count, of)
    return count, last


def _new(path: Path) -> int:
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
