"""The door of runtimes that cannot sign: their keys open this, and nothing else."""

from importlib.metadata import version
from typing import Any

from litestar import Request, Router, get
from litestar.exceptions import HTTPException

from controlplane.http.authorize import open_to_all
from controlplane.http.credentials_api import answers
from controlplane.http.credentials_api.answers import Health, instant
from controlplane.http.credentials_api.credentials import CredentialsController
from controlplane.kit.problems import Refusal

MAX_BODY_BYTES = 64 << 10


@get("/health", opt=open_to_all("tells a runtime that it can ask for credentials", any_query=True))
async def health(request: Request[Any, Any, Any]) -> Health:
    """What the existing client takes for a healthy server. Asks nothing else, as ``/livez``."""
    now = request.app.state.db.clock()
    return Health(status="healthy", version=version("engine-cloud"), timestamp=instant(now))


router = Router(
    "/",
    route_handlers=[CredentialsController, health],
    exception_handlers={Refusal: answers.refuse, HTTPException: answers.malformed, Exception: answers.broken},
    request_max_body_size=MAX_BODY_BYTES,
    include_in_schema=False,
)
