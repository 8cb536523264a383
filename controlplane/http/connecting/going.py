"""Off to the provider: a session is used up, and a browser sent where its person can consent."""

from urllib.parse import urlsplit

from litestar.datastructures import Cookie
from msgspec import Struct

from controlplane.domain.vault import connecting, servers
from controlplane.domain.vault.apps import App
from controlplane.domain.vault.connecting import ConnectSession, Departure, LinkOver
from controlplane.domain.vault.provider import Provider
from controlplane.domain.vault.servers import RESOURCE
from controlplane.http.connecting.desk import Desk
from controlplane.kit.ids import ConnectSessionId, TenantId
from controlplane.kit.oauth import authorizing, discovery, resources
from controlplane.kit.oauth.authorizing import Asked
from controlplane.kit.oauth.dialect import Client, Server
from controlplane.kit.oauth.failures import Failure
from controlplane.kit.problems import Refusal


class Away(Struct, frozen=True, kw_only=True):
    """Where the browser goes now."""

    url: str
    cookie: Cookie

    @property
    def host(self) -> str:
        return urlsplit(self.url).hostname or ""


class ProviderSilent(Refusal):
    """Nothing was sent there that could be used; the session is used up all the same."""

    code, status, title = "connect-provider-silent", 502, "The provider does not answer as it should"
    hint = "Begin again in a while. If it stays like this, an administrator looks at the OAuth app."

    def __init__(self, failure: Failure) -> None:
        super().__init__(str(failure))
        self.kind = failure.kind

    def facts(self) -> dict[str, object]:
        return {"kind": self.kind}


async def look(desk: Desk, ticket: str) -> tuple[TenantId, ConnectSession]:
    """What a ticket is for. It stays good.

    Raises:
        RateLimited: If this place has tried too often.
        LinkOver: If it is for nothing (any more).
    """
    await desk.count()
    tenant_id = await desk.tenant_of(ticket)
    if tenant_id is None:
        raise LinkOver
    async with desk.db.tenant(tenant_id) as tx:
        return tenant_id, await connecting.opened(tx, desk.pepper, ticket)


async def go(desk: Desk, tenant_id: TenantId, session_id: ConnectSessionId) -> Away:
    """Use the session up, and say where its browser goes.

    Raises:
        LinkOver: If it was used, or took too long.
        ProviderSilent, ServerUnusable: If the provider has to be asked first, and does not answer.
        NotFound, UnknownProvider, AppNotOwn, VariableRefused: If its app is not what it was.
    """
    async with desk.db.tenant(tenant_id) as tx:
        session = await connecting.use(tx, session_id)
        app = await desk.app(tx, session)
        client = await desk.client(tx, app)
    provider = desk.vault.provider(session.provider)
    try:
        server = await server_of(desk, provider, app, session)
        return await _depart(desk, tenant_id, session, client, (provider, server))
    except (Failure, Refusal) as error:
        refusal = ProviderSilent(error) if isinstance(error, Failure) else error
        async with desk.db.tenant(tenant_id) as tx:
            await connecting.failed(tx, session.id, refusal.code)
        await desk.write_down(tenant_id, refusal.code, {"said": str(error)})
        raise refusal from error


async def server_of(desk: Desk, provider: Provider, app: App, session: ConnectSession) -> Server:
    """Where consent is asked for; what names only its issuer, or whose tokens it takes, is asked for the rest."""
    named = servers.named(provider, app, session.variables)
    if provider.kind == "mcp":
        resource = await resources.found_at(desk.vault.caller, app.overrides.get(RESOURCE, ""))
        server, _ = await resources.server_for(desk.vault.caller, resource, named.issuer, provider.dialect)
        return server
    if provider.kind != "oidc":
        return named
    needs_pkce = provider.dialect.asking.pkce == "required"
    found = await discovery.metadata(desk.vault.caller, named.issuer, pkce=needs_pkce)
    return discovery.server_of(found, dialect=provider.dialect)


async def _depart(
    desk: Desk, tenant_id: TenantId, session: ConnectSession, client: Client, place: tuple[Provider, Server]
) -> Away:
    provider, server = place
    verifier, browser = authorizing.new_verifier(), desk.browser()
    departure = Departure(
        issuer=server.issuer,
        endpoints=servers.written(server, provider),
        verifier=verifier,
        redirect_uri=client.redirect_uri,
        browser=browser,
    )
    async with desk.db.tenant(tenant_id) as tx:
        state = await connecting.depart(tx, desk.pepper, desk.nobody(), session.id, departure)
    asked = Asked(state=state, verifier=verifier, scopes=session.scopes)
    if server.par:
        url = await authorizing.push(desk.vault.caller, server, client, asked)
    else:
        url = authorizing.authorize_url(server, client, asked)
    return Away(url=url, cookie=desk.cookie(browser))
