"""What every answer carries: ids of the request, headers that keep browsers careful, and word of what is to go."""

import re
from email.utils import format_datetime
from typing import Any, Final

from litestar.datastructures import MutableScopeHeaders
from litestar.types import Message, Scope
from prometheus_client import Counter

from controlplane.http import manners
from controlplane.http.manners import Deprecation, Manners
from controlplane.kit.clock import wall_clock
from controlplane.kit.ids import new_id, text_id

CAREFUL = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
}
"""Set where the handler has not set its own; the console's pages bring a Content-Security-Policy of theirs."""

IMPERSONATED_BY = "impersonated_by"
"""Where in a request's state stands who really asks, while they work as somebody else."""

OF_THE_RATE_LIMIT = "rate_limit_headers"
"""Where in a request's state the headers wait that tell how many more may come."""

PRIVATE = {"Cache-Control": "no-store"}

ALWAYS: Final = [(name.lower().encode(), value.encode()) for name, value in {**CAREFUL, **PRIVATE}.items()]
"""Both, as they are sent."""

CALLERS_ID: Final = re.compile(rb"[\w.:/+=@-]{1,128}", re.ASCII)
"""What a caller may call its request: it is said back, and written into logs."""

TRACE: Final = re.compile(rb"(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}.*")
"""W3C Trace Context, ``traceparent``."""

DEPRECATED_CALLS: Final = Counter(
    "controlplane_deprecated_calls", "Calls of operations that are to go", ["operation", "tenant"]
)


def request_id(scope: Scope | Any) -> str:
    """The id of this request, made when first asked for: ``req_…``."""
    state: dict[str, Any] = scope["state"]
    if "request_id" not in state:
        state["request_id"] = text_id("req", new_id(wall_clock()))
    return str(state["request_id"])


def callers_id(scope: Scope | Any) -> str | None:
    """What the caller calls this request, in ``X-Request-Id``; None without a name that can be said back."""
    given = _first(scope, b"x-request-id")
    return given.decode() if given is not None and CALLERS_ID.fullmatch(given) else None


def trace_id(scope: Scope | Any) -> str | None:
    """The trace that the caller says this request is part of (W3C Trace Context); None without one."""
    found = TRACE.fullmatch(_first(scope, b"traceparent") or b"")
    return found[1].decode() if found else None


async def complete(message: Message, scope: Scope) -> None:
    """A ``before_send`` hook, because ``response_headers`` reaches neither 404s nor 500s."""
    if message["type"] != "http.response.start":
        return
    ours = request_id(scope)
    said = {b"request-id": ours, b"x-request-id": callers_id(scope) or ours}
    if (impersonator := scope["state"].get(IMPERSONATED_BY)) is not None:
        said[b"impersonated-by"] = impersonator
    for name, value in scope["state"].get(OF_THE_RATE_LIMIT, {}).items():
        said[name.lower().encode()] = value
    # looked through once: Litestar's mapping goes through all of them for each name that it is asked for
    given = message["headers"]
    there = {name.lower(): value for name, value in given}
    if b"allow" in there:
        said[b"allow"] = _allowed(there[b"allow"].decode(), scope)
    kept = [pair for pair in given if pair[0].lower() not in said]
    always = [pair for pair in ALWAYS if pair[0] not in there]
    message["headers"] = [*kept, *((name, value.encode()) for name, value in said.items()), *always]
    if (deprecation := _its(scope).deprecation) is not None:
        _warn(MutableScopeHeaders.from_message(message), deprecation, scope)


def _allowed(given: str, scope: Any) -> str:
    """Every method that the path has. Litestar names those of one handler to OPTIONS, and never HEAD."""
    if scope.get("method") == "OPTIONS" and "path_template" in scope:
        given = scope["litestar_app"].state.methods[scope["path_template"]]
    found = {name.strip() for name in given.split(",")}
    return ", ".join(sorted(found | {"HEAD"} if "GET" in found else found))


def _its(scope: Any) -> Manners:
    handler = scope.get("route_handler")
    return manners.NONE if handler is None else handler.opt.get(manners.OPT, manners.NONE)


def _warn(headers: MutableScopeHeaders, deprecation: Deprecation, scope: Any) -> None:
    headers["Deprecation"] = f"@{int(deprecation.since.timestamp())}"
    headers.add("Link", f'<{deprecation.see}>; rel="deprecation"; type="text/html"')
    if deprecation.ends is not None:
        headers["Sunset"] = format_datetime(deprecation.ends, usegmt=True)
    operation = f"{scope['method']} {scope['path_template']}"
    DEPRECATED_CALLS.labels(operation, str(scope["state"].get("tenant_id", ""))).inc()


def _first(scope: Any, name: bytes) -> bytes | None:
    return next((value for each, value in scope["headers"] if each == name), None)
