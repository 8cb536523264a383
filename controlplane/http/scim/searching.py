"""POST /scim/v2/.search: people and groups in one list, the people first."""

from typing import Any

from litestar import Response, post
from litestar.di import NamedDependency
from msgspec.structs import replace

from controlplane.db.database import TenantTx
from controlplane.domain.directory import filters
from controlplane.domain.directory.listed import GROUPS, PEOPLE
from controlplane.domain.directory.lists import Found, List
from controlplane.domain.directory.refusals import DirectoryInvalid
from controlplane.http.authorize import Surface, rule
from controlplane.http.principals import AnyRequest
from controlplane.http.scim.answers import answer, body_of
from controlplane.http.scim.asked import Asked, Filters, asked
from controlplane.http.scim.views import Views, listed

NOBODY: Found[Any] = Found(total=0, rows=[])


@post("/.search", opt=rule(Surface.SCIM, "scim:read"))
async def search(request: AnyRequest, tx: NamedDependency[TenantTx], views: NamedDependency[Views]) -> Response[bytes]:
    """Everything that a filter means. What only one of the kinds has, the other has not (RFC 7644 section 3.4.2.1)."""
    body = await body_of(request)
    given = body if isinstance(body, dict) else {}
    of_users, of_groups = _asked(given, filters.of_users), _asked(given, filters.of_groups)
    either = of_users if isinstance(of_users, Asked) else of_groups
    if isinstance(either, DirectoryInvalid):
        raise either
    people = await _page(request, tx, PEOPLE, of_users, taken=0, before=0)
    groups = await _page(request, tx, GROUPS, of_groups, taken=len(people.rows), before=people.total)
    shown = [
        *await views.of_users(tx, people.rows, either.chosen),
        *await views.of_groups(tx, groups.rows, either.chosen),
    ]
    return answer(listed(people.total + groups.total, either.wanted.start, shown))


def _asked(given: dict[Any, Any], of: Filters) -> Asked | DirectoryInvalid:
    try:
        return asked(given, of)
    except DirectoryInvalid as refusal:
        return refusal


async def _page(
    request: AnyRequest, tx: TenantTx, of: List[Any], given: Asked | DirectoryInvalid, *, taken: int, before: int
) -> Found[Any]:
    """The part of the page that is *of* one kind, after *before* others, *taken* of which are on the page."""
    if isinstance(given, DirectoryInvalid):
        return NOBODY
    start, count = max(1, given.wanted.start - before), given.wanted.count - taken
    return await of.page(tx, request.app.state.scim_bookmarks, replace(given.wanted, start=start, count=count))
