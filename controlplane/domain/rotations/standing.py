"""How it stands with the keys: which master keys there are and what they hold, data keys by kind, and rotations."""

import time
from collections.abc import Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

from msgspec import Struct
from sqlalchemy import text

from controlplane.db.database import OperatorTx
from controlplane.domain.keys.masters import NAMED, PROVING, State
from controlplane.domain.rotations.requests import Rotation
from controlplane.kit.envelope import NotOpened
from controlplane.kit.ids import TenantId
from controlplane.kit.sealing import KeeperDown, Sealing

MASTERS: Final = text("SELECT name, state, created_at, retired_at FROM master_keys ORDER BY created_at DESC LIMIT 100")

KINDS: Final = text("""
    SELECT kind, count(*) FILTER (WHERE state = 'primary') AS current,
        count(*) FILTER (WHERE state = 'decrypt') AS former, count(*) FILTER (WHERE state = 'destroyed') AS destroyed,
        min(created_at) FILTER (WHERE state = 'primary') AS oldest
    FROM (SELECT kind, state, created_at FROM data_keys
        UNION ALL SELECT kind, state, created_at FROM platform_data_keys) both_kinds
    GROUP BY kind ORDER BY kind
""")

ROTATIONS: Final = text("""
    SELECT r.id, r.kind, r.tenant, r.step, r.asked_by, r.asked_at, r.due_at, r.rests_until, r.ended_at, r.total, r.done,
        r.problem, coalesce(t.slug, '') AS slug
    FROM key_rotations r LEFT JOIN tenants t ON t.tenant_id = r.tenant
    ORDER BY r.ended_at IS NOT NULL, r.id DESC LIMIT 20
""")


class MasterStanding(Struct, frozen=True, kw_only=True):
    name: str
    state: State
    created_at: datetime
    """When this database first heard of it."""
    retired_at: datetime | None
    data_keys: int
    """That are wrapped under it."""
    at_hand: bool
    """Whether this process could use it; a retired one that is can be taken out of the keyring."""


class KindStanding(Struct, frozen=True):
    kind: str
    current: int
    former: int
    """That still open something."""
    destroyed: int
    oldest: datetime | None
    """When the oldest of the current ones was made."""


class Shown(Struct, frozen=True, kw_only=True):
    """A rotation, and whose it is in words."""

    rotation: Rotation
    slug: str


class Standing(Struct, frozen=True, kw_only=True):
    masters: list[MasterStanding]
    kinds: list[KindStanding]
    rotations: list[Shown]
    """Those that are open, then the newest of the others."""

    @property
    def current(self) -> str:
        """The master key that wraps; empty where nothing was ever wrapped."""
        return next((master.name for master in self.masters if master.state == "current"), "")


class Health(Struct, frozen=True, kw_only=True):
    """Of whoever keeps the master key."""

    kind: str
    """``keyring``, ``awskms``, ``gcpkms`` or ``vault``."""
    configured: str
    """The master key that is to wrap by the configuration; empty if nobody says."""
    ms: float
    """How long it took to unwrap something."""
    problem: str
    """Why it does not work; empty: it does."""


class _Master(Struct, frozen=True):
    name: str
    state: State
    created_at: datetime
    retired_at: datetime | None


class _Named(Struct, frozen=True):
    master: str
    rows: int


class _Rotation(Struct, frozen=True):
    id: UUID
    kind: str
    tenant: TenantId | None
    step: str
    asked_by: str
    asked_at: datetime
    due_at: datetime | None
    rests_until: datetime | None
    ended_at: datetime | None
    total: int
    done: int
    problem: str
    slug: str


async def gather(look: OperatorTx, sealing: Sealing) -> Standing:
    """How it stands now. Asks the database only."""
    named = {row.master: row.rows for row in await look.query(_Named, NAMED)}
    masters = [
        MasterStanding(
            name=row.name,
            state=row.state,
            created_at=row.created_at,
            retired_at=row.retired_at,
            data_keys=named.get(row.name, 0),
            at_hand=sealing.keeps(row.name),
        )
        for row in await look.query(_Master, MASTERS)
    ]
    rotations = [_shown(row) for row in await look.query(_Rotation, ROTATIONS)]
    return Standing(masters=masters, kinds=await look.query(KindStanding, KINDS), rotations=rotations)


async def health(sealing: Sealing) -> Health:
    """Wraps something and unwraps it again, with the master key that is configured."""
    began, configured = time.perf_counter(), ""
    try:
        configured = await sealing.current()
        wrapped = await sealing.wrap(configured, PROVING, sealing.mark)
        began = time.perf_counter()
        problem = "" if await sealing.unwrap(configured, PROVING, wrapped) == sealing.mark else "it unwraps wrongly"
    except (KeeperDown, NotOpened) as error:
        problem = f"{getattr(error, 'title', 'It does not open')}: {error}"
    ms = round(1000 * (time.perf_counter() - began), 3)
    kind = "keyring" if sealing.service is None else sealing.service.kind
    return Health(kind=kind, configured=configured, ms=ms, problem=problem)


def to_forget(masters: Sequence[MasterStanding]) -> list[str]:
    """Retired master keys that are still at hand: they open nothing but backups from before."""
    return [master.name for master in masters if master.state == "retired" and master.at_hand]


def _shown(row: _Rotation) -> Shown:
    values = {name: getattr(row, name) for name in Rotation.__struct_fields__}
    return Shown(rotation=Rotation(**values), slug=row.slug)
