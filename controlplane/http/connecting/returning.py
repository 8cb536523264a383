"""Back from the provider: what a browser brings is used up, checked, exchanged, and kept until somebody confirms it."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Final

from msgspec import Struct

from controlplane.domain import tenants
from controlplane.domain.audit import Actor
from controlplane.domain.quotas import QuotaExceeded
from controlplane.domain.vault import apps, confirming, connecting, sealed, servers
from controlplane.domain.vault.confirming import AnotherAccount, Arrived
from controlplane.domain.vault.connecting import ConnectSession, NeverBegun, Replayed, TookTooLong, Transaction
from controlplane.domain.vault.connections import Connection
from controlplane.http import authentication
from controlplane.http.connecting.desk import DONE, Desk
from controlplane.http.connecting.going import ProviderSilent
from controlplane.http.paths import CONSOLE
from controlplane.kit import tokens
from controlplane.kit.ids import OAuthAppId, TenantId, parse_id, text_id
from controlplane.kit.oauth import callbacks, granting, looking_up, revoking
from controlplane.kit.oauth.callbacks import CallbackRefused
from controlplane.kit.oauth.calling import joined
from controlplane.kit.oauth.dialect import Client, Server
from controlplane.kit.oauth.failures import Failure
from controlplane.kit.oauth.tokens import Tokens
from controlplane.kit.problems import NotFound, Refusal
from controlplane.kit.secret import Secret

MOST_OF_A_FACT: Final = 300
"""Characters that a provider may call an account by."""


class AnotherBrowser(Refusal):
    """A link that somebody forwarded, or a callback that somebody was made to open."""

    code, status, title = "connect-other-browser", 401, "This was begun in another browser"
    hint = "Begin again, in this one."


class AnotherApp(Refusal):
    """The answer of one provider at the address of another's (RFC 9700, section 4.4)."""

    code, status, title = "connect-mixed-up", 401, "Another provider answered than the one that was asked"
    hint = "Begin again. If it stays like this, an administrator looks at the app's issuer and redirect address."


class SaidNo(Refusal):
    code, status, title = "connect-declined", 403, "The provider says that it was not allowed"
    hint = "Begin again and allow it there, or ask whoever decides about apps at that provider."

    def __init__(self, said: str = "") -> None:
        super().__init__(said)


class AnswerUnfit(Refusal):
    code, status, title = "connect-answer-unfit", 400, "What the provider's answer brings does not hold"
    hint = "Begin again."

    def __init__(self, why: str) -> None:
        super().__init__(why)


class ExchangeFailed(Refusal):
    """The code was worth nothing. It is not sent again."""

    code, status, title = "connect-exchange-failed", 502, "The provider gave nothing for its own answer"
    hint = "Begin again. If it stays like this, an administrator looks at the OAuth app's credentials."

    def __init__(self, failure: Failure) -> None:
        super().__init__(str(failure))
        self.kind = failure.kind

    def facts(self) -> dict[str, object]:
        return {"kind": self.kind}


class NoLongerServed(Refusal):
    code, status, title = "connect-tenant-unserved", 403, "Nothing is connected here at the moment"
    hint = "Ask whoever sent you here."


TOLD: Final = {
    each.code: each
    for each in (
        *(NeverBegun, Replayed, TookTooLong, AnotherBrowser, AnotherApp, SaidNo, AnswerUnfit, ExchangeFailed),
        *(NoLongerServed, ProviderSilent, AnotherAccount, QuotaExceeded),
    )
}
"""What pages say of it; anything else is said in general."""


class Back(Struct, frozen=True, kw_only=True):
    """Where the browser goes now: an address without anything of the provider's."""

    location: str


class Met(Struct, frozen=True, kw_only=True):
    """Whom a browser has come back from, and for what."""

    session: ConnectSession
    client: Client
    server: Server
    variables: Mapping[str, str]
    """What its addresses have left open: where a lease may be used can hang on it."""
    verifier: Secret | None = None
    slug: str = ""


async def back(desk: Desk, app: str, query: Sequence[tuple[str, str]]) -> Back:
    """Finish what was begun in this browser. Where there is somewhere to go on, it is told there what went wrong.

    Args:
        app: As it stands in the path.
        query: What the provider has added.

    Raises:
        RateLimited: If this place has tried too often.
        NeverBegun, Replayed, TookTooLong, AnotherBrowser, AnotherApp: If it is not this browser's to finish.
    """
    await desk.count()
    state = dict(query).get("state", "")
    tenant_id = await desk.tenant_of(state)
    try:
        if tenant_id is None:
            raise NeverBegun
        transaction, session = await _claimed(desk, tenant_id, state)
    except Refusal as refusal:
        await desk.write_down(tenant_id or await _tenant_of_app(desk, app), refusal.code)
        raise
    try:
        await _check_bound(desk, transaction, session, app)
    except Refusal as refusal:
        await failed(desk, tenant_id, session, refusal)
        raise
    try:
        met = await _met(desk, tenant_id, transaction, session)
        pending = await _arrived(desk, tenant_id, met, query)
    except Refusal as refusal:
        await failed(desk, tenant_id, session, refusal)
        return Back(location=_onward(session, await _slug(desk, tenant_id), problem=refusal.code))
    return Back(location=_onward(session, met.slug, connection=text_id("con", pending.id)))


async def _claimed(desk: Desk, tenant_id: TenantId, state: str) -> tuple[Transaction, ConnectSession]:
    """Used up and committed, whatever comes of it."""
    async with desk.db.tenant(tenant_id) as tx:
        transaction = await connecting.claim(tx, desk.pepper, state)
        return transaction, await connecting.get(tx, transaction.session_id)


async def _check_bound(desk: Desk, transaction: Transaction, session: ConnectSession, app: str) -> None:
    """Whoever has begun it signed in, comes back signed in: nobody has somebody else consent in their own browser."""
    if not tokens.is_same(desk.pepper, desk.shown, transaction.cookie_hash):
        raise AnotherBrowser
    if session.person_id is not None:
        person = await authentication.oneself(desk.request)
        if person is None or person.account_id != session.person_id:
            raise AnotherBrowser
    expected = session.app_id or session.platform_app_id
    if expected is None or parse_id("app", app) != expected:
        raise AnotherApp


async def _met(desk: Desk, tenant_id: TenantId, transaction: Transaction, session: ConnectSession) -> Met:
    try:
        async with desk.db.tenant(tenant_id) as tx:
            tenant = await tenants.get(tx)
            if tenant.status != "active":
                raise NoLongerServed
            app = await desk.app(tx, session)
            client = await desk.client(tx, app)
            blob = transaction.pkce_blob
            verifier = await sealed.open_verifier(tx, transaction.id, blob) if blob is not None else None
    except NotFound:
        raise AnotherApp from None
    provider = desk.vault.provider(session.provider)
    return Met(
        session=session,
        client=client,
        server=servers.read(transaction.endpoints, provider),
        variables=provider.chosen({**session.variables, **app.variables}),
        verifier=verifier,
        slug=tenant.slug,
    )


async def _arrived(desk: Desk, tenant_id: TenantId, met: Met, query: Sequence[tuple[str, str]]) -> Connection:
    """What the code is worth, kept. No transaction is open while the provider is asked."""
    code, caller = _code(met, query), desk.vault.caller
    try:
        given = await granting.exchange(caller, met.server, met.client, code, met.verifier)
    except Failure as failure:
        await note_fault(desk, tenant_id, met.session, failure)
        raise ExchangeFailed(failure) from failure
    return await kept(desk, desk.nobody(), tenant_id, met, given)


async def kept(desk: Desk, actor: Actor, tenant_id: TenantId, met: Met, given: Tokens) -> Connection:
    """What a provider has given for a session, to be confirmed; given back where it cannot be kept.

    Raises:
        ProviderSilent: If it does not say whose it is.
        AnotherAccount, QuotaExceeded: If it is not to be kept.
    """
    try:
        try:
            facts = await looking_up.whose(desk.vault.caller, met.server, given)
        except Failure as failure:
            raise ProviderSilent(failure) from failure
        async with desk.db.tenant(tenant_id) as tx:
            return await confirming.arrive(tx, actor, met.session, _as_arrived(met, given, facts, desk))
    except Refusal:
        await _give_back(desk, met, given)
        raise


def _code(met: Met, query: Sequence[tuple[str, str]]) -> str:
    try:
        return callbacks.code_of(met.server, met.client, query)
    except CallbackRefused as refused:
        if refused.why in ("issuer", "elsewhere"):
            raise AnotherApp from refused
        if refused.why == "error":
            raise SaidNo(refused.said) from refused
        raise AnswerUnfit(refused.why) from refused


def _as_arrived(met: Met, given: Tokens, facts: dict[str, str], desk: Desk) -> Arrived:
    now, known = desk.db.clock(), {name: value[:MOST_OF_A_FACT] for name, value in facts.items()}
    ends, refresh_ends = given.expires_in_s, given.refresh_expires_in_s
    provider = desk.vault.provider(met.session.provider)
    if provider.kind == "mcp" and met.server.resources:
        known["api_base"] = met.server.resources[0]
    return Arrived(
        access=given.access,
        scheme=given.type,
        refresh=given.refresh,
        access_exp=None if ends is None else now + timedelta(seconds=ends),
        refresh_exp=None if refresh_ends is None else now + timedelta(seconds=refresh_ends),
        scopes=given.scopes,
        account_key=known.pop("account", None),
        account_name=known.pop("name", ""),
        account_email=known.pop("email", ""),
        facts={**known, **met.variables},
        endpoints=servers.written(met.server, provider),
    )


async def _give_back(desk: Desk, met: Met, given: Tokens) -> None:
    """What is not kept is not left lying at the provider either, as far as it can be helped."""
    try:
        await revoking.revoke(
            desk.vault.caller, met.server, met.client, access=given.access, refresh=given.refresh, facts=given.facts
        )
    except Failure:
        return  # it is written down that nothing was kept, and nobody has the tokens any more


async def note_fault(desk: Desk, tenant_id: TenantId, session: ConnectSession, failure: Failure) -> None:
    """The app's own fault is said of the app."""
    if failure.kind != "app_fault":
        return
    if session.app_id is not None:
        async with desk.db.tenant(tenant_id) as tx:
            await apps.broken(tx, desk.nobody(), session.app_id, failure.code)
    elif session.platform_app_id is not None:
        async with desk.db.platform() as platform:
            await apps.broken(platform, desk.nobody(), session.platform_app_id, failure.code)


async def failed(desk: Desk, tenant_id: TenantId, session: ConnectSession, refusal: Refusal) -> None:
    async with desk.db.tenant(tenant_id) as tx:
        await connecting.failed(tx, session.id, refusal.code)
    facts = {"session": text_id("cns", session.id), "detail": refusal.detail}
    await desk.write_down(tenant_id, refusal.code, {name: value for name, value in facts.items() if value})


async def _slug(desk: Desk, tenant_id: TenantId) -> str:
    async with desk.db.tenant(tenant_id) as tx:
        return (await tenants.get(tx)).slug


async def _tenant_of_app(desk: Desk, app: str) -> TenantId | None:
    """In whose log a callback belongs that nobody has begun."""
    app_id = parse_id("app", app)
    return await desk.db.tenant_of(apps.ROUTE, OAuthAppId(app_id).bytes) if app_id is not None else None


def _onward(session: ConnectSession, slug: str, **what: str) -> str:
    """To whoever began it: the tenant's own page, the console, or a page of ours that says how it went."""
    if session.return_url:
        return joined(session.return_url, {"session": text_id("cns", session.id), **what})
    if session.person_id is not None:
        page = f"{CONSOLE}/t/{slug}/connections"
        return f"{page}/{what['connection']}" if "connection" in what else joined(page, what)
    return joined(DONE, {"problem": what["problem"]} if "problem" in what else {})
