"""WebSockets that are refused, or break, are told so as calls are: the status and the code, as far as a close goes.

Litestar knows exception handlers for calls only. What is refused before it is accepted is a 403 to whoever calls.
"""

from typing import Any, Final

from litestar import Request
from litestar.enums import ScopeType
from litestar.exceptions import WebSocketDisconnect
from litestar.types import Message, Scope

from controlplane.http import problems
from controlplane.kit.problems import Refusal
from runtime_agent.wire.channel import REFUSED

WHY: Final = "why_closed"
"""Where in a connection's state it stands."""


async def note(error: Exception, scope: Scope) -> None:
    """An ``after_exception`` hook."""
    if scope["type"] == ScopeType.WEBSOCKET and not isinstance(error, WebSocketDisconnect):
        request: Request[Any, Any, Any] = Request(scope)
        scope["state"][WHY] = error if isinstance(error, Refusal) else problems.as_refusal(request, error)


async def tell(message: Message, scope: Scope) -> None:
    """A ``before_send`` hook."""
    if message["type"] == "websocket.close" and (why := scope["state"].get(WHY)) is not None:
        message["code"], message["reason"] = REFUSED + int(why.status), why.code
