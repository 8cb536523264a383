"""GET /v1/runtime/config: the document that a runtime is to take."""

from typing import Any, Final

from litestar import Controller, Request, Response, get
from litestar.di import NamedDependency
from litestar.openapi import ResponseSpec

from controlplane.db.database import Database
from controlplane.domain.configs import effective
from controlplane.domain.configs import standing as configs
from controlplane.domain.keys import Keyring
from controlplane.domain.permissions import Runtime
from controlplane.http.authorize import Surface, rule
from controlplane.http.runtime_api import standing
from runtime_agent.wire.config import Desired, News

UNCHANGED: Final = ResponseSpec(data_container=None, description="You have it already", generate_examples=False)


class ConfigController(Controller):
    @get(
        "/config",
        opt=rule(Surface.RUNTIME, "config:fetch"),
        summary="Fetch the configuration",
        responses={304: UNCHANGED},
    )
    async def show(
        self,
        request: Request[Runtime, Any, Any],
        runtime: NamedDependency[Runtime],
        db: NamedDependency[Database],
        keyring: NamedDependency[Keyring],
    ) -> Response[Desired]:
        """Hand out the one document that all documents come to for this runtime, signed; 304 where it is the one named."""
        async with db.tenant(runtime.tenant_id) as tx:
            await standing.seen(tx, runtime)
            tag = _tag(await effective.news(tx, runtime.id))
            if request.headers.get("if-none-match") == tag:
                return Response(None, status_code=304, headers={"ETag": tag})  # type: ignore[arg-type]
            return Response(await configs.desired(tx, keyring, runtime.id), headers={"ETag": tag})


def _tag(news: News) -> str:
    return f'"{news.generation}-{news.hash[:32]}"'
