"""Answers and refusals as the existing client takes them: it knows 400, 401, 403, 404 and 429, and dies of others."""

import math
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any, Final

from litestar import Request, Response
from litestar.exceptions import HTTPException
from msgspec import Struct

from controlplane.domain.vault.standing import AppBroken, RefreshFailing
from controlplane.domain.vault.turned_down import ConnectionNotServed, LeaseTooShort
from controlplane.http import problems
from controlplane.http.problems import PROBLEM_JSON, RETRY_AFTER_S
from controlplane.kit.problems import Refusal

KNOWN: Final = frozenset({400, 401, 403, 404, 429})

LATER_S: Final = 60
"""Seconds, where nobody knows better."""


class Integration(Struct, frozen=True, kw_only=True):
    """One entry of the list. The order of its members is that of the recorded exchange."""

    integration_id: str
    provider: str
    alias: str
    status: str
    email: str
    expires_at: str | None


class Tombstone(Struct, frozen=True, kw_only=True):
    integration_id: str


class Integrations(Struct, frozen=True, kw_only=True):
    integrations: list[Integration]
    tombstones: list[Tombstone]
    """What this runtime was given lately and may not have any more. The existing client does not know of it."""


class Credential(Struct, frozen=True, kw_only=True):
    access_token: str
    token_type: str
    expires_at: str
    provider: str
    alias: str
    email: str
    scopes: list[str]
    metadata: dict[str, str]


class Validity(Struct, frozen=True, kw_only=True):
    valid: bool
    status: str
    expires_at: str | None
    error: str | None
    expires_in_seconds: int | None
    reason: str | None
    requires_reauthorization: bool
    reauthorization_url: str | None


class Received(Struct, frozen=True, kw_only=True):
    received: bool = True


class Health(Struct, frozen=True, kw_only=True):
    status: str
    version: str
    timestamp: str


def instant(at: datetime) -> str:
    """With three digits, as that client's own server writes it."""
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def refuse(request: Request[Any, Any, Any], refusal: Refusal) -> Response[dict[str, object]]:
    """A problem document with the members that the existing client looks for."""
    answer = problems.refuse(request, refusal)
    body = {**answer.content, "message": ": ".join(part for part in (refusal.title, refusal.detail) if part)}
    headers, status = dict(refusal.headers()), int(refusal.status)
    if isinstance(refusal, ConnectionNotServed | LeaseTooShort | AppBroken):
        needs_person = getattr(refusal, "state", "") == "needs_reauth"
        body |= {"error": "refresh_failed", "requires_reauthorization": needs_person}
        body["reauthorization_url"] = _page(request) if needs_person else None
        status = HTTPStatus.BAD_REQUEST
    elif isinstance(refusal, RefreshFailing) or status not in KNOWN:
        status = HTTPStatus.TOO_MANY_REQUESTS if status in {408, 409, 503} else status
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        headers["Retry-After"] = _whole_seconds(headers.get("Retry-After"))
    body["status"] = int(status)
    return Response(body, status_code=int(status), media_type=PROBLEM_JSON, headers=headers)


def malformed(request: Request[Any, Any, Any], error: HTTPException) -> Response[dict[str, object]]:
    return refuse(request, problems.as_refusal(request, error))


def broken(request: Request[Any, Any, Any], error: Exception) -> Response[dict[str, object]]:
    """A bug is one; a database that is away is asked for later."""
    return refuse(request, problems.as_refusal(request, error))


def _whole_seconds(given: str | None) -> str:
    """That client takes nothing but a whole number."""
    try:
        return str(max(1, math.ceil(float(given or LATER_S))))
    except ValueError:
        return str(RETRY_AFTER_S)


def _page(request: Request[Any, Any, Any]) -> str:
    """Where somebody can connect the account anew; the page finds its tenant by who signs in."""
    return f"{request.app.state.public_url}/console"
