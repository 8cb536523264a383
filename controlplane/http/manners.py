"""What a route does beside its own work: settled at the start, once for all routes, and read on every request."""

from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any, Final, TypeAlias

from litestar import Request
from litestar.connection import ASGIConnection
from msgspec import Struct

from controlplane.db.database import WritingTx

AnyRequest: TypeAlias = Request[Any, Any, Any]
Connection: TypeAlias = ASGIConnection[Any, Any, Any, Any]

State: TypeAlias = Callable[[AnyRequest, WritingTx], Awaitable[object]]
"""What a GET of the object at the request's address would answer with, as *tx* sees it."""

OPT: Final = "manners"
DEPRECATION: Final = "deprecation"
PLAIN: Final = "plain_answer"


class Deprecation(Struct, frozen=True, kw_only=True):
    """A route that is to go (RFC 9745, RFC 8594)."""

    since: datetime
    ends: datetime | None = None
    """When it will be gone; None: nobody has decided."""
    see: str
    """Address of the page that says what to use instead."""


class Manners(Struct, frozen=True, kw_only=True):
    """Of one route."""

    shows_object: bool = False
    """A GET of one thing: its answer has an ETag."""
    state: State | None = None
    """Of the object that is changed here; None: nothing is, or nobody can GET it."""
    needs_match: bool = False
    """Changes without If-Match are refused: two people who edit the same thing would undo each other's work."""
    takes_key: bool = False
    """An Idempotency-Key is heeded."""
    keeps: frozenset[str] | None = None
    """Members of the answer that are kept for a repetition: those that a GET shows. None: all of them."""
    made_up: int | None = None
    """What is made here is found so many segments further up: 0 below the address itself. None: at no known address."""
    takes: str | None = None
    """Media type of the body. None: there is none, or the handler reads it itself."""
    sends_json: bool = False
    deprecation: Deprecation | None = None


NONE: Final = Manners()


def of(connection: Connection) -> Manners:
    """The manners of the route that *connection* was led to."""
    return connection.route_handler.opt.get(OPT, NONE)  # type: ignore[no-any-return]


def deprecated(since: datetime, see: str, ends: datetime | None = None) -> dict[str, Deprecation]:
    """``@get("/old", opt={**rule(…), **deprecated(…)})``: said in headers and in the document, and counted."""
    return {DEPRECATION: Deprecation(since=since, ends=ends, see=see)}


def plain_answer() -> dict[str, bool]:
    """For the ``opt`` of a POST that makes nothing which could be shown again: its answer holds no secret at all.

    So it can be kept whole under an Idempotency-Key.
    """
    return {PLAIN: True}
