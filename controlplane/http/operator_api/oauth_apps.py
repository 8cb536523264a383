"""/v1/operator/oauth-apps: who the platform is at providers, for every tenant that has no app of its own there."""

from litestar import Controller, delete, get, patch, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, JSONBody
from msgspec import UnsetType

from controlplane.db.database import PlatformTx
from controlplane.domain.audit import Actor
from controlplane.domain.vault import apps
from controlplane.http.authorize import Surface, rule
from controlplane.http.connecting import setting_up
from controlplane.http.connecting.desk import Vault
from controlplane.http.oauth_apps import (
    NewSharedApp,
    OAuthAppView,
    SharedAppChange,
    app_view,
    change_of,
    new_app,
    provider_name,
)
from controlplane.http.pages import Page, Paging
from controlplane.http.paths import identity

SEES, SETS_UP = "operator:oauth-app-read", "operator:oauth-app-write"


class SharedAppsController(Controller):
    path = "/oauth-apps"
    tags = ("operator",)

    @get("/", opt=rule(Surface.OPERATOR, SEES))
    async def listing(
        self,
        tx: NamedDependency[PlatformTx],
        paging: NamedDependency[Paging],
        vault: NamedDependency[Vault],
        provider: FromQuery[str | None] = None,
    ) -> Page[OAuthAppView]:
        """The platform's apps, newest first."""
        rows = await apps.listing(tx, after=paging.after_id, limit=paging.fetch, provider=provider_name(provider))
        return paging.page(rows, lambda row: row.id, lambda row: app_view(row, vault))

    @post("/", status_code=201, opt=rule(Surface.OPERATOR, SETS_UP, fresh=True))
    async def create(
        self,
        data: JSONBody[NewSharedApp],
        tx: NamedDependency[PlatformTx],
        actor: NamedDependency[Actor],
        vault: NamedDependency[Vault],
    ) -> OAuthAppView:
        """Set up an app for every tenant. Register its `redirect_uri` at the provider first."""
        new = new_app(data)
        setting_up.check_shared(vault, new.provider, new.variables)
        return app_view(await apps.create(tx, actor, new), vault)

    @get("/{app:str}", opt=rule(Surface.OPERATOR, SEES))
    async def show(
        self, tx: NamedDependency[PlatformTx], vault: NamedDependency[Vault], app: FromPath[str]
    ) -> OAuthAppView:
        """One of the platform's apps."""
        return app_view(await apps.get(tx, identity("app", app)), vault)

    @patch("/{app:str}", opt=rule(Surface.OPERATOR, SETS_UP, fresh=True))
    async def change(
        self,
        data: JSONBody[SharedAppChange],
        tx: NamedDependency[PlatformTx],
        actor: NamedDependency[Actor],
        vault: NamedDependency[Vault],
        app: FromPath[str],
    ) -> OAuthAppView:
        """Change one of the platform's apps. A new secret has refreshing go on where the one before was not taken."""
        app_id = identity("app", app)
        before = await apps.get(tx, app_id)
        variables = before.variables if isinstance(data.variables, UnsetType) else data.variables
        setting_up.check_shared(vault, before.provider, variables)
        return app_view(await apps.change(tx, actor, app_id, change_of(data)), vault)

    @delete("/{app:str}", opt=rule(Surface.OPERATOR, SETS_UP, fresh=True))
    async def delete(self, tx: NamedDependency[PlatformTx], actor: NamedDependency[Actor], app: FromPath[str]) -> None:
        """Delete one of the platform's apps, if no tenant ever connected through it."""
        await apps.delete(tx, actor, identity("app", app))
