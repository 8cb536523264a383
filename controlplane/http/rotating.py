"""Asking for a rotation of keys, at the operators' doors."""

from datetime import timedelta
from typing import Annotated, Any, Final

from litestar import Request
from msgspec import Meta, Struct

from controlplane.db.database import Database
from controlplane.domain import rotations, tenants
from controlplane.domain.audit import Actor
from controlplane.domain.rotations import Kind, Rotation
from controlplane.kit.problems import NotFound, Refusal

LONGEST_S: Final = 30 * 24 * 3600


class RotationOfNobody(Refusal):
    """Data keys are replaced for one tenant or for the platform; everything else is everybody's."""

    code, status, title = "rotation-of-nobody", 400, "This kind of rotation is not one tenant's"
    hint = "Leave `tenant` out, or ask for the kind `data`."


class NewRotation(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    kind: Kind
    """`master`: a new master key. `rewrap`: everything under the one there is. `data`: new data keys for one tenant.
    `emergency`: everything new for everybody."""
    tenant: Annotated[str, Meta(max_length=60)] | None = None
    """Slug or id, for the kind `data`; null: the keys that belong to no tenant."""
    within_s: Annotated[int, Meta(ge=60, le=LONGEST_S)] | None = None
    """Seconds after which it should be over; null: when it is. What is late shows in the metrics, and goes on."""


async def ask(request: Request[Any, Any, Any], db: Database, actor: Actor, wanted: NewRotation) -> Rotation:
    """Have it done by whichever replica gets to it.

    Raises:
        RotationOfNobody, MasterNotNew, RotationOpen, NotFound: If it cannot be.
    """
    if wanted.tenant is not None and wanted.kind != "data":
        raise RotationOfNobody
    tenant_id = None
    if wanted.tenant is not None:
        tenant_id = await tenants.find(db, wanted.tenant)
        if tenant_id is None:
            raise NotFound
    if wanted.kind in ("master", "emergency"):
        await rotations.have_new_master(db, request.app.state.keyring_file)
    async with db.scoped(tenant_id) as tx:
        if wanted.tenant is not None:
            await tenants.get(tx)  # type: ignore[arg-type]  # inside a tenant
        due_at = tx.now + timedelta(seconds=wanted.within_s) if wanted.within_s is not None else None
        return await rotations.ask(tx, actor, wanted.kind, due_at)
