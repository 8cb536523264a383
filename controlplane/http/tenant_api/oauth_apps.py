"""/v1/tenants/{tenant}/oauth-apps: who the tenant is at providers."""

from litestar import Controller, delete, get, patch, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, JSONBody
from msgspec import UNSET, UnsetType

from controlplane.db.database import TenantTx
from controlplane.domain.audit import Actor
from controlplane.domain.vault import apps
from controlplane.http.authorize import Surface, rule
from controlplane.http.connecting import setting_up, starting
from controlplane.http.connecting.desk import Vault
from controlplane.http.oauth_apps import (
    NewSharedApp,
    OAuthAppView,
    Overrides,
    SharedAppChange,
    app_view,
    change_of,
    new_app,
    provider_name,
)
from controlplane.http.pages import Page, Paging
from controlplane.http.paths import identity
from controlplane.kit.guard import Guard


class NewOAuthApp(NewSharedApp, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An app of the tenant's own."""

    overrides: Overrides = {}
    """Addresses instead of the catalogue's, or the `issuer` of a generic provider."""


class OAuthAppChange(SharedAppChange, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is to be different; the rest stays. Secret and key are one: what is left out beside the other is gone."""

    overrides: Overrides | UnsetType = UNSET


class OAuthAppsController(Controller):
    path = "/oauth-apps"
    tags = ("oauth-apps",)

    @get("/", opt=rule(Surface.TENANT, "oauth-app:read"))
    async def listing(
        self,
        tx: NamedDependency[TenantTx],
        paging: NamedDependency[Paging],
        vault: NamedDependency[Vault],
        provider: FromQuery[str | None] = None,
        shared: FromQuery[bool] = False,
    ) -> Page[OAuthAppView]:
        """The tenant's apps, newest first; with *shared* the platform's instead."""
        place = tx.on_platform() if shared else tx
        rows = await apps.listing(place, after=paging.after_id, limit=paging.fetch, provider=provider_name(provider))
        return paging.page(rows, lambda row: row.id, lambda row: app_view(row, vault))

    @post("/", status_code=201, opt=rule(Surface.TENANT, "oauth-app:write", fresh=True))
    async def create(
        self,
        data: JSONBody[NewOAuthApp],
        tx: NamedDependency[TenantTx],
        actor: NamedDependency[Actor],
        vault: NamedDependency[Vault],
        guard: NamedDependency[Guard],
    ) -> OAuthAppView:
        """Set up an app. Register its `redirect_uri` at the provider before anybody connects through it."""
        new = new_app(data)
        setting_up.check(vault, guard, new.provider, new.variables, new.overrides)
        return app_view(await apps.create(tx, actor, new), vault)

    @get("/{app:str}", opt=rule(Surface.TENANT, "oauth-app:read"))
    async def show(
        self, tx: NamedDependency[TenantTx], vault: NamedDependency[Vault], app: FromPath[str]
    ) -> OAuthAppView:
        """One app, of the tenant or of the platform."""
        return app_view(await starting.app_of(tx, identity("app", app)), vault)

    @patch("/{app:str}", opt=rule(Surface.TENANT, "oauth-app:write", fresh=True))
    async def change(
        self,
        data: JSONBody[OAuthAppChange],
        tx: NamedDependency[TenantTx],
        actor: NamedDependency[Actor],
        vault: NamedDependency[Vault],
        guard: NamedDependency[Guard],
        app: FromPath[str],
    ) -> OAuthAppView:
        """Change one of the tenant's apps. What is connected through it stays connected where it was."""
        app_id = identity("app", app)
        before = await apps.get(tx, app_id)
        variables = before.variables if isinstance(data.variables, UnsetType) else data.variables
        overrides = before.overrides if isinstance(data.overrides, UnsetType) else data.overrides
        setting_up.check(vault, guard, before.provider, variables, overrides)
        return app_view(await apps.change(tx, actor, app_id, change_of(data)), vault)

    @delete("/{app:str}", opt=rule(Surface.TENANT, "oauth-app:write", fresh=True))
    async def delete(self, tx: NamedDependency[TenantTx], actor: NamedDependency[Actor], app: FromPath[str]) -> None:
        """Delete one of the tenant's apps, if nothing is connected through it."""
        await apps.delete(tx, actor, identity("app", app))
