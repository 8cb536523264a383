"""/v1/tenants/{tenant}/oauth-apps/discovered: an app at an MCP server, from the server's address alone."""

from typing import Annotated

from litestar import Controller, post
from litestar.di import NamedDependency
from litestar.params import JSONBody
from msgspec import Meta, Struct

from controlplane.db.database import Database
from controlplane.domain.audit import Actor
from controlplane.domain.keys import Keyring
from controlplane.domain.vault import apps
from controlplane.http.authorize import Surface, rule
from controlplane.http.connecting import discovering
from controlplane.http.connecting.desk import Vault
from controlplane.http.connecting.discovering import Wanted
from controlplane.http.oauth_apps import Address, AppName, ClientId, ClientSecret, OAuthAppView, Scopes, app_view
from controlplane.http.principals import AnyRequest
from controlplane.kit.ids import OAuthAppId, new_id
from controlplane.kit.secret import Secret


class NewDiscoveredApp(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An MCP server: its address is enough where it reads documents of clients, or registers them."""

    url: Address
    """Of the server."""
    issuer: Annotated[str, Meta(max_length=2_000)] = ""
    """Which of the authorization servers that it names; empty: the first."""
    client_id: ClientId | None = None
    """What somebody has registered there; null: the server has a way without."""
    client_secret: ClientSecret | None = None
    name: AppName | None = None
    """Null: the server's host."""
    scopes: Scopes | None = None
    """What is asked for unless somebody asks for something else; null: those that the server names."""


class DiscoveredAppsController(Controller):
    path = "/oauth-apps"
    tags = ("oauth-apps",)

    @post("/discovered", status_code=200, opt=rule(Surface.TENANT, "oauth-app:write", fresh=True))
    async def create(
        self,
        data: JSONBody[NewDiscoveredApp],
        request: AnyRequest,
        db: NamedDependency[Database],
        actor: NamedDependency[Actor],
        vault: NamedDependency[Vault],
        keyring: NamedDependency[Keyring],
    ) -> OAuthAppView:
        """The tenant's app at an MCP server, or a new one: the server is asked who lets people in, and one becomes known
        there by the `client_id` that is given, else by our document, else by registering."""
        wanted = Wanted(
            url=data.url,
            issuer=data.issuer,
            name=data.name or "",
            client_id=data.client_id or "",
            client_secret=Secret(data.client_secret) if data.client_secret else None,
            scopes=data.scopes,
        )
        async with db.tenant(request.state.tenant_id) as tx:
            if (known := await discovering.known(tx, wanted)) is not None:
                return app_view(known, vault)
        app_id = OAuthAppId(new_id(db.clock()))
        new = await discovering.found(vault, keyring, app_id, wanted)
        async with db.tenant(request.state.tenant_id) as tx:
            return app_view(await apps.create(tx, actor, new, app_id), vault)
