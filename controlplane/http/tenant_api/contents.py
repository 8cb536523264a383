"""/v1/tenants/{tenant}/checkpoints/{checkpoint}/content and /compare: what a checkpoint held, for who may see that."""

from typing import Any, Final

from litestar import Controller, Request, Response, get
from litestar.di import NamedDependency
from litestar.params import FromPath
from msgspec import Struct

from controlplane.db.database import Database
from controlplane.domain import checkpoints
from controlplane.domain.audit import Actor
from controlplane.domain.content import comparing, reading
from controlplane.domain.content.differences import Difference
from controlplane.http.authorize import Surface, rule
from controlplane.http.paths import identity
from controlplane.http.transaction import seeing
from controlplane.kit.blobs import Blobs

SEALED: Final = "application/vnd.engine-cloud.sealed-checkpoint+json"


class Comparison(Struct, frozen=True, kw_only=True):
    before: str
    after: str
    identical: bool
    differences: list[Difference]
    truncated: bool
    """There are more differences than are told."""


class ContentsController(Controller):
    path = "/checkpoints/{checkpoint:str}"
    tags = ("checkpoints",)
    opt = rule(Surface.TENANT, "checkpoint:content", also=frozenset({"checkpoint:read"}))

    @get("/content", media_type="application/octet-stream")
    async def export(
        self,
        request: Request[Any, Any, Any],
        db: NamedDependency[Database],
        blobs: NamedDependency[Blobs],
        actor: NamedDependency[Actor],
        checkpoint: FromPath[str],
    ) -> Response[bytes]:
        """The checkpoint's file, byte for byte; of a sealed one what your private key opens."""
        async with seeing(db, request) as tx:
            found = await checkpoints.get(tx, identity("cp", checkpoint))
            manifest, parts = await reading.taken_out(tx, actor, found.id)
        if manifest.policy == "sealed":
            content = await reading.sealed(blobs, found.tenant_id, manifest, parts, found.source_id)
            return _file(content, f"{checkpoint}.sealed.json", SEALED)
        content = await reading.document(blobs, found.tenant_id, manifest, parts)
        return _file(content, f"{checkpoint}.json", "application/octet-stream")

    @get("/compare/{other:str}")
    async def compare(
        self,
        request: Request[Any, Any, Any],
        db: NamedDependency[Database],
        blobs: NamedDependency[Blobs],
        actor: NamedDependency[Actor],
        checkpoint: FromPath[str],
        other: FromPath[str],
    ) -> Comparison:
        """What is different in the checkpoint *other*, place by place."""
        async with seeing(db, request) as tx:
            before, after = [await checkpoints.get(tx, identity("cp", each)) for each in (checkpoint, other)]
            both = await comparing.pair(tx, actor, before.id, after.id)
        found = await comparing.compared(blobs, before.tenant_id, both)
        return Comparison(
            before=checkpoint,
            after=other,
            identical=not found.differences,
            differences=list(found.differences),
            truncated=found.truncated,
        )


def _file(content: bytes, name: str, media_type: str) -> Response[bytes]:
    return Response(content, media_type=media_type, headers={"Content-Disposition": f'attachment; filename="{name}"'})
