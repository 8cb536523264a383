"""Two checkpoints side by side: what changed in what the agent had in mind?"""

from typing import Any

from litestar import Request, Response
from litestar.di import NamedDependency
from litestar.params import FromPath

from controlplane.domain import checkpoints
from controlplane.domain.audit import Actor
from controlplane.domain.content import comparing
from controlplane.http.console.screen import Screen
from controlplane.http.paths import identity
from controlplane.kit.blobs import Blobs


async def page(
    request: Request[Any, Any, Any],
    screen: NamedDependency[Screen],
    actor: NamedDependency[Actor],
    checkpoint: FromPath[str],
    other: FromPath[str],
) -> Response[str]:
    """That somebody looked is in the audit log; no transaction is open while the object store is asked."""
    blobs: Blobs = request.app.state.blobs
    async with screen.inside() as tx:
        before, after = [await checkpoints.get(tx, identity("cp", each)) for each in (checkpoint, other)]
        both = await comparing.pair(tx, actor, before.id, after.id)
    found = await comparing.compared(blobs, before.tenant_id, both)
    return await screen.plain("session/compare.html", {"before": before, "after": after, "found": found})
