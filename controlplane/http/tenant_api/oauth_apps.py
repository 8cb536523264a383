"""/v1/tenants/{tenant}/oauth-apps: who the tenant is at providers."""

from typing import Annotated, Any, Final, TypeAlias

from litestar import Controller, delete, get, patch, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, JSONBody
from msgspec import UNSET, Meta, Struct, UnsetType
from msgspec.structs import asdict

from controlplane.db.database import TenantTx
from controlplane.domain.audit import Actor
from controlplane.domain.vault import apps
from controlplane.domain.vault.apps import App, Change, NewApp, State
from controlplane.domain.vault.sealed import Proof
from controlplane.http.authorize import Surface, rule
from controlplane.http.connecting import setting_up, starting
from controlplane.http.connecting.desk import Vault
from controlplane.http.instants import Moment, moment
from controlplane.http.pages import Page, Paging
from controlplane.http.paths import identity
from controlplane.http.words import word
from controlplane.kit.guard import LONGEST_URL, Guard
from controlplane.kit.ids import text_id
from controlplane.kit.oauth.dialect import ClientAuth
from controlplane.kit.secret import Secret

ProviderName: TypeAlias = Annotated[str, Meta(pattern=r"^[a-z][a-z0-9-]{0,39}$")]
AppName: TypeAlias = Annotated[str, Meta(min_length=1, max_length=100, pattern=r"^[^\u0000]*$")]
ClientId: TypeAlias = Annotated[str, Meta(min_length=1, max_length=500, pattern=r"^[\x21-\x7e]+$")]
ClientSecret: TypeAlias = Annotated[str, Meta(min_length=1, max_length=4_000, pattern=r"^[^\u0000]*$")]
PrivateKey: TypeAlias = Annotated[str, Meta(min_length=1, max_length=20_000, pattern=r"^[^\u0000]*$")]
KeyId: TypeAlias = Annotated[str, Meta(max_length=200, pattern=r"^[^\u0000]*$")]
Named: TypeAlias = Annotated[str, Meta(pattern=r"^[a-z][a-z0-9_]{0,39}$")]
Value: TypeAlias = Annotated[str, Meta(min_length=1, max_length=300, pattern=r"^[^\u0000]*$")]
Address: TypeAlias = Annotated[str, Meta(min_length=8, max_length=LONGEST_URL)]
Scope: TypeAlias = Annotated[str, Meta(min_length=1, max_length=300, pattern=r"^[\x21\x23-\x5b\x5d-\x7e]+$")]
Scopes: TypeAlias = Annotated[list[Scope], Meta(max_length=200)]
Variables: TypeAlias = Annotated[dict[Named, Value], Meta(max_length=20)]
Overrides: TypeAlias = Annotated[dict[Named, Address], Meta(max_length=20)]

PROOF: Final = ("client_secret", "private_key")


class NewOAuthApp(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    provider: ProviderName
    """In the catalogue. It never changes."""
    name: AppName
    client_id: ClientId
    client_secret: ClientSecret | None = None
    """Without it and without a key the client is public. It is shown nowhere, ever."""
    private_key: PrivateKey | None = None
    """As PEM, for providers that take one. It is shown nowhere, ever."""
    key_id: KeyId = ""
    client_auth: ClientAuth | None = None
    """How it says at the token endpoint who it is; null: as the catalogue says."""
    variables: Variables = {}
    """What the provider's addresses leave open, such as a subdomain, where it is the same for all connections."""
    overrides: Overrides = {}
    """Addresses instead of the catalogue's, or the `issuer` of a generic provider."""
    scopes: Scopes = []
    """What is asked for unless somebody asks for something else."""


class OAuthAppChange(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is to be different; the rest stays. Secret and key are one: what is left out beside the other is gone."""

    name: AppName | UnsetType = UNSET
    client_id: ClientId | UnsetType = UNSET
    client_secret: ClientSecret | UnsetType | None = UNSET
    private_key: PrivateKey | UnsetType | None = UNSET
    key_id: KeyId | UnsetType = UNSET
    client_auth: ClientAuth | UnsetType | None = UNSET
    variables: Variables | UnsetType = UNSET
    overrides: Overrides | UnsetType = UNSET
    scopes: Scopes | UnsetType = UNSET


class OAuthAppView(Struct, frozen=True, kw_only=True):
    """Never its secret, nor its key."""

    id: str
    provider: str
    name: str
    shared: bool
    """The platform's, for every tenant."""
    client_id: str
    has_proof: bool
    """Whether there is a secret or a key."""
    key_id: str
    client_auth: ClientAuth | None
    variables: dict[str, str]
    overrides: dict[str, str]
    scopes: list[str]
    redirect_uri: str
    """To be registered at the provider; another one for every app."""
    state: State
    """`broken`: the provider does not take its credentials. Nothing is refreshed through it until they are changed."""
    state_reason: str
    created_by: str
    created_at: Moment
    changed_at: Moment


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
        rows = await apps.listing(place, after=paging.after_id, limit=paging.fetch, provider=word("provider", provider))
        return paging.page(rows, lambda row: row.id, lambda row: _view(row, vault))

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
        given = {name: value for name, value in asdict(data).items() if name not in PROOF}
        new = NewApp(proof=_proof(data.client_secret, data.private_key), **given)
        setting_up.check(vault, guard, new.provider, new.variables, new.overrides)
        return _view(await apps.create(tx, actor, new), vault)

    @get("/{app:str}", opt=rule(Surface.TENANT, "oauth-app:read"))
    async def show(
        self, tx: NamedDependency[TenantTx], vault: NamedDependency[Vault], app: FromPath[str]
    ) -> OAuthAppView:
        """One app, of the tenant or of the platform."""
        return _view(await starting.app_of(tx, identity("app", app)), vault)

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
        given: dict[str, Any] = {name: value for name, value in asdict(data).items() if name not in PROOF}
        if data.client_secret is not UNSET or data.private_key is not UNSET:
            given["proof"] = _proof(data.client_secret or None, data.private_key or None)
        variables = before.variables if isinstance(data.variables, UnsetType) else data.variables
        overrides = before.overrides if isinstance(data.overrides, UnsetType) else data.overrides
        setting_up.check(vault, guard, before.provider, variables, overrides)
        return _view(await apps.change(tx, actor, app_id, Change(**given)), vault)

    @delete("/{app:str}", opt=rule(Surface.TENANT, "oauth-app:write", fresh=True))
    async def delete(self, tx: NamedDependency[TenantTx], actor: NamedDependency[Actor], app: FromPath[str]) -> None:
        """Delete one of the tenant's apps, if nothing is connected through it."""
        await apps.delete(tx, actor, identity("app", app))


def _proof(secret: str | None, key: str | None) -> Proof:
    return Proof(secret=Secret(secret) if secret else None, key=Secret(key) if key else None)


def _view(app: App, vault: Vault) -> OAuthAppView:
    return OAuthAppView(
        id=text_id("app", app.id),
        provider=app.provider,
        name=app.name,
        shared=app.is_platform,
        client_id=app.client_id,
        has_proof=app.secret_version > 0,
        key_id=app.key_id,
        client_auth=app.client_auth,
        variables=app.variables,
        overrides=app.overrides,
        scopes=app.scopes,
        redirect_uri=vault.redirect_uri(app.id),
        state=app.state,
        state_reason=app.state_reason,
        created_by=app.created_by,
        created_at=moment(app.created_at),
        changed_at=moment(app.changed_at),
    )
