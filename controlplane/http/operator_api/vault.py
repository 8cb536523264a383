"""/v1/operator/vault: how it stands with the keys that secrets are kept under, and having them replaced."""

from typing import Any

from litestar import Controller, Request, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody
from msgspec import Struct

from controlplane.db.database import Database, PlatformTx
from controlplane.domain import rotations
from controlplane.domain.audit import Actor
from controlplane.domain.keys.masters import State
from controlplane.domain.rotations import Kind, Rotation, Step, standing
from controlplane.http import rotating
from controlplane.http.authorize import Surface, rule
from controlplane.http.instants import Moment, moment
from controlplane.http.pages import Page, Paging
from controlplane.http.paths import identity
from controlplane.http.rotating import NewRotation
from controlplane.kit.ids import text_id

SEES, ROTATES = "operator:vault-read", "operator:vault-rotate"


class RotationView(Struct, frozen=True, kw_only=True):
    id: str
    kind: Kind
    tenant: str | None
    step: Step
    records: int
    """That are done."""
    records_found: int
    """To do, as far as it is known yet."""
    percent: int
    problem: str
    """What stopped it last; it is tried again."""
    asked_by: str
    asked_at: Moment
    due_at: Moment | None
    rests_until: Moment | None
    """Until when replaced keys are kept for those who have just read what they open."""
    ended_at: Moment | None


class MasterView(Struct, frozen=True, kw_only=True):
    name: str
    state: State
    data_keys: int
    """That are wrapped under it."""
    at_hand: bool
    """Whether this replica could use it."""
    first_seen_at: Moment
    retired_at: Moment | None


class KindView(Struct, frozen=True, kw_only=True):
    kind: str
    current: int
    former: int
    """That still open something."""
    destroyed: int
    oldest_at: Moment | None


class KeeperView(Struct, frozen=True, kw_only=True):
    kind: str
    """`keyring`, `awskms`, `gcpkms` or `vault`."""
    configured: str
    """The master key that is to wrap by the configuration of this replica."""
    works: bool
    problem: str
    ms: float
    """How long it took to unwrap something."""


class VaultView(Struct, frozen=True, kw_only=True):
    keeper: KeeperView
    masters: list[MasterView]
    kinds: list[KindView]
    rotations: list[RotationView]
    """Those that are open, then the newest of the others; all: `/v1/operator/vault/rotations`."""


class VaultController(Controller):
    path = "/vault"
    tags = ("operator",)

    @get("/", opt=rule(Surface.OPERATOR, SEES))
    async def show(self, db: NamedDependency[Database]) -> VaultView:
        """Master keys, data keys by kind, rotations, and whether whoever keeps the master key answers. Never a key."""
        assert db.sealing is not None, "servers have keys"
        health = await standing.health(db.sealing)
        async with db.operator() as look:
            stands = await standing.gather(look, db.sealing)
        return _vault(stands, health)

    @get("/rotations", opt=rule(Surface.OPERATOR, SEES))
    async def listing(self, tx: NamedDependency[PlatformTx], paging: NamedDependency[Paging]) -> Page[RotationView]:
        """Every rotation there ever was, newest first."""
        rows = await rotations.listing(tx, after=paging.after_id, limit=paging.fetch)
        return paging.page(rows, lambda row: row.id, rotation_view)

    @post("/rotations", status_code=202, opt=rule(Surface.OPERATOR, ROTATES, fresh=True))
    async def ask(
        self,
        request: Request[Any, Any, Any],
        data: JSONBody[NewRotation],
        db: NamedDependency[Database],
        actor: NamedDependency[Actor],
    ) -> RotationView:
        """Have keys replaced, beside everything that goes on. A server does it, and goes on where one was cut short."""
        return rotation_view(await rotating.ask(request, db, actor, data))

    @get("/rotations/{rotation:str}", opt=rule(Surface.OPERATOR, SEES))
    async def one(self, tx: NamedDependency[PlatformTx], rotation: FromPath[str]) -> RotationView:
        """One of them, and how far it is."""
        return rotation_view(await rotations.get(tx, identity("rot", rotation)))


def rotation_view(rotation: Rotation) -> RotationView:
    return RotationView(
        id=rotations.shown(rotation.id),
        kind=rotation.kind,
        tenant=text_id("ten", rotation.tenant) if rotation.tenant else None,
        step=rotation.step,
        records=rotation.done,
        records_found=rotation.total,
        percent=rotation.percent,
        problem=rotation.problem,
        asked_by=rotation.asked_by,
        asked_at=moment(rotation.asked_at),
        due_at=moment(rotation.due_at),
        rests_until=moment(rotation.rests_until),
        ended_at=moment(rotation.ended_at),
    )


def _vault(stands: standing.Standing, health: standing.Health) -> VaultView:
    return VaultView(
        keeper=KeeperView(
            kind=health.kind,
            configured=health.configured,
            works=not health.problem,
            problem=health.problem,
            ms=health.ms,
        ),
        masters=[
            MasterView(
                name=master.name,
                state=master.state,
                data_keys=master.data_keys,
                at_hand=master.at_hand,
                first_seen_at=moment(master.created_at),
                retired_at=moment(master.retired_at),
            )
            for master in stands.masters
        ],
        kinds=[
            KindView(
                kind=kind.kind,
                current=kind.current,
                former=kind.former,
                destroyed=kind.destroyed,
                oldest_at=moment(kind.oldest),
            )
            for kind in stands.kinds
        ],
        rotations=[rotation_view(each.rotation) for each in stands.rotations],
    )
