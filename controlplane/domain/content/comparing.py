"""Two checkpoints side by side: their files fetched, and what is different in them."""

from collections.abc import Sequence
from itertools import islice
from typing import Any, TypeAlias
from uuid import UUID

import msgspec
from msgspec import Struct

from controlplane.db.database import TenantTx
from controlplane.domain import audit
from controlplane.domain.audit import Actor
from controlplane.domain.content import reading
from controlplane.domain.content.differences import MOST, Difference, differences
from controlplane.domain.content.reading import ContentDamaged, ContentSealed, Manifest, Part
from controlplane.kit.blobs import Blobs
from controlplane.kit.ids import text_id

Pair: TypeAlias = tuple[tuple[Manifest, list[Part]], tuple[Manifest, list[Part]]]


class Compared(Struct, frozen=True, kw_only=True):
    differences: Sequence[Difference]
    truncated: bool
    """There are more than are told."""


async def pair(tx: TenantTx, actor: Actor, before: UUID, after: UUID) -> Pair:
    """What both are made of; that somebody compares them goes into the audit log.

    Raises:
        ContentAbsent, ContentPruned, ContentIncomplete, ContentSealed: If one of them cannot be read.
    """
    found = await reading.manifest(tx, before), await reading.manifest(tx, after)
    if any(manifest.policy == "sealed" for manifest, _ in found):
        raise ContentSealed
    target = ("checkpoint", text_id("cp", before))
    audit.record(tx, actor, "checkpoint.compared", target, other=text_id("cp", after))
    return found


async def compared(blobs: Blobs, tenant_id: UUID, both: Pair) -> Compared:
    """
    Raises:
        ContentDamaged, BlobsUnreachable: If one of them cannot be had.
    """
    before, after = [_parsed(await reading.document(blobs, tenant_id, *each)) for each in both]
    found = list(islice(differences(before, after), MOST + 1))
    return Compared(differences=found[:MOST], truncated=len(found) > MOST)


def _parsed(content: bytes) -> Any:
    try:
        return msgspec.json.decode(content)
    except msgspec.DecodeError:
        raise ContentDamaged from None
