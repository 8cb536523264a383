"""/v1/auth/sso: coming in by a tenant's identity provider, and being sent away by it."""

from typing import Annotated, Any, Final
from urllib.parse import urlencode

from litestar import MediaType, Request, Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, JSONBody, QueryParameter, URLEncodedBody
from litestar.response import Redirect
from msgspec import Meta, Struct

from controlplane.db.database import Database
from controlplane.domain import tenants
from controlplane.domain.audit import Actor
from controlplane.domain.permissions import Person
from controlplane.domain.sso import entries
from controlplane.http import breaking_glass
from controlplane.http.authorize import Surface, open_to_all, rule
from controlplane.http.me.sign_in import Email
from controlplane.http.paths import CONSOLE, identity
from controlplane.http.sso import leaving, returning
from controlplane.http.sso.desk import Desk, SsoUnavailable
from controlplane.http.sso.leaving import Away
from controlplane.http.sso.returning import READ, Callback
from controlplane.kit.ids import SsoId
from controlplane.kit.openid import tokens
from controlplane.kit.problems import Refusal

AnyRequest = Request[Any, Any, Any]

RETURNS: Final = open_to_all("a browser that comes back; it holds a ticket for once", Surface.ME, any_query=True)

Reference = Annotated[str, Meta(max_length=60)]
Next = Annotated[str, Meta(max_length=2_000)]


class SsoStart(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Exactly one of `email`, `tenant` and `operators`."""

    email: Email | None = None
    """Its domain says where to."""
    tenant: Reference | None = None
    """Slug or id."""
    operators: bool = False
    """By the platform's own provider."""
    next: Next = ""
    """A page of the console."""


class SsoLink(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    tenant: Reference | None = None
    """Null: the platform's own provider, for operators."""


class GlassBroken(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    tenant: Reference


class LogoutRequest(Struct, frozen=True, kw_only=True):
    logout_token: Annotated[str, Meta(max_length=tokens.LONGEST)]


class AwayView(Struct, frozen=True, kw_only=True):
    url: str
    """Where the browser goes now."""


@post("/sso/start", status_code=200, opt=open_to_all("how a session begins", Surface.ME))
async def start(data: JSONBody[SsoStart], desk: NamedDependency[Desk]) -> Response[AwayView]:
    """Begin to sign in by an identity provider. The answer depends on the domain alone, never on who has an account."""
    if data.operators:
        return _answer(await leaving.as_operator(desk, data.next))
    if data.tenant is not None:
        return _answer(await leaving.into_tenant(desk, data.tenant, data.next))
    return _answer(await leaving.by_address(desk, data.email or "", data.next))


@post("/sso/confirm", status_code=200, opt=rule(Surface.ME, vouched=True))
async def confirm(desk: NamedDependency[Desk], person: NamedDependency[Person]) -> Response[AwayView]:
    """Prove once more who one is, to the provider that vouched for this session."""
    return _answer(await leaving.to_confirm(desk, person, ""))


@post("/sso/link", status_code=200, opt=rule(Surface.ME, fresh=True))
async def link(
    data: JSONBody[SsoLink], desk: NamedDependency[Desk], person: NamedDependency[Person]
) -> Response[AwayView]:
    """Say who one is at a tenant's identity provider."""
    tenant_id = None
    if data.tenant is not None and (tenant_id := await tenants.find(desk.db, data.tenant)) is None:
        raise SsoUnavailable
    return _answer(await leaving.to_link(desk, person, tenant_id, f"{CONSOLE}/account"))


@post("/sso/break-glass", status_code=204, opt=rule(Surface.ME, fresh=True))
async def break_glass(
    data: JSONBody[GlassBroken],
    db: NamedDependency[Database],
    person: NamedDependency[Person],
    actor: NamedDependency[Actor],
) -> None:
    """Enter a tenant without its identity provider, as one of its owners, with two factors. Its audit log says so."""
    await breaking_glass.break_in(db, actor, person, data.tenant)


@get("/sso/callback", status_code=303, opt=RETURNS)
async def callback(
    desk: NamedDependency[Desk],
    code: FromQuery[str] = "",
    iss: FromQuery[str | None] = None,
    error: FromQuery[str] = "",
    ticket: Annotated[str, QueryParameter(name="state")] = "",
) -> Redirect:
    """Where browsers come back to from every identity provider. Leads on into the console; what providers add is ignored."""
    try:
        added = {"state": ticket, "code": code, "error": error}
        given = Callback(iss=iss, **{name: text[: READ[name]] for name, text in added.items()})
        back = await returning.back(desk, given)
    except Refusal as refusal:
        return Redirect(f"{CONSOLE}/sso?{urlencode({'sso': refusal.code})}", status_code=303)
    return Redirect(back.location or f"{CONSOLE}/", status_code=303, cookies=[back.cookie] if back.cookie else [])


@post(
    "/sso/{connection:str}/backchannel-logout",
    status_code=200,
    media_type=MediaType.TEXT,
    opt=open_to_all("what counts is the provider's signature", Surface.ME),
)
async def backchannel_logout(
    data: URLEncodedBody[LogoutRequest], desk: NamedDependency[Desk], connection: FromPath[str]
) -> None:
    """End the sessions that an identity provider says have ended (OpenID Connect Back-Channel Logout 1.0)."""
    trusted = await desk.of_connection(SsoId(identity("sso", connection)))
    assert trusted.connection is not None, "it was found by its id"
    try:
        metadata = await desk.providers.metadata(trusted.issuer)
        told = await tokens.logged_out(desk.providers, metadata, data.logout_token, trusted.client_id)
        async with desk.db.platform() as tx:
            await entries.log_out(tx, desk.nobody(), desk.pepper, trusted.connection.id, told)
    except Refusal as refusal:
        await desk.write_down("sso.logout-refused", trusted, f"{refusal.code} {refusal.detail}".strip())
        raise LogoutRefused(refusal.detail or refusal.title) from refusal


class LogoutRefused(Refusal):
    """As the specification has it: 400, whatever was wrong."""

    code, status, title = "logout-token-invalid", 400, "This logout token does not hold"
    hint = "It has to be signed by the connection's issuer, for its client, now, and once."

    def facts(self) -> dict[str, object]:
        return {"error": "invalid_request"}


def _answer(away: Away) -> Response[AwayView]:
    return Response(AwayView(url=away.url), cookies=[away.cookie] if away.cookie else [])


HANDLERS: Final = [start, confirm, link, break_glass, callback, backchannel_logout]
