"""Off to the provider: from an address, a tenant or a session to the address that a browser is sent to."""

from urllib.parse import urlsplit

from litestar.datastructures import Cookie
from msgspec import Struct

from controlplane.domain import domains, tenants
from controlplane.domain.permissions import Person
from controlplane.domain.sso import entries, flows
from controlplane.domain.sso.entries import Way
from controlplane.domain.sso.flows import Flow
from controlplane.http.paths import CONSOLE, inside
from controlplane.http.sso.desk import Desk, SsoUnavailable, Trusted
from controlplane.kit.guard import AddressRefused
from controlplane.kit.ids import TenantId
from controlplane.kit.openid import exchange
from controlplane.kit.openid.discovery import ProviderUnusable


class Away(Struct, frozen=True, kw_only=True):
    """Where the browser goes now."""

    url: str
    cookie: Cookie | None = None

    @property
    def host(self) -> str:
        return urlsplit(self.url).hostname or ""


async def by_address(desk: Desk, email: str, wanted: str) -> Away:
    """By the provider of the tenant that the address's domain belongs to. Says nothing about the address itself.

    Raises:
        RateLimited: If this place has tried too often.
        SsoUnavailable: If its domain has no provider here.
        ProviderUnusable: If the provider does not answer.
    """
    await desk.count()
    tenant_id = await desk.db.tenant_of(domains.ROUTE, domains.of_address(email).encode())
    if tenant_id is None:
        raise SsoUnavailable
    return await _go(desk, await desk.of_tenant(tenant_id), wanted, login_hint=email.strip())


async def into_tenant(desk: Desk, reference: str, wanted: str) -> Away:
    """By the provider of the tenant with this slug or id; as :func:`by_address`."""
    await desk.count()
    tenant_id = await tenants.find(desk.db, reference)
    if tenant_id is None:
        raise SsoUnavailable
    return await _go(desk, await desk.of_tenant(tenant_id), wanted)


async def as_operator(desk: Desk, wanted: str) -> Away:
    """By the platform's own provider; as :func:`by_address`."""
    await desk.count()
    return await _go(desk, desk.of_operators(), wanted)


async def to_confirm(desk: Desk, person: Person, wanted: str) -> Away:
    """To prove once more who one is, to the provider that vouched for this session.

    Raises:
        SsoUnavailable: If none did.
    """
    if person.scope == "operators":
        trusted = desk.of_operators()
    else:
        async with desk.db.platform() as tx:
            way = await entries.way_of(tx, person.session_id)
        if way is None:
            raise SsoUnavailable
        trusted = await desk.of_connection(way.connection_id)
    flow = _flow(desk, "confirm", trusted, wanted, person)
    return await _away(desk, trusted, flow, prompt="login", max_age="0")


async def to_link(desk: Desk, person: Person, tenant_id: TenantId | None, wanted: str) -> Away:
    """To say, while signed in, who one is at a tenant's provider, or at the platform's own.

    Raises:
        SsoUnavailable: If there is none.
    """
    trusted = desk.of_operators() if tenant_id is None else await desk.of_tenant(tenant_id)
    return await _away(desk, trusted, _flow(desk, "link", trusted, wanted, person))


async def to_test(desk: Desk, person: Person, trusted: Trusted, wanted: str) -> Away:
    """To see whether one comes back from a provider that nobody comes in by yet."""
    return await _away(desk, trusted, _flow(desk, "test", trusted, wanted, person))


async def to_log_out(desk: Desk, way: Way) -> Away | None:
    """To end the session at the provider as well (OpenID Connect RP-Initiated Logout 1.0); None where it has no way."""
    try:
        trusted = await desk.of_connection(way.connection_id)
        metadata = await desk.providers.metadata(trusted.issuer)
    except (SsoUnavailable, ProviderUnusable, AddressRefused):
        return None
    if metadata.end_session_endpoint is None:
        return None
    said = {"client_id": trusted.client_id, "post_logout_redirect_uri": f"{desk.sign_on.public_url}{CONSOLE}/sign-in"}
    hint = {"id_token_hint": way.id_token} if way.id_token else {}
    return Away(url=exchange.joined(metadata.end_session_endpoint, {**hint, **said}))


async def _go(desk: Desk, trusted: Trusted, wanted: str, **more: str) -> Away:
    return await _away(desk, trusted, _flow(desk, "sign-in", trusted, wanted), **more)


def _flow(desk: Desk, purpose: flows.Purpose, trusted: Trusted, wanted: str, person: Person | None = None) -> Flow:
    return Flow(
        purpose=purpose,
        connection_id=trusted.connection_id,
        issuer=trusted.issuer,
        session_id=person.session_id if person else None,
        return_to=inside(wanted) if wanted else "",
        begun_at=desk.db.clock(),
    )


async def _away(desk: Desk, trusted: Trusted, flow: Flow, **more: str) -> Away:
    metadata = await desk.providers.metadata(trusted.issuer)
    browser = desk.browser()
    async with desk.db.platform() as tx:
        state = await flows.begin(tx, desk.pepper, browser, flow)
    url = exchange.address(
        metadata,
        trusted.client_id,
        desk.sign_on.redirect_uri,
        state=state,
        nonce=flows.nonce(desk.pepper, state),
        verifier=flows.verifier(desk.pepper, state),
        **more,
    )
    return Away(url=url, cookie=desk.cookie(browser))
