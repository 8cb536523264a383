"""Comparing both sides: what this runtime has said, as it remembers it, with what the control plane holds of it."""

import asyncio
from collections import defaultdict
from collections.abc import Iterator
from datetime import datetime
from itertools import islice
from typing import Final
from uuid import UUID

from msgspec import Struct

from runtime_agent.clock import Clock, to_ms
from runtime_agent.outbox import Outbox, refilling
from runtime_agent.outbox.position import position
from runtime_agent.outbox.refilling import Entity
from runtime_agent.server import Server
from runtime_agent.wire.comparing import (
    MAX_ITEMS,
    Bucket,
    Compared,
    Found,
    Item,
    Items,
    Manifest,
    Names,
    digest,
)

EVERY_MS: Final = 86_400_000


class Difference(Struct, kw_only=True):
    """What is not the same on both sides."""

    said: int = 0
    """Things that this runtime has said, and could compare."""
    missing: list[Entity] = []
    """Missing or older there."""
    newer: int = 0
    """Newer there."""
    only_there: int = 0
    """Known there and not here any more: sessions that were deleted here long ago."""


def is_due(outbox: Outbox, now: datetime, store_id: UUID) -> bool:
    """Once a day, and whenever the control plane's database is another one than before."""
    last = refilling.last_compared(outbox)
    return last is None or last[0] != store_id or not 0 <= to_ms(now) - last[1] < EVERY_MS


async def compare(outbox: Outbox, server: Server) -> tuple[Compared, Difference]:
    """Ask the control plane what it does not hold as we do.

    Raises:
        Unreachable, Busy, Refused: As of any call.
    """
    names = Names((await server.manifest(Manifest())).tenant_id, outbox.runtime_id)
    sums = await asyncio.to_thread(_sums, outbox, names)
    answer = await server.manifest(Manifest(buckets=list(sums.values())))
    found = Difference(said=sum(bucket.count for bucket in sums.values()))
    differing: set[tuple[str, int]] = {(bucket.kind, bucket.bucket) for bucket in answer.differs}
    things, absent = _things(outbox, names, differing), 0
    while chunk := await asyncio.to_thread(lambda: list(islice(things, MAX_ITEMS))):
        want = await server.manifest_items(Items(items=[item for _, item in chunk]))
        found.missing += [chunk[place][0] for place in want.want]
        found.newer += len(want.newer)
        absent += want.absent
    ours = sum(bucket.count for place, bucket in sums.items() if place in differing)
    found.only_there = sum(bucket.count for bucket in answer.differs) - (ours - absent)
    return answer, found


async def reconcile(outbox: Outbox, server: Server, clock: Clock) -> Difference:
    """Compare, have what is missing there read and said anew, and let the control plane know what it came to.

    Raises:
        Unreachable, Busy, Refused: As of any call; then nothing is forgotten, and it is due again.
    """
    answer, found = await compare(outbox, server)
    await asyncio.to_thread(refilling.forget, outbox, found.missing, clock())
    await server.manifest_found(Found(wanted=len(found.missing), newer=found.newer))
    refilling.note_compared(outbox, answer.store_id, clock())
    return found


def is_level(outbox: Outbox) -> bool:
    """Whether everything that was written has been acknowledged: before that there is nothing to compare."""
    where = position(outbox)
    return where.epoch > 0 and where.acked == where.last_seq


def _sums(outbox: Outbox, names: Names) -> dict[tuple[str, int], Bucket]:
    counts: dict[tuple[str, int], int] = defaultdict(int)
    sums: dict[tuple[str, int], int] = defaultdict(int)
    for entity in refilling.entities(outbox):
        name = _name(names, entity)
        counts[entity.kind, name[1]] += 1
        sums[entity.kind, name[1]] ^= digest(name, entity.version)
    return {
        place: Bucket(kind=place[0], bucket=place[1], count=count, xor=f"{sums[place]:016x}")  # type: ignore[arg-type]
        for place, count in counts.items()
    }


def _things(outbox: Outbox, names: Names, places: set[tuple[str, int]]) -> Iterator[tuple[Entity, Item]]:
    """What is in the buckets *places*."""
    if not places:
        return
    for entity in refilling.entities(outbox):
        name = _name(names, entity)
        if (entity.kind, name[1]) in places:
            yield entity, Item(kind=entity.kind, name=name.hex(), version=entity.version)  # type: ignore[arg-type]


def _name(names: Names, entity: Entity) -> bytes:
    """Cost lines go by their own id alone."""
    key = entity.key.removeprefix(f"{entity.unit_key}/") if entity.kind == "cost" else entity.key
    return names.of(entity.kind, key)
