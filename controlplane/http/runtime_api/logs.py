"""POST /v1/runtime/logs/{tail}: lines of a log, for whoever looks at it right now. Nothing of them is kept."""

from typing import Final

from litestar import Controller, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody

from controlplane.db.database import Database
from controlplane.domain import logs
from controlplane.domain.logs import Desk
from controlplane.domain.permissions import Runtime
from controlplane.http.authorize import Surface, rule
from controlplane.http.paths import identity
from controlplane.http.problems import Invalid
from controlplane.http.runtime_api import standing
from runtime_agent.wire.logs import CHUNK_BYTES, LINE_BYTES, Chunk, Granted

MAX_BODY_BYTES: Final = 8 * CHUNK_BYTES
"""A control character takes six bytes of JSON."""


class LogsController(Controller):
    @post(
        "/logs/{tail:str}",
        status_code=200,
        opt=rule(Surface.RUNTIME, "command:fetch"),
        request_max_body_size=MAX_BODY_BYTES,
        summary="Bring lines of a log",
    )
    async def bring(
        self,
        data: JSONBody[Chunk],
        runtime: NamedDependency[Runtime],
        db: NamedDependency[Database],
        log_desk: NamedDependency[Desk],
        tail: FromPath[str],
    ) -> Granted:
        """Hand over the next lines of a tail that is open, and hear how much more there is room for.

        The answer waits some seconds where there is no room; then it says so, and the agent asks again.
        """
        tail_id = identity("tail", tail)
        async with db.tenant(runtime.tenant_id) as tx:
            await standing.seen(tx, runtime)
            await logs.live(tx, runtime.id, tail_id)
        if data.weight() > CHUNK_BYTES or any(len(line.encode()) > LINE_BYTES for line in data.lines):
            raise Invalid([{"in": "body", "name": "lines", "detail": f"more than {CHUNK_BYTES} bytes of text"}])
        return await log_desk.deliver(tail_id, data)
