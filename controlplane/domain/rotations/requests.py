"""Rotations: which were asked for, how far they are, and when they have to be over."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final, Literal, TypeAlias
from uuid import UUID

from msgspec import Struct

from controlplane.db import schema as t
from controlplane.db.database import PlatformTx, ScopedTx, TenantTx
from controlplane.domain import audit
from controlplane.domain.audit import Actor
from controlplane.kit.ids import TenantId, new_id, text_id
from controlplane.kit.problems import NotFound, Refusal

Kind: TypeAlias = Literal["master", "rewrap", "data", "emergency"]
"""A new master key; everything under the one there is; new data keys of one owner; everything new for everybody."""

Step: TypeAlias = Literal["waiting", "wrapping", "sealing", "resting", "destroying", "done"]

MOST_SHOWN: Final = 50


class Rotation(Struct, frozen=True, kw_only=True):
    id: UUID
    kind: Kind
    tenant: TenantId | None
    """Whose data keys; None: the platform's, or everybody's."""
    step: Step
    asked_by: str
    asked_at: datetime
    due_at: datetime | None
    """When it has to be over; None: nobody said."""
    rests_until: datetime | None
    """Until when replaced data keys are kept for those who have just read what they open."""
    ended_at: datetime | None
    total: int
    """Records that it has found so far to do."""
    done: int
    problem: str
    """What stopped it last; it is tried again."""

    @property
    def percent(self) -> int:
        """Of the records that it has found, rounded down; 100 when it is over."""
        if self.step == "done":
            return 100
        return min(99, 100 * self.done // self.total) if self.total else 0

    def is_late(self, now: datetime) -> bool:
        """Whether it should have been over."""
        return self.due_at is not None and (self.ended_at or now) > self.due_at


class RotationOpen(Refusal):
    """Keys that are being replaced are not replaced once more."""

    code, status, title = "rotation-open", 409, "These keys are being rotated already"
    hint = "Wait until it is done: controlplane vault status."

    def __init__(self, rotation: Rotation) -> None:
        super().__init__(f"{shown(rotation.id)} has been {rotation.step} since {rotation.asked_at.isoformat()}")
        self.rotation = rotation

    def facts(self) -> dict[str, object]:
        return {"rotation": shown(self.rotation.id)}


def shown(rotation_id: UUID) -> str:
    """As people and programs see its id."""
    return text_id("rot", rotation_id)


async def ask(tx: ScopedTx, actor: Actor, kind: Kind, due_at: datetime | None = None) -> Rotation:
    """Have keys rotated by whoever gets to it: those of the tenant of *tx*, or of the platform and everybody.

    Raises:
        RotationOpen: If one of the same kind, for the same owner, is not over.
    """
    platform = tx.on_platform() if isinstance(tx, TenantTx) else tx
    tenant = tx.tenant_id if isinstance(tx, TenantTx) else None
    await platform.alone("key rotations")
    for other in await open_ones(platform):
        if (other.kind, other.tenant) == (kind, tenant):
            raise RotationOpen(other)
    [made] = await platform.take(
        Rotation,
        platform.insert(t.key_rotations).values(
            id=new_id(tx.now),
            kind=kind,
            tenant=tenant,
            step="waiting",
            asked_by=actor.id or actor.kind,
            asked_at=tx.now,
            due_at=due_at,
            total=0,
            done=0,
            problem="",
        ),
    )
    audit.record(tx, actor, "keys.rotation-asked", ("rotation", shown(made.id)), kind=kind)
    return made


async def open_ones(tx: PlatformTx) -> Sequence[Rotation]:
    """Those that are not over, in the order in which they were asked for."""
    its = t.key_rotations.c
    return await tx.all(Rotation, tx.select(t.key_rotations).where(its.ended_at.is_(None)).order_by(its.id))


async def listing(tx: PlatformTx, *, after: UUID | None = None, limit: int = MOST_SHOWN) -> list[Rotation]:
    """All there ever were, the newest first."""
    wanted = tx.select(t.key_rotations)
    if after is not None:
        wanted = wanted.where(t.key_rotations.c.id < after)
    return await tx.all(Rotation, wanted.order_by(t.key_rotations.c.id.desc()).limit(limit))


async def get(tx: PlatformTx, rotation_id: UUID) -> Rotation:
    """
    Raises:
        NotFound: If there is no such rotation.
    """
    found = await tx.first(Rotation, tx.select(t.key_rotations).where(t.key_rotations.c.id == rotation_id))
    if found is None:
        raise NotFound
    return found


async def note(tx: PlatformTx, rotation_id: UUID, **values: object) -> bool:
    """Write down how far it is; what stopped it before does not any more, unless *values* say so.

    Returns False if it is over already: somebody else went on with it at the same time.
    """
    its = t.key_rotations.c
    open_one = tx.update(t.key_rotations).where(its.id == rotation_id, its.ended_at.is_(None))
    return bool(await tx.run(open_one.values(**{"problem": "", **values})))


async def count(tx: PlatformTx, rotation_id: UUID, *, done: int = 0, total: int = 0) -> None:
    """Add to its counters."""
    its = t.key_rotations.c
    mine = tx.update(t.key_rotations).where(its.id == rotation_id)
    await tx.run(mine.values(done=its.done + done, total=its.total + total))
