"""Answers and refusals in SCIM's form: its media type, versions as weak ETags, errors with a scimType."""

import re
from typing import Any, Final

import msgspec
from litestar import Request, Response
from litestar.exceptions import HTTPException
from litestar.types import Scope

from controlplane.db.database import Database
from controlplane.domain import scim_tokens
from controlplane.domain.directory.refusals import DirectoryInvalid
from controlplane.domain.permissions import Directory
from controlplane.domain.scim_tokens import SyncError
from controlplane.http import problems
from controlplane.http.headers import request_id
from controlplane.kit.ids import new_id
from controlplane.kit.problems import Refusal

SCIM_JSON: Final = "application/scim+json"
ERROR: Final = "urn:ietf:params:scim:api:messages:2.0:Error"
BASE: Final = "/scim/v2"

ETAG: Final = re.compile(r'(?:W/)?"(\d{1,18})"')
NEVER: Final = -1
"""No version is this one."""

UNREMARKABLE: Final = frozenset({401, 412, 429, 503})
"""Statuses that say nothing of what the directory has sent."""


def answer(
    body: object, status: int = 200, *, version: int | None = None, location: str | None = None
) -> Response[bytes]:
    """*body* as SCIM."""
    headers = {"Content-Type": SCIM_JSON}
    if version is not None:
        headers["ETag"] = etag(version)
    if location is not None:
        headers["Location"] = location
    return Response(msgspec.json.encode(body), status_code=status, media_type=SCIM_JSON, headers=headers)


def etag(version: int) -> str:
    return f'W/"{version}"'


def seen_version(request: Request[Any, Any, Any]) -> int | None:
    """The version that the change is to be made to; None: any."""
    given = request.headers.get("if-match")
    if given is None or given.strip() == "*":
        return None
    found = ETAG.fullmatch(given.strip())
    return int(found[1]) if found else NEVER


def is_known(request: Request[Any, Any, Any], version: int) -> bool:
    """Whether the directory has this version already."""
    return etag(version) in (each.strip() for each in request.headers.get("if-none-match", "").split(","))


async def body_of(request: Request[Any, Any, Any]) -> object:
    """What was sent, as JSON.

    Raises:
        DirectoryInvalid: If it is none.
    """
    try:
        return msgspec.json.decode(await request.body())
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise DirectoryInvalid("the body is not JSON", "invalidSyntax") from None


def refuse(request: Request[Any, Any, Any], refusal: Refusal) -> Response[bytes]:
    """*refusal* as an error of RFC 7644 section 3.12."""
    error: dict[str, object] = {
        "schemas": [ERROR],
        "status": str(int(refusal.status)),
        "detail": _detail(refusal),
    }
    if scim_type := getattr(refusal, "scim_type", ""):
        error["scimType"] = scim_type
    told = answer(error, int(refusal.status))
    told.headers.update(refusal.headers())
    return told


def malformed(request: Request[Any, Any, Any], error: HTTPException) -> Response[bytes]:
    told = refuse(request, problems.as_refusal(request, error))
    told.headers.update(error.headers or {})
    return told


def broken(request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
    return refuse(request, problems.as_refusal(request, error))


async def write_down(error: Exception, scope: Scope) -> None:
    """An ``after_exception`` hook: what a directory was refused is kept for people to see."""
    user: Any = scope.get("user")
    if not isinstance(error, Refusal) or not isinstance(user, Directory):
        return
    request: Request[Any, Any, Any] = Request(scope)
    if _is_remarkable(request, int(error.status)):
        await _note(request, user, error)


def _detail(refusal: Refusal) -> str:
    return ". ".join(part.rstrip(".") for part in (refusal.title, refusal.detail, refusal.hint) if part) + "."


def _is_remarkable(request: Request[Any, Any, Any], status: int) -> bool:
    return status not in UNREMARKABLE and not (status == 404 and request.method in ("GET", "DELETE"))


async def _note(request: Request[Any, Any, Any], user: Directory, refusal: Refusal) -> None:
    db: Database = request.app.state.db
    async with db.tenant(user.tenant.tenant_id) as tx:
        error = SyncError(
            id=new_id(tx.now),
            connection_id=user.connection_id,
            occurred_at=tx.now,
            method=request.method,
            path=str(request.scope.get("path_template", "")).removeprefix(BASE),
            status=int(refusal.status),
            scim_type=getattr(refusal, "scim_type", ""),
            detail=_detail(refusal),
            request_id=request_id(request.scope),
        )
        await scim_tokens.note_error(tx, error)
