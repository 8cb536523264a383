"""Alive, fit to be given work, and how it goes: for what restarts us, sends us traffic and watches us."""

import hmac
from typing import Any, Final

from litestar import Request, Response, Router, get
from litestar.di import NamedDependency
from msgspec import Struct
from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, generate_latest

from controlplane.db import revisions
from controlplane.db.database import Database
from controlplane.domain import keys
from controlplane.domain.keys import Keyring
from controlplane.http.authorize import open_to_all
from controlplane.kit.problems import NotFound, Refusal
from controlplane.kit.secret import Secret

LOOPBACK: Final = ("127.0.0.1", "::1", "localhost")


class Ending(Refusal):
    code, status, title = "ending", 503, "This replica is about to end"
    hint = "Others take new calls; what it has begun it finishes."


class Status(Struct, frozen=True):
    status: str


@get("/livez", opt=open_to_all("tells a supervisor that the process answers"), tags=["health"])
async def livez() -> Status:
    """Whether the process answers. Asks nothing else."""
    return Status("alive")


@get("/readyz", opt=open_to_all("tells a load balancer whether to send traffic"), tags=["health"])
async def readyz(request: Request[Any, Any, Any], db: NamedDependency[Database]) -> Status:
    """Whether the database can be reached and has the revision of this release, and the replica is there to stay."""
    if request.app.state.streams.ended:
        raise Ending
    async with db.platform() as tx:
        await revisions.check_in(tx)
    return Status("ready")


@get(
    "/metrics",
    opt=open_to_all("asks for its own token, or for a caller on this machine"),
    media_type=CONTENT_TYPE_LATEST,
    include_in_schema=False,
)
async def metrics(request: Request[Any, Any, Any]) -> bytes:
    if not _may_watch(request):
        raise NotFound
    return generate_latest(REGISTRY)


@get(
    "/.well-known/jwks.json",
    opt=open_to_all("public keys are public"),
    media_type="application/jwk-set+json",
    tags=["health"],
)
async def jwks(keyring: NamedDependency[Keyring]) -> Response[dict[str, list[dict[str, str]]]]:
    """The keys that sign runtimes' access tokens (RFC 7517)."""
    return Response(keys.jwks(keyring), headers={"Cache-Control": "public, max-age=300"})


def _may_watch(request: Request[Any, Any, Any]) -> bool:
    token: Secret | None = request.app.state.metrics_token
    if token is not None:
        given = request.headers.get("authorization", "")
        return hmac.compare_digest(given.encode(), f"Bearer {token.reveal()}".encode())
    came_through_a_proxy = "x-forwarded-for" in request.headers or "forwarded" in request.headers
    return not came_through_a_proxy and request.client is not None and request.client.host in LOOPBACK


router = Router("/", route_handlers=[livez, readyz, metrics, jwks])
