"""GET /v1/runtime/checkpoints/{checkpoint}/content: what a runtime once sent, for the rollback that it was asked for."""

import base64

from litestar import Controller, get
from litestar.di import NamedDependency
from litestar.params import FromPath

from controlplane.db.database import Database
from controlplane.domain import commands
from controlplane.domain.content import reading
from controlplane.domain.permissions import Runtime
from controlplane.http.authorize import Surface, rule
from controlplane.http.paths import identity
from controlplane.http.runtime_api import standing
from controlplane.kit.blobs import Blobs
from runtime_agent.wire.content import HeldContent


class ContentsController(Controller):
    path = "/checkpoints/{checkpoint:str}"

    @get("/content", opt=rule(Surface.RUNTIME, "command:fetch"), summary="Get a checkpoint's content back")
    async def held(
        self,
        runtime: NamedDependency[Runtime],
        db: NamedDependency[Database],
        blobs: NamedDependency[Blobs],
        checkpoint: FromPath[str],
    ) -> HeldContent:
        """Only of one that the runtime was asked to roll back to, until it has said what came of that."""
        async with db.tenant(runtime.tenant_id) as tx:
            await standing.seen(tx, runtime)
            wanted = await commands.wanted_by(tx, runtime.id, identity("cp", checkpoint))
            manifest, parts = await reading.manifest(tx, wanted)
        bodies = await reading.bodies(blobs, runtime.tenant_id, parts)
        content = reading.told(manifest, parts)
        return HeldContent(content=content, bodies=[base64.b64encode(body).decode() for body in bodies])
