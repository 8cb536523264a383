"""Lists, a page at a time: the envelope, the limit, and cursors that nobody can make or carry elsewhere."""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Callable, Sequence
from typing import Annotated, Any, Final, Generic, TypeAlias, TypeVar
from uuid import UUID

from litestar import Request
from litestar.di import Provide
from litestar.params import FromQuery, QueryParameter
from msgspec import Struct

from controlplane.http.authorize import TENANT_PARAMETER
from controlplane.http.problems import Invalid

Row = TypeVar("Row")
View = TypeVar("View")

DEFAULT_LIMIT: Final = 50
MOST: Final = 200
MOST_CURSOR: Final = 200
"""Characters of a cursor: those we hand out have at most 80."""

Limit: TypeAlias = Annotated[int, QueryParameter(ge=1, description=f"Rows on a page; more than {MOST} is {MOST}.")]

NO_FILTERS: Final = ("cursor", "limit", "wait")
"""Query parameters that change nothing of what a list holds."""

_MAC_BYTES = 16


class PageInfo(Struct, frozen=True, kw_only=True):
    next_cursor: str | None
    has_more: bool


class Page(Struct, Generic[View], frozen=True, kw_only=True):
    data: list[View]
    page: PageInfo


class Paging:
    """Where in a list a request stands. Ask for it as ``paging: NamedDependency[Paging]``."""

    def __init__(self, key: bytes, place: bytes, limit: int, after: str | None) -> None:
        """
        Args:
            key: What cursors are authenticated with.
            place: Tenant, route and filters: a cursor is good for these only.
            limit: Rows on a page.
            after: What the cursor held: the key of the last row of the page before.
        """
        self._key, self._place = key, place
        self.limit = limit
        self.after = after

    @property
    def after_id(self) -> UUID | None:
        """The id of the last row of the page before."""
        return None if self.after is None else UUID(self.after)

    @property
    def after_number(self) -> int | None:
        return None if self.after is None else int(self.after)

    @property
    def fetch(self) -> int:
        """How many rows to ask the database for: one more than are shown, to know whether there are more."""
        return self.limit + 1

    def page(
        self, rows: Sequence[Row], key: Callable[[Row], UUID | int | str], view: Callable[[Row], View]
    ) -> Page[View]:
        """The page of *rows*, of which :attr:`fetch` were asked for.

        Args:
            key: The key of a row, by which the list is ordered.
            view: What is shown of a row.
        """
        shown = rows[: self.limit]
        has_more = len(rows) > self.limit
        cursor = _seal(self._key, self._place, str(key(shown[-1]))) if has_more else None
        return Page(data=[view(row) for row in shown], page=PageInfo(next_cursor=cursor, has_more=has_more))

    def onward(
        self, rows: Sequence[Row], reached: int, key: Callable[[Row], int], view: Callable[[Row], View]
    ) -> Page[View]:
        """A page of a list that grows at its end: there is always a cursor, which goes on behind it.

        Args:
            reached: Up to where there is nothing else to show, if *rows* are all.
        """
        shown, has_more = rows[: self.limit], len(rows) > self.limit
        last = key(shown[-1]) if shown else 0
        cursor = _seal(self._key, self._place, str(last if has_more else max(last, reached)))
        return Page(data=[view(row) for row in shown], page=PageInfo(next_cursor=cursor, has_more=has_more))


def provide_paging(
    request: Request[Any, Any, Any], limit: Limit = DEFAULT_LIMIT, cursor: FromQuery[str | None] = None
) -> Paging:
    """
    Raises:
        Invalid: If the cursor is not from this list with these filters.
    """
    key: bytes = request.app.state.cursor_key
    place = _place(request)
    after = None if cursor is None else _open(key, place, cursor)
    return Paging(key, place, min(limit, MOST), after)


PAGING: Final = {"paging": Provide(provide_paging, sync_to_thread=False)}


def _place(request: Request[Any, Any, Any]) -> bytes:
    """The tenant, however it was called, the route and the filters."""
    within = {name: value for name, value in request.path_params.items() if name != TENANT_PARAMETER}
    filters = sorted(each for each in request.query_params.multi_items() if each[0] not in NO_FILTERS)
    return repr((str(request.state.get("tenant_id")), request.scope.get("path_template"), within, filters)).encode()


def _seal(key: bytes, place: bytes, after: str) -> str:
    return base64.urlsafe_b64encode(_mac(key, place, after) + after.encode()).rstrip(b"=").decode()


def _open(key: bytes, place: bytes, cursor: str) -> str:
    try:
        raw = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
        mac, after = raw[:_MAC_BYTES], raw[_MAC_BYTES:].decode()
    except (binascii.Error, ValueError):
        mac, after = b"", ""
    if not hmac.compare_digest(mac, _mac(key, place, after)):
        raise Invalid([{"in": "query", "name": "cursor", "detail": "not a cursor of this list with these filters"}])
    return after


def _mac(key: bytes, place: bytes, after: str) -> bytes:
    return hmac.digest(key, hashlib.sha256(place).digest() + after.encode(), hashlib.sha256)[:_MAC_BYTES]
