"""What is not an answer becomes problem+json (RFC 9457): refusals with their facts, bugs with nothing."""

from collections.abc import Mapping
from enum import Enum
from http import HTTPStatus
from typing import Any, Final

import asyncpg
import redis.exceptions
import structlog
from litestar import Request, Response
from litestar.exceptions import HTTPException
from sqlalchemy.exc import DBAPIError, InterfaceError
from sqlalchemy.exc import TimeoutError as PoolExhausted

from controlplane.http.headers import callers_id, request_id, trace_id
from controlplane.kit.problems import NotFound, Refusal

PROBLEM_JSON = "application/problem+json"

UNREACHABLE = (
    ConnectionError,
    InterfaceError,
    PoolExhausted,
    asyncpg.PostgresConnectionError,
    asyncpg.CannotConnectNowError,
    asyncpg.TooManyConnectionsError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    redis.exceptions.ConnectionError,
    redis.exceptions.TimeoutError,
)
"""What a database or Redis that is away looks like, before or in the middle of a statement."""

UNKEEPABLE = ("22021", "22P05")
"""SQLSTATEs: character not in repertoire, untranslatable character."""

RETRY_AFTER_S = 2

log = structlog.get_logger("controlplane.http")


class Unavailable(Refusal):
    """The database is away; nothing was changed, and asking again is right."""

    code, status, title = "unavailable", 503, "The service cannot reach its database right now"
    hint = "Nothing was changed. Try again in a moment."

    def headers(self) -> dict[str, str]:
        return {"Retry-After": str(RETRY_AFTER_S)}


class Invalid(Refusal):
    """The request has not the shape it must have; the places are named."""

    code, status, title = "validation-failed", 400, "The request is not well formed"
    hint = "See the operation in /openapi.json."

    def __init__(self, errors: list[dict[str, str]]) -> None:
        super().__init__("; ".join(error["detail"] for error in errors))
        self.errors = errors

    def facts(self) -> dict[str, object]:
        return {"errors": self.errors}


class AtOdds(Refusal):
    """Each part of the request has its shape, and beside one another they mean nothing."""

    code, status, title = "parts-at-odds", 400, "Parts of the request do not go together"
    hint = "Say one of them."


class MethodNotAllowed(Refusal):
    code, status, title = "method-not-allowed", 405, "This is not done here"
    hint = "See Allow for what is."


class BodyTooLarge(Refusal):
    code, status, title = "body-too-large", 413, "The body is too large"
    hint = "Send less at once."


class Bug(Refusal):
    """Something that nobody thought of. It says nothing of what it was: the log does."""

    code, status, title = "internal-error", 500, "Something went wrong on our side"
    hint = "It has been written down under this request id."


TURNED_DOWN: Final[Mapping[int, type[Refusal]]] = {
    refusal.status: refusal for refusal in (NotFound, MethodNotAllowed, BodyTooLarge)
}
"""What Litestar turns down itself, by status."""


def refuse(request: Request[Any, Any, Any], refusal: Refusal) -> Response[dict[str, object]]:
    body: dict[str, object] = {
        "type": f"/problems/{refusal.code}",
        "title": refusal.title,
        "status": refusal.status,
        "detail": refusal.detail,
        "code": refusal.code,
        "hint": refusal.hint,
        "request_id": request_id(request.scope),
        **refusal.facts(),
    }
    return Response(body, status_code=refusal.status, media_type=PROBLEM_JSON, headers=refusal.headers())


def malformed(request: Request[Any, Any, Any], error: HTTPException) -> Response[dict[str, object]]:
    """What Litestar itself turns down: no such path, a body that is not the right shape."""
    answer = refuse(request, as_refusal(request, error))
    answer.headers.update(error.headers or {})
    return answer


def broken(request: Request[Any, Any, Any], error: Exception) -> Response[dict[str, object]]:
    """A bug, or a database that is away."""
    return refuse(request, as_refusal(request, error))


def as_refusal(request: Request[Any, Any, Any], error: Exception) -> Refusal:
    """What *error* is to whoever sent the request.

    Litestar logs exceptions only in debug mode, so this is the place that does.
    """
    if isinstance(error, HTTPException) and error.status_code < HTTPStatus.INTERNAL_SERVER_ERROR:
        return _of_litestar(error)
    method, path = request.scope.get("method", "GET"), request.scope.get("path_template", "")
    if _is_unkeepable_text(error):
        return Invalid([{"in": "", "name": "", "detail": "not UTF-8, or with a zero byte in it"}])
    if isinstance(error, RecursionError):
        return Invalid([{"in": "body", "name": "", "detail": "nested too deeply"}])
    if is_unreachable(error):
        log.warning("request.unavailable", method=method, path=path, error=type(error).__name__)
        return Unavailable()
    log.error("request.failed", **_ids(request), method=method, path=path, exc_info=error)
    return Bug()


def _ids(request: Request[Any, Any, Any]) -> dict[str, str]:
    """By what this request can be found, here and in the logs of others."""
    scope = request.scope
    found = {"request_id": request_id(scope), "callers_id": callers_id(scope), "trace_id": trace_id(scope)}
    return {name: value for name, value in found.items() if value is not None}


def is_unreachable(error: BaseException) -> bool:
    """Whether *error* means that the database or Redis is away, however often it was wrapped on its way here."""
    if isinstance(error, DBAPIError) and error.connection_invalidated:
        return True
    if isinstance(error, BaseExceptionGroup):
        return all(is_unreachable(part) for part in error.exceptions)
    return isinstance(error, UNREACHABLE) or (error.__cause__ is not None and is_unreachable(error.__cause__))


def _is_unkeepable_text(error: Exception) -> bool:
    """Whether the caller sent text that is none, or that PostgreSQL cannot keep (U+0000)."""
    sqlstate = getattr(error.orig, "sqlstate", "") if isinstance(error, DBAPIError) else ""
    return isinstance(error, UnicodeDecodeError) or sqlstate in UNKEEPABLE


def _of_litestar(error: HTTPException) -> Refusal:
    status = HTTPStatus(error.status_code)
    if status is HTTPStatus.BAD_REQUEST:
        return Invalid(_places(error))
    if status in TURNED_DOWN:
        return TURNED_DOWN[status]()
    refusal = Refusal()
    refusal.status, refusal.title = status, status.phrase  # type: ignore[misc]
    refusal.code = status.phrase.lower().replace(" ", "-")  # type: ignore[misc]
    return refusal


def _places(error: HTTPException) -> list[dict[str, str]]:
    """Where in the request the trouble is, in Litestar's words without its internals."""
    extra = error.extra if isinstance(error.extra, list) else []
    places = [
        {"in": _name(place.get("source", "body")), "name": str(place.get("key", "")), "detail": str(place["message"])}
        for place in extra
        if isinstance(place, dict) and "message" in place
    ]
    return places or [{"in": "body", "name": "", "detail": error.detail}]


def _name(source: object) -> str:
    return str(source.value if isinstance(source, Enum) else source)
