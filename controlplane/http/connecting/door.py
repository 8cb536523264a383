"""/oauth: pages for whoever connects an account by a link, and where browsers come back to from providers."""

from typing import Annotated, Any, Final
from urllib.parse import urlencode

from litestar import Response, Router, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, URLEncodedBody
from litestar.response import Redirect
from msgspec import Meta, Struct

from controlplane.domain import tenants
from controlplane.domain.vault.connecting import ConnectSession
from controlplane.http.authorize import open_to_all
from controlplane.http.connecting import documents, going, returning
from controlplane.http.connecting.desk import DONE, AnyRequest, Desk
from controlplane.http.connecting.returning import TOLD, SaidNo
from controlplane.http.console import render
from controlplane.kit.ids import TenantId
from controlplane.kit.problems import Refusal

QUIET: Final = {"Referrer-Policy": "no-referrer"}
"""What stands in the address is nobody else's business."""

HAS_LINK: Final = open_to_all("whoever has the link may connect their own account, once")
RETURNS: Final = open_to_all("a browser that comes back; it holds a ticket for once", any_query=True)
SAYS_HOW: Final = open_to_all("says how it went, and of whom nothing", any_query=True)


class Ticket(Struct, frozen=True, kw_only=True):
    token: Annotated[str, Meta(max_length=500)]
    """What stands after ``#``; the whole link will do."""
    go: Annotated[str, Meta(max_length=1)] = ""
    """``1``: on to the provider."""


@get("/connect", opt=HAS_LINK, include_in_schema=False)
async def page() -> Response[str]:
    """What a link leads to. Its secret stands after ``#`` and is read by the page."""
    return _page({"found": None, "problem": None})


@post("/connect", status_code=200, opt=HAS_LINK, include_in_schema=False)
async def connect(data: URLEncodedBody[Ticket], connect_desk: NamedDependency[Desk]) -> Response[str]:
    """Show what would be connected; then, once somebody says so, use the link up and go on to the provider."""
    ticket = data.token.rpartition("#")[2].strip()
    try:
        tenant_id, session = await going.look(connect_desk, ticket)
        if not data.go:
            return _page({"found": await _found(connect_desk, tenant_id, session, ticket), "problem": None})
        away = await going.go(connect_desk, tenant_id, session.id)
    except Refusal as refusal:
        return _page({"found": None, "problem": refusal}, refusal)
    answer = render.html("away.html", {"url": away.url, "host": away.host})
    answer.headers.update(QUIET)
    answer.cookies = [away.cookie]
    return answer


@get("/callback/{app:str}", status_code=303, opt=RETURNS, tags=["connecting"])
async def callback(request: AnyRequest, connect_desk: NamedDependency[Desk], app: FromPath[str]) -> Redirect:
    """Where browsers come back to from providers; one address for each OAuth app. Leads on to a clean address at once."""
    try:
        location = (await returning.back(connect_desk, app, list(request.query_params.multi_items()))).location
    except Refusal as refusal:
        location = f"{DONE}?{urlencode({'problem': refusal.code})}"
    return Redirect(location, status_code=303, headers=QUIET)


@get("/done", opt=SAYS_HOW, include_in_schema=False)
async def done(problem: FromQuery[str] = "") -> Response[str]:
    """How it went, for whoever has nowhere else to go."""
    return _page({"found": None, "problem": TOLD.get(problem, SaidNo if problem else None), "done": True})


async def _found(desk: Desk, tenant_id: TenantId, session: ConnectSession, ticket: str) -> dict[str, Any]:
    async with desk.db.tenant(tenant_id) as tx:
        tenant = await tenants.get(tx)
        app = await desk.app(tx, session)
    provider = desk.vault.provider(session.provider)
    return {
        "tenant": tenant.name,
        "provider": provider.name,
        "app": app.name,
        "scopes": session.scopes,
        "token": ticket,
    }


def _page(context: dict[str, Any], refusal: Refusal | None = None) -> Response[str]:
    answer = render.html("connect.html", {"done": False, **context}, refusal.status if refusal else 200)
    answer.headers.update(QUIET)
    if refusal is not None:
        answer.headers.update(refusal.headers())
    return answer


router = Router("/oauth", route_handlers=[page, connect, callback, done, documents.document, documents.public_document])
