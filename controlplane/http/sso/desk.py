"""What a sign-in by a provider needs in hand, and the cookie that binds it to one browser."""

from typing import Any, Final

from litestar import Request
from litestar.datastructures import Cookie
from litestar.di import NamedDependency, Provide
from msgspec import Struct

from controlplane.db.database import Database
from controlplane.domain import audit
from controlplane.domain.audit import Actor, Target
from controlplane.domain.keys import Keyring
from controlplane.domain.sso import connections, flows
from controlplane.domain.sso.connections import Connection
from controlplane.http import limits, signing_in
from controlplane.kit import tokens
from controlplane.kit.ids import SsoId, TenantId, text_id
from controlplane.kit.openid.discovery import Providers
from controlplane.kit.openid.exchange import Client, ClientAuth
from controlplane.kit.problems import NotFound, Refusal
from controlplane.kit.secret import Secret
from controlplane.kit.txt_records import TxtRecords

AnyRequest = Request[Any, Any, Any]

CALLBACK: Final = "/v1/auth/sso/callback"
"""Where browsers come back to, from whichever provider."""

COOKIE: Final = "sso"


class Operators(Struct, frozen=True, kw_only=True):
    """The platform's own provider, as its settings say."""

    issuer: str
    client_id: str
    client_secret: Secret


class SignOn(Struct, frozen=True, kw_only=True):
    """One for a process."""

    providers: Providers
    records: TxtRecords
    public_url: str
    operators: Operators | None = None

    @property
    def redirect_uri(self) -> str:
        return self.public_url + CALLBACK

    def backchannel_logout_uri(self, connection_id: SsoId) -> str:
        """Where a provider says that somebody's session has ended."""
        return f"{self.public_url}/v1/auth/sso/{text_id('sso', connection_id)}/backchannel-logout"


class SsoUnavailable(Refusal):
    """The same for every domain that has none, known here or not."""

    code, status, title = "sso-unavailable", 404, "There is no single sign-on for this address"
    hint = "Sign in with your password or a passkey, or ask an administrator of your tenant."


class Trusted(Struct, frozen=True, kw_only=True):
    """A provider with which a browser is, or was: a tenant's, or the platform's own."""

    issuer: str
    client_id: str
    connection: Connection | None
    """None: the platform's own."""
    tenant_id: TenantId | None = None

    @property
    def connection_id(self) -> SsoId | None:
        return self.connection.id if self.connection else None

    @property
    def target(self) -> Target:
        return connections.target(self.connection.id) if self.connection else ("sso-connection", "operators")


class Desk:
    """One request's."""

    def __init__(self, request: AnyRequest, db: Database, keyring: Keyring, sign_on: SignOn) -> None:
        self.request, self.db, self.pepper, self.sign_on = request, db, keyring.pepper, sign_on

    @property
    def providers(self) -> Providers:
        return self.sign_on.providers

    def nobody(self) -> Actor:
        return signing_in.nobody(self.request)

    async def count(self) -> None:
        """
        Raises:
            RateLimited: If this place has tried too often.
        """
        limiter = self.request.app.state.limiter
        await limits.check(limiter, limits.SIGN_IN_FROM, "sign-in-from", limits.address(self.request))

    def browser(self) -> str:
        """What only this browser has: several sign-ins in several tabs share it."""
        return self.request.cookies.get(COOKIE) or tokens.link_secret()

    def cookie(self, browser: str) -> Cookie:
        secure: bool = self.request.app.state.session_cookie.secure
        kept_s = int(flows.LIFETIME.total_seconds())
        return Cookie(
            key=COOKIE, value=browser, path="/v1/auth/sso", max_age=kept_s, secure=secure, httponly=True, samesite="lax"
        )

    async def of_tenant(self, tenant_id: TenantId) -> Trusted:
        """The provider by which a tenant is entered.

        Raises:
            SsoUnavailable: If there is none.
        """
        async with self.db.tenant(tenant_id) as tx:
            connection = await connections.active(tx)
        if connection is None:
            raise SsoUnavailable
        return self._trusted(tenant_id, connection)

    async def of_connection(self, connection_id: SsoId | None) -> Trusted:
        """
        Raises:
            SsoUnavailable: If there is no such connection any more.
        """
        if connection_id is None:
            return self.of_operators()
        tenant_id = await connections.tenant_of(self.db, connection_id)
        if tenant_id is None:
            raise SsoUnavailable
        try:
            async with self.db.tenant(tenant_id) as tx:
                return self._trusted(tenant_id, await connections.get(tx, connection_id))
        except NotFound:
            raise SsoUnavailable from None

    def of_operators(self) -> Trusted:
        """
        Raises:
            SsoUnavailable: If the platform has no provider of its own.
        """
        given = self.sign_on.operators
        if given is None:
            raise SsoUnavailable
        return Trusted(issuer=given.issuer, client_id=given.client_id, connection=None)

    async def client(self, trusted: Trusted) -> Client:
        """Who we are there, secret included."""
        auth: ClientAuth = "client_secret_basic"
        if trusted.connection is None or trusted.tenant_id is None:
            assert self.sign_on.operators is not None, "nobody was sent to a provider that there is not"
            secret = self.sign_on.operators.client_secret
        else:
            auth = trusted.connection.client_auth
            async with self.db.tenant(trusted.tenant_id) as tx:
                secret = await connections.secret(tx, trusted.connection.id)
        return Client(id=trusted.client_id, secret=secret, auth=auth, redirect_uri=self.sign_on.redirect_uri)

    async def write_down(self, action: str, trusted: Trusted | None, why: str) -> None:
        """That somebody was turned down: in the tenant's audit log where there is one, else in the platform's."""
        target = trusted.target if trusted else ("sso-connection", "unknown")
        if trusted is not None and trusted.tenant_id is not None:
            async with self.db.tenant(trusted.tenant_id) as tx:
                audit.denied(tx, self.nobody(), action, target, why=why)
        else:
            async with self.db.platform() as platform:
                audit.denied(platform, self.nobody(), action, target, why=why)

    def _trusted(self, tenant_id: TenantId, connection: Connection) -> Trusted:
        return Trusted(
            issuer=connection.issuer, client_id=connection.client_id, connection=connection, tenant_id=tenant_id
        )


def _desk(
    request: AnyRequest,
    db: NamedDependency[Database],
    keyring: NamedDependency[Keyring],
    sign_on: NamedDependency[SignOn],
) -> Desk:
    return Desk(request, db, keyring, sign_on)


DESK: Final = {"desk": Provide(_desk, sync_to_thread=False)}
"""``desk: NamedDependency[Desk]``."""
