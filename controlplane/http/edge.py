"""What is settled before a request is led anywhere: how long it may be, and HEAD, which is a GET without its body.

Litestar serves HEAD for no GET, and its hooks run after routing; this stands around the whole app.
"""

import asyncio
from typing import Any, Final

from litestar import Request
from litestar.enums import ScopeType
from litestar.types import ASGIApp, HTTPDisconnectEvent, Message, Receive, Scope, Send

from controlplane.http import problems
from controlplane.kit.problems import Refusal

LONGEST_TARGET: Final = 8_000
"""Bytes of path and query: what RFC 9112 section 3 asks everybody to bear."""

MOST_HEADERS: Final = 32_000
"""Bytes of all names and values together."""


class TargetTooLong(Refusal):
    code, status, title = "uri-too-long", 414, "The address is too long"
    hint = f"Path and query have at most {LONGEST_TARGET} bytes together."


class HeadersTooLarge(Refusal):
    code, status, title = "headers-too-large", 431, "The headers are too large"
    hint = f"Names and values have at most {MOST_HEADERS} bytes together."


def around(app: ASGIApp) -> ASGIApp:
    """*app* behind the edge."""

    async def edge(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != ScopeType.HTTP:
            await app(scope, receive, send)
            return
        if scope["method"] == "HEAD":
            scope["method"] = "GET"
            receive, send = _bodiless(receive, send)
        refusal = _too_much(scope)
        if refusal is None:
            await app(scope, receive, send)
        else:
            await _refuse(refusal, scope, receive, send)

    return edge


def _too_much(scope: Scope) -> Refusal | None:
    if len(scope.get("raw_path") or scope["path"].encode()) + len(scope["query_string"]) > LONGEST_TARGET:
        return TargetTooLong()
    if sum(len(name) + len(value) for name, value in scope["headers"]) > MOST_HEADERS:
        return HeadersTooLarge()
    return None


async def _refuse(refusal: Refusal, scope: Scope, receive: Receive, send: Send) -> None:
    request: Request[Any, Any, Any] = Request(scope, receive, send)
    await problems.refuse(request, refusal).to_asgi_response(None, request)(scope, receive, send)


def _bodiless(receive: Receive, send: Send) -> tuple[Receive, Send]:
    """The two ways of a request whose answer ends with its headers: then, for the app, the caller has left.

    So a stream that would never end does.
    """
    answered = asyncio.Event()

    async def receiving() -> Any:
        tasks = [asyncio.ensure_future(each) for each in (receive(), answered.wait())]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            return HTTPDisconnectEvent(type="http.disconnect") if answered.is_set() else await tasks[0]
        finally:
            for task in tasks:
                task.cancel()

    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start" and not answered.is_set():
            await send(message)
            await send({"type": "http.response.body", "body": b"", "more_body": False})
            answered.set()

    return receiving, sending
