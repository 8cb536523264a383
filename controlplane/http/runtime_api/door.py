"""The runtimes' door: agents come in here with their short-lived token, and nowhere else."""

from typing import Any

from litestar import Request, Router
from litestar.connection import ASGIConnection
from litestar.di import Provide

from controlplane.domain.permissions import Runtime
from controlplane.domain.runtime_tokens import AccessTokens, TokenInvalid
from controlplane.http.runtime_api.blobs import BlobsController
from controlplane.http.runtime_api.budgets import BudgetsController
from controlplane.http.runtime_api.calls import CallsController
from controlplane.http.runtime_api.channel import channel
from controlplane.http.runtime_api.commands import CommandsController
from controlplane.http.runtime_api.configs import ConfigController
from controlplane.http.runtime_api.contents import ContentsController
from controlplane.http.runtime_api.heartbeat import HeartbeatController
from controlplane.http.runtime_api.join import JoinController
from controlplane.http.runtime_api.leases import LeasesController
from controlplane.http.runtime_api.logs import LogsController
from controlplane.http.runtime_api.sync import SyncController


async def authenticate(connection: ASGIConnection[Any, Any, Any, Any]) -> Runtime | None:
    """The runtime whose access token this is. What has become of it since is asked with its cursor.

    Raises:
        TokenInvalid: If the token is missing, forged, expired or not a runtime's.
    """
    scheme, _, token = connection.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer":
        raise TokenInvalid
    tokens: AccessTokens = connection.app.state.access_tokens
    claims = tokens.check(token, connection.app.state.db.clock())
    return Runtime(id=claims.runtime_id, tenant_id=claims.tenant_id, generation=claims.generation)


def provide_runtime(request: Request[Runtime, Any, Any]) -> Runtime:
    return request.user


router = Router(
    "/v1/runtime",
    route_handlers=[
        JoinController,
        SyncController,
        BlobsController,
        HeartbeatController,
        CommandsController,
        channel,
        ConfigController,
        BudgetsController,
        ContentsController,
        LeasesController,
        LogsController,
        CallsController,
    ],
    dependencies={"runtime": Provide(provide_runtime, sync_to_thread=False)},
)
