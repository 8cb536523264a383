"""Off to an identity provider from the console's own pages, and in without one where it is out of order."""

from collections.abc import Mapping
from typing import Annotated, Any, Final

from litestar import Response, get, post
from litestar.datastructures import Cookie
from litestar.di import NamedDependency
from litestar.params import QueryParameter, URLEncodedBody
from litestar.response import Redirect
from msgspec import Meta, Struct

from controlplane.db import schema as t
from controlplane.db.database import Database
from controlplane.domain import people, sign_ins, tenants
from controlplane.domain.audit import Actor
from controlplane.domain.permissions import Person
from controlplane.domain.sso import connections, entries, identities
from controlplane.domain.sso.flows import FlowOver
from controlplane.domain.sso.identities import LinkFirst, NotLetIn, SubjectTaken
from controlplane.domain.tenants import TenantSuspended
from controlplane.http import breaking_glass
from controlplane.http.authorize import AccountProofRequired, SsoRequired, Surface, as_oneself, open_to_all, rule
from controlplane.http.console import render
from controlplane.http.console.screen import Screen
from controlplane.http.console.sign_in import SIGN_IN, AnyRequest, into
from controlplane.http.console.switcher import SHOWN, Place
from controlplane.http.console.view import CONSOLE, home_of
from controlplane.http.limits import RateLimited
from controlplane.http.sso import leaving
from controlplane.http.sso.desk import Desk, SsoUnavailable
from controlplane.http.sso.leaving import Away
from controlplane.http.sso.returning import Mixed, NotFresh, ProviderSaidNo
from controlplane.kit.guard import AddressRefused
from controlplane.kit.openid.discovery import ProviderUnusable
from controlplane.kit.openid.tokens import TokenRefused
from controlplane.kit.problems import Refusal

OPEN: Final = open_to_all("how a session begins", Surface.CONSOLE)

PROBLEMS: Final[Mapping[str, type[Refusal]]] = {
    each.code: each
    for each in (
        *(FlowOver, Mixed, NotFresh, ProviderSaidNo, ProviderUnusable, TokenRefused, AddressRefused, RateLimited),
        *(LinkFirst, NotLetIn, SubjectTaken, SsoUnavailable, TenantSuspended),
    )
}
"""Why somebody came back from a provider and is not in."""


class Told(Struct, frozen=True):
    """A refusal in words, of which only the code is known any more."""

    title: str
    hint: str


class Address(Struct, frozen=True, kw_only=True):
    email: Annotated[str, Meta(max_length=254)] = ""
    tenant: Annotated[str, Meta(max_length=60)] = ""
    next: Annotated[str, Meta(max_length=2_000)] = ""


class Glass(Struct, frozen=True, kw_only=True):
    tenant: Annotated[str, Meta(max_length=60)]


class Wanted(Struct, frozen=True, kw_only=True):
    next: Annotated[str, Meta(max_length=2_000)] = ""


def told(code: str) -> Told | None:
    """What a page says about a problem that its address names."""
    refusal = PROBLEMS.get(code)
    return Told(refusal.title, refusal.hint) if refusal else None


def away(going: Away) -> Response[str]:
    """A page that leads on by itself. Browsers take no redirect to elsewhere for the answer of a form."""
    answer = render.html("away.html", {"url": going.url, "host": going.host})
    if going.cookie is not None:
        answer.set_cookie(going.cookie)
    return answer


async def sso_places(screen: Screen) -> list[Place]:
    """The tenants at whose provider it is not known yet who somebody is."""
    person = screen.view.person
    found: list[Place] = []
    async with screen.db.platform() as tx:
        knocking_at = await people.tenants_of(tx, person.account_id)
    for tenant_id in knocking_at[:SHOWN]:
        async with screen.db.tenant(tenant_id) as own:
            connection = await connections.active(own)
            if connection is not None and not await identities.is_linked(own, connection, person.account_id):
                found.extend(await own.all(Place, own.select(t.tenants)))
    return found


@get("/sso", opt=OPEN)
async def form(
    wanted: Annotated[str, QueryParameter(name="next")] = "", problem: Annotated[str, QueryParameter(name="sso")] = ""
) -> Response[str]:
    return _page(wanted, "", told(problem))


@post("/sso", opt=OPEN)
async def start(data: URLEncodedBody[Address], desk: NamedDependency[Desk]) -> Response[Any]:
    """By the domain of an address, or by the tenant that somebody wanted to enter."""
    try:
        if data.tenant:
            return away(await leaving.into_tenant(desk, data.tenant, data.next))
        return away(await leaving.by_address(desk, data.email, data.next))
    except Refusal as refusal:
        return _page(data.next, data.email, refusal, refusal.status)


@post("/sso/operators", opt=OPEN)
async def start_as_operator(data: URLEncodedBody[Wanted], desk: NamedDependency[Desk]) -> Response[Any]:
    try:
        return away(await leaving.as_operator(desk, data.next))
    except Refusal as refusal:
        return _page(data.next, "", refusal, refusal.status)


@post("/sso/confirm", opt=rule(Surface.CONSOLE, vouched=True))
async def confirm(
    data: URLEncodedBody[Wanted], desk: NamedDependency[Desk], person: NamedDependency[Person]
) -> Response[Any]:
    """Once more to the provider, before what is dangerous."""
    return away(await leaving.to_confirm(desk, person, data.next))


@post("/sso/link", opt=rule(Surface.CONSOLE, fresh=True))
async def link(
    data: URLEncodedBody[Glass], desk: NamedDependency[Desk], person: NamedDependency[Person]
) -> Response[Any]:
    """Say who one is at a tenant's provider; without a tenant, at the platform's own."""
    tenant_id = await tenants.find(desk.db, data.tenant) if data.tenant else None
    if data.tenant and tenant_id is None:
        raise SsoUnavailable
    return away(await leaving.to_link(desk, person, tenant_id, f"{CONSOLE}/account"))


@post("/sso/break-glass", opt=rule(Surface.CONSOLE, fresh=True))
async def break_glass(
    data: URLEncodedBody[Glass],
    db: NamedDependency[Database],
    person: NamedDependency[Person],
    actor: NamedDependency[Actor],
) -> Response[Any]:
    await breaking_glass.break_in(db, actor, person, data.tenant)
    return into(f"{home_of(data.tenant)}/")


@post("/sign-out", opt=as_oneself(rule(Surface.CONSOLE, vouched=True)))
async def sign_out(
    request: AnyRequest, person: NamedDependency[Person], actor: NamedDependency[Actor], desk: NamedDependency[Desk]
) -> Response[Any]:
    """Here, and at the provider that somebody came by."""
    async with desk.db.platform() as tx:
        way = await entries.way_of(tx, person.session_id)
        await sign_ins.end(tx, actor, person.session_id)
    gone = request.app.state.session_cookie.gone()
    going = await leaving.to_log_out(desk, way) if way and person.scope == "tenants" else None
    if going is None:
        worn: Cookie = request.app.state.impersonation_cookie.gone()
        return Redirect(SIGN_IN, status_code=303, cookies=[gone, worn])
    return away(Away(url=going.url, cookie=gone))


def refused(request: AnyRequest, refusal: SsoRequired | AccountProofRequired) -> Response[str]:
    """Why this session is not enough, and what would be."""
    tenant = refusal.tenant if isinstance(refusal, SsoRequired) else ""
    context = {
        "problem": refusal,
        "tenant": tenant,
        "glass": isinstance(refusal, SsoRequired) and refusal.may_break_glass,
        "next": request.url.path if request.method == "GET" else "",
    }
    return render.html("sso_required.html", context, refusal.status)


HANDLERS: Final = [form, start, start_as_operator, confirm, link, break_glass, sign_out]


def _page(wanted: str, email: str, problem: Refusal | Told | None, status: int = 200) -> Response[str]:
    return render.html("sso.html", {"next": wanted, "email": email, "problem": problem}, status)
