"""What connecting needs in hand, and the cookie that binds an attempt to one browser."""

from collections.abc import Mapping
from typing import Any, Final
from uuid import UUID

from litestar import Request
from litestar.datastructures import Cookie
from litestar.di import NamedDependency, Provide
from msgspec import Struct

from controlplane.db.database import Database, TenantTx
from controlplane.domain import audit
from controlplane.domain.audit import Actor
from controlplane.domain.keys import Keyring
from controlplane.domain.vault import apps, connecting
from controlplane.domain.vault.apps import App
from controlplane.domain.vault.catalogue import Catalogue
from controlplane.domain.vault.connecting import AWAY_FOR, ConnectSession
from controlplane.domain.vault.provider import Provider
from controlplane.http import limits, signing_in
from controlplane.http.sessions import cookie_for
from controlplane.kit import tokens
from controlplane.kit.ids import TenantId, text_id
from controlplane.kit.oauth.calling import Caller
from controlplane.kit.oauth.dialect import Client
from controlplane.kit.problems import NotFound, Refusal

AnyRequest = Request[Any, Any, Any]

CONNECT: Final = "/oauth/connect"
DONE: Final = "/oauth/done"
CALLBACK: Final = "/oauth/callback"
CLIENTS: Final = "/oauth/clients"


class Vault(Struct, frozen=True, kw_only=True):
    """One for a process."""

    catalogue: Catalogue
    caller: Caller
    public_url: str

    def redirect_uri(self, app_id: UUID) -> str:
        """Where browsers come back to from this app's provider: another address for every app, so that the answer of
        one server cannot pass for another's (RFC 9700, section 2.1)."""
        return f"{self.public_url}{CALLBACK}/{text_id('app', app_id)}"

    def document(self, app_id: UUID, *, public: bool = False) -> str:
        """Where it stands who we are as this app: the client's id at servers that read such documents.

        Args:
            public: As a client that proves nothing.
        """
        return f"{self.public_url}{CLIENTS}/{text_id('app', app_id)}{'/public' if public else ''}"

    def link(self, ticket: str) -> str:
        """For whoever is to connect their account. What stands after ``#`` is sent to nobody by itself."""
        return f"{self.public_url}{CONNECT}#{ticket}"

    def provider(self, name: str) -> Provider:
        """
        Raises:
            UnknownProvider: If the catalogue has no such one.
        """
        found = self.catalogue.find(name)
        if found is None:
            raise UnknownProvider(name)
        return found


class UnknownProvider(Refusal):
    code, status, title = "provider-unknown", 400, "There is no such provider"
    hint = "GET …/providers lists them; generic-oauth2 and generic-oidc are for all others."

    def __init__(self, name: str) -> None:
        super().__init__(f"no provider {name[:60]!r}")


class Desk:
    """One request's."""

    def __init__(self, request: AnyRequest, db: Database, keyring: Keyring, vault: Vault) -> None:
        self.request, self.db, self.pepper, self.vault = request, db, keyring.pepper, vault
        self._cookie = cookie_for(vault.public_url, "connect")

    def nobody(self) -> Actor:
        return signing_in.nobody(self.request)

    async def count(self) -> None:
        """
        Raises:
            RateLimited: If this place has tried too often.
        """
        limiter = self.request.app.state.limiter
        await limits.check(limiter, limits.SIGN_IN_FROM, "connect-from", limits.address(self.request))

    @property
    def shown(self) -> str:
        """What this browser has shown; empty: nothing."""
        return self.request.cookies.get(self._cookie.name, "")

    def browser(self) -> str:
        """What only this browser has: several attempts in several tabs share it."""
        return self.shown or tokens.link_secret()

    def cookie(self, browser: str) -> Cookie:
        """For the whole host, which its name says where it can."""
        kept_s = int(AWAY_FOR.total_seconds())
        name, secure = self._cookie.name, self._cookie.secure
        return Cookie(key=name, value=browser, path="/", max_age=kept_s, secure=secure, httponly=True, samesite="lax")

    async def tenant_of(self, secret: str) -> TenantId | None:
        """Whose ticket or state this is."""
        return await self.db.tenant_of(connecting.ROUTE, tokens.fingerprint(self.pepper, secret))

    async def app(self, tx: TenantTx, session: ConnectSession) -> App:
        """Through which app a session goes.

        Raises:
            NotFound: If it is not there any more.
        """
        if session.app_id is not None:
            return await apps.get(tx, session.app_id)
        if session.platform_app_id is None:
            raise NotFound
        return await apps.get(tx.on_platform(), session.platform_app_id)

    async def client(self, tx: TenantTx, app: App) -> Client:
        """Who we are at its provider, secrets included."""
        return await apps.client(tx.on_platform() if app.is_platform else tx, app.id, self.vault.redirect_uri(app.id))

    async def write_down(self, tenant_id: TenantId | None, why: str, facts: Mapping[str, object] | None = None) -> None:
        """That somebody was turned down: in the tenant's audit log where there is one, else in the platform's."""
        target = ("connect-session", "unknown")
        async with self.db.scoped(tenant_id) as tx:
            audit.denied(tx, self.nobody(), "connection.refused", target, why=why, **(facts or {}))


def _desk(
    request: AnyRequest,
    db: NamedDependency[Database],
    keyring: NamedDependency[Keyring],
    vault: NamedDependency[Vault],
) -> Desk:
    return Desk(request, db, keyring, vault)


CONNECT_DESK: Final = {"connect_desk": Provide(_desk, sync_to_thread=False)}
"""``connect_desk: NamedDependency[Desk]``."""
