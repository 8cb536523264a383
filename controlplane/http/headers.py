"""What every answer carries: a request id, and headers that keep browsers careful."""

from typing import Any

from litestar.datastructures import MutableScopeHeaders
from litestar.types import Message, Scope

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

OF_THE_RATE_LIMIT = "rate_limit_headers"
"""Where in a request's state the headers wait that tell how many more may come."""

PRIVATE = {"Cache-Control": "no-store"}


def request_id(scope: Scope | Any) -> str:
    """The id of this request, made when first asked for: ``req_…``."""
    state: dict[str, Any] = scope["state"]
    if "request_id" not in state:
        state["request_id"] = text_id("req", new_id(wall_clock()))
    return str(state["request_id"])


async def complete(message: Message, scope: Scope) -> None:
    """A ``before_send`` hook, because ``response_headers`` reaches neither 404s nor 500s."""
    if message["type"] != "http.response.start":
        return
    headers = MutableScopeHeaders.from_message(message)
    headers["Request-Id"] = request_id(scope)
    if dict(scope).get("method") == "OPTIONS" and "allow" in headers:  # Litestar names one handler's methods only
        headers["Allow"] = scope["litestar_app"].state.methods[scope["path_template"]]
    for name, value in scope["state"].get(OF_THE_RATE_LIMIT, {}).items():
        headers[name] = value
    for name, value in {**CAREFUL, **PRIVATE}.items():
        headers.setdefault(name, value)
