"""Back from the provider: what a browser brings is checked, somebody is known by it, and a session opens."""

from typing import Annotated, Final

from litestar.datastructures import Cookie
from msgspec import Meta, Struct

from controlplane.db.database import PlatformTx
from controlplane.domain import people, sign_ins, tenants
from controlplane.domain.permissions import Person
from controlplane.domain.sign_ins import LONGEST, Proof
from controlplane.domain.sso import connections, entries, flows, identities, operators
from controlplane.domain.sso.connections import Connection
from controlplane.domain.sso.entries import Entry
from controlplane.domain.sso.flows import Flow, FlowOver
from controlplane.domain.sso.identities import NotLetIn
from controlplane.http import authentication, signing_in
from controlplane.http.paths import CONSOLE
from controlplane.http.sessions import SessionCookie
from controlplane.http.sso.desk import Desk, SsoUnavailable, Trusted
from controlplane.kit.ids import AccountId, TenantId
from controlplane.kit.openid import exchange, tokens
from controlplane.kit.openid.tokens import LEEWAY, Expected, Identity, TokenRefused
from controlplane.kit.problems import Refusal

BACK_TO_A_PAGE: Final = ("link", "test")
"""Purposes that were begun on a page, which says what came of it."""


READ: Final = {"code": 4_096, "error": 100, "iss": 500, "state": 200}
"""Characters of what a provider adds to the address."""


class Callback(Struct, frozen=True, kw_only=True):
    """What stands in the address that a browser comes back to (RFC 6749, section 4.1.2; RFC 9207)."""

    state: Annotated[str, Meta(max_length=READ["state"])] = ""
    code: Annotated[str, Meta(max_length=READ["code"])] = ""
    iss: Annotated[str, Meta(max_length=READ["iss"])] | None = None
    error: Annotated[str, Meta(max_length=READ["error"])] = ""


class Back(Struct, frozen=True, kw_only=True):
    """Where the browser goes now, and what it takes along."""

    location: str
    cookie: Cookie | None = None


class ProviderSaidNo(Refusal):
    """The person refused, or the provider does not let them go on."""

    code, status, title = "sso-provider-said-no", 403, "The identity provider did not let you in"
    hint = "Try again, or ask whoever runs your company's sign-in."


class Mixed(Refusal):
    """The answer of one provider, for a sign-in at another (RFC 9207)."""

    code, status, title = "sso-mixed-up", 401, "Another identity provider answered than the one that was asked"
    hint = "Begin again. If it stays like this, an administrator has to look at the issuer."


class NotFresh(Refusal):
    code, status, title = "sso-not-fresh", 401, "The identity provider did not ask once more who you are"
    hint = "Sign out at the provider, then confirm again."


async def back(desk: Desk, given: Callback) -> Back:
    """Finish what was begun in this browser.

    Raises:
        RateLimited, FlowOver: If there is nothing to finish.
        Mixed, ProviderSaidNo, ProviderUnusable, TokenRefused: If the provider's answer is none.
        NotLetIn, LinkFirst, TenantSuspended: If they are not let in.
    """
    await desk.count()
    flow = await _claimed(desk, given)
    trusted = None
    try:
        trusted = await desk.of_connection(flow.connection_id)
        who, id_token = await _identified(desk, trusted, flow, given)
        return await _finished(desk, trusted, flow, who, id_token)
    except Refusal as refusal:
        await desk.write_down("sso.refused", trusted, f"{refusal.code} {refusal.detail}".strip())
        if flow.purpose not in BACK_TO_A_PAGE or isinstance(refusal, FlowOver):
            raise
        return Back(location=_said(flow, problem=refusal.code))


async def _claimed(desk: Desk, given: Callback) -> Flow:
    try:
        async with desk.db.platform() as tx:
            return await flows.claim(tx, desk.pepper, desk.request.cookies.get("sso", ""), given.state)
    except FlowOver as over:
        await desk.write_down("sso.refused", None, over.code)
        raise


async def _identified(desk: Desk, trusted: Trusted, flow: Flow, given: Callback) -> tuple[Identity, str]:
    """Who has come back. The code goes to the token endpoint of the provider that was asked, after all that can be
    checked before."""
    if trusted.issuer != flow.issuer or not _in_use(trusted, flow):
        raise SsoUnavailable
    metadata = await desk.providers.metadata(trusted.issuer)
    announced = metadata.authorization_response_iss_parameter_supported
    if given.iss != trusted.issuer and (given.iss is not None or announced):
        raise Mixed
    if given.error or not given.code:
        raise ProviderSaidNo(given.error if given.error.replace("_", "").isalpha() else "")
    client = await desk.client(trusted)
    verifier = flows.verifier(desk.pepper, given.state)
    granted = await exchange.redeem(desk.providers.guard, metadata, client, given.code, verifier)
    expected = Expected(
        client_id=trusted.client_id,
        nonce=flows.nonce(desk.pepper, given.state),
        access_token=granted.access_token,
    )
    return await tokens.identity(desk.providers, metadata, granted.id_token, expected), granted.id_token


def _in_use(trusted: Trusted, flow: Flow) -> bool:
    """A connection that was disabled meanwhile lets nobody in; it can still be tested."""
    return trusted.connection is None or trusted.connection.status == "active" or flow.purpose == "test"


async def _finished(desk: Desk, trusted: Trusted, flow: Flow, who: Identity, id_token: str) -> Back:
    if flow.purpose == "sign-in":
        if trusted.connection is None or trusted.tenant_id is None:
            return await _in_as_operator(desk, trusted, flow, who)
        return await _in_by_tenant(desk, trusted.connection, trusted.tenant_id, flow, (who, id_token))
    person = await authentication.oneself(desk.request)
    if person is None or person.session_id != flow.session_id:
        raise FlowOver
    if flow.purpose == "confirm":
        return await _confirmed(desk, trusted, flow, who, person)
    actor = signing_in.actor_for(desk.request, person.account_id)
    if trusted.connection is None or trusted.tenant_id is None:
        async with desk.db.platform() as platform:
            await operators.link(platform, actor, trusted.issuer, who.sub, person.account_id)
        return Back(location=_said(flow, done="sso"))
    async with desk.db.tenant(trusted.tenant_id) as tx:
        if flow.purpose == "test":
            await connections.tested(tx, actor, trusted.connection.id)
        else:
            await identities.link(tx, actor, trusted.connection, who, person.account_id)
    return Back(location=_said(flow, done="sso"))


async def _in_by_tenant(
    desk: Desk, connection: Connection, tenant_id: TenantId, flow: Flow, came: tuple[Identity, str]
) -> Back:
    """Into the tenant whose provider it is, and nowhere else."""
    who, id_token = came
    nobody = desk.nobody()
    async with desk.db.tenant(tenant_id) as tx:
        account_id = await identities.arrived(tx, nobody, connection, who)
        slug = (await tenants.get(tx)).slug
    if account_id is None:
        account_id = await _newcomer(desk, connection, tenant_id, who)
    entry = Entry(tenant_id=tenant_id, connection_id=connection.id, sub=who.sub, sid=who.sid, id_token=id_token)
    person = await authentication.oneself(desk.request)
    async with desk.db.platform() as platform:
        await _check_active(platform, account_id)
        session = await _opened(desk, platform, account_id, person, _proof(desk, who, "tenants"))
        await entries.enter(platform, desk.pepper, await sign_ins.session_id_of(platform, desk.pepper, session), entry)
    return Back(location=flow.return_to or f"{CONSOLE}/t/{slug}/", cookie=_session_cookie(desk, session))


async def _newcomer(desk: Desk, connection: Connection, tenant_id: TenantId, who: Identity) -> AccountId:
    """Somebody whom the tenant's provider vouches for, and who was not here before."""
    assert who.address is not None, "it was vouched for"
    nobody = desk.nobody()
    async with desk.db.platform() as platform:
        account = await people.account_for(platform, nobody, who.address, name=who.name)
    async with desk.db.tenant(tenant_id) as tx:
        return await identities.admit(tx, nobody, connection, who, account)


async def _opened(desk: Desk, tx: PlatformTx, account_id: AccountId, person: Person | None, proof: Proof) -> str:
    """A session's token: of one that this person has in this browser already, or of a new one."""
    actor = signing_in.actor_for(desk.request, account_id)
    if person is not None and person.account_id == account_id:
        if person.scope == "account":
            return await sign_ins.turn(tx, actor, desk.pepper, person.session_id)
        if person.scope == proof.scope:
            return await sign_ins.renew(tx, actor, desk.pepper, person.session_id, proof)
    client = desk.request.headers.get("user-agent", "")
    return await sign_ins.begin(tx, actor, desk.pepper, account_id, client, proof)


async def _in_as_operator(desk: Desk, trusted: Trusted, flow: Flow, who: Identity) -> Back:
    person = await authentication.oneself(desk.request)
    async with desk.db.platform() as tx:
        account_id = await operators.arrived(tx, desk.nobody(), trusted.issuer, who.sub)
        await _check_active(tx, account_id)
        token = await _opened(desk, tx, account_id, person, _proof(desk, who, "operators"))
    return Back(location=flow.return_to or f"{CONSOLE}/", cookie=_session_cookie(desk, token))


async def _confirmed(desk: Desk, trusted: Trusted, flow: Flow, who: Identity, person: Person) -> Back:
    """The same person, asked anew since the flow began: the session counts as fresh."""
    seen = who.authenticated_at
    if seen is None or seen < flow.begun_at - LEEWAY:
        raise NotFresh
    if trusted.connection is None or trusted.tenant_id is None:
        async with desk.db.platform() as tx:
            same = await operators.arrived(tx, desk.nobody(), trusted.issuer, who.sub) == person.account_id
    else:
        async with desk.db.tenant(trusted.tenant_id) as own:
            same = await identities.arrived(own, desk.nobody(), trusted.connection, who) == person.account_id
    if not same:
        raise TokenRefused("somebody else")
    actor = signing_in.actor_for(desk.request, person.account_id)
    async with desk.db.platform() as tx:
        token = await sign_ins.renew(tx, actor, desk.pepper, person.session_id, _proof(desk, who, person.scope))
    return Back(location=flow.return_to, cookie=_session_cookie(desk, token))


def _said(flow: Flow, **what: str) -> str:
    """The page that it was begun on, told what came of it."""
    return exchange.joined(flow.return_to, what)


def _proof(desk: Desk, who: Identity, scope: str) -> Proof:
    """When the provider saw them; where it does not say, so long ago that it is fresh for nothing."""
    now = desk.db.clock()
    at = min(who.authenticated_at or now - LONGEST, now)
    return Proof(method="single sign-on", scope=scope, at=at)  # type: ignore[arg-type]


async def _check_active(tx: PlatformTx, account_id: AccountId) -> None:
    if (await people.get(tx, account_id)).status != "active":
        raise NotLetIn("disabled")


def _session_cookie(desk: Desk, token: str) -> Cookie:
    cookie: SessionCookie = desk.request.app.state.session_cookie
    return cookie.holding(token)
