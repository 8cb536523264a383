"""/v1/tenants/{tenant}/connections/minted: tokens that an app of the tenant's gets by itself, without a browser."""

from typing import Annotated, TypeAlias

from litestar import Controller, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody
from msgspec import UNSET, Meta, Struct, UnsetType
from msgspec.structs import asdict

from controlplane.db.database import TenantTx
from controlplane.domain import projects
from controlplane.domain.audit import Actor
from controlplane.domain.vault import connections, minted
from controlplane.domain.vault.asking import Minting
from controlplane.domain.vault.minted import MintingChange, NewMinted
from controlplane.domain.vault.provider import Way
from controlplane.http.authorize import Surface, rule
from controlplane.http.connecting import starting
from controlplane.http.connecting.desk import Vault
from controlplane.http.manners import plain_answer
from controlplane.http.oauth_apps import Scopes, Variables
from controlplane.http.paths import identity
from controlplane.http.tenant_api.connections import (
    ConnectionName,
    ConnectionView,
    Labels,
    OwnerRef,
    Reference,
    connection_view,
)

Whom: TypeAlias = Annotated[str, Meta(max_length=500, pattern=r"^[\x21-\x7e]*$")]
Repository: TypeAlias = Annotated[str, Meta(pattern=r"^[A-Za-z0-9._-]{1,100}$")]
Repositories: TypeAlias = Annotated[list[Repository], Meta(max_length=500)]
Permission: TypeAlias = Annotated[str, Meta(pattern=r"^[a-z][a-z0-9_]{0,59}$")]
Permissions: TypeAlias = Annotated[
    dict[Permission, Annotated[str, Meta(pattern=r"^[a-z]{1,20}$")]], Meta(max_length=100)
]


class NewMintedConnection(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Nothing is asked of the provider before somebody needs a token, or asks with `POST …/refresh`."""

    app: Annotated[str, Meta(min_length=1, max_length=40)]
    """``app_…``, of the tenant's own: with a secret, or with a private key where it signs."""
    way: Way | None = None
    """As the provider's `mints` says; null: the only one that it has."""
    variables: Variables = {}
    """What the provider's addresses leave open and the app does not say, such as `installation_id`."""
    scopes: Scopes | None = None
    """Null: the app's."""
    subject: Whom = ""
    """With `jwt_bearer`: for whom the app asks, such as a person of the directory it may act for."""
    audience: Whom = ""
    """What the token is for, where the provider asks for that; with `jwt_bearer`: whom the assertion is for, where that
    is not the token endpoint."""
    repositories: Repositories = []
    """With `installation`: these alone, by name without owner."""
    permissions: Permissions = {}
    """With `installation`: these alone, such as `{"contents": "read"}`."""
    name: ConnectionName | None = None
    """Null: the app's."""
    project: Reference | None = None
    """Slug or id; null: for every project of the tenant."""
    owner_ref: OwnerRef = ""
    labels: Labels = {}


class NewMinting(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is asked for from now on; what is left out stays."""

    scopes: Scopes | UnsetType = UNSET
    subject: Whom | UnsetType = UNSET
    audience: Whom | UnsetType = UNSET
    repositories: Repositories | UnsetType = UNSET
    permissions: Permissions | UnsetType = UNSET


class MintedConnectionsController(Controller):
    path = "/connections"
    tags = ("connections",)

    @post("/minted", status_code=201, opt={**rule(Surface.TENANT, "connection:write", fresh=True), **plain_answer()})
    async def create(
        self,
        data: JSONBody[NewMintedConnection],
        tx: NamedDependency[TenantTx],
        actor: NamedDependency[Actor],
        vault: NamedDependency[Vault],
    ) -> ConnectionView:
        """Have an app get tokens by itself: client credentials, an assertion signed by its key, or an installation."""
        project = await projects.named(tx, data.project) if data.project is not None else None
        app = await starting.app_of(tx, identity("app", data.app))
        new = NewMinted(
            name=data.name or "",
            way=data.way,
            variables=data.variables,
            scopes=data.scopes,
            minting=Minting(
                subject=data.subject,
                audience=data.audience,
                repositories=tuple(data.repositories),
                permissions=data.permissions,
            ),
            project_id=project.id if project else None,
            owner_ref=data.owner_ref,
            labels=data.labels,
        )
        return connection_view(await minted.create(tx, actor, app, vault.provider(app.provider), new))

    @post("/{connection:str}/minting", status_code=200, opt=rule(Surface.TENANT, "connection:write", fresh=True))
    async def change(
        self,
        data: JSONBody[NewMinting],
        tx: NamedDependency[TenantTx],
        actor: NamedDependency[Actor],
        vault: NamedDependency[Vault],
        connection: FromPath[str],
    ) -> ConnectionView:
        """Ask for something else from now on, or for the same once more where it needed somebody: with an empty object.

        The next who needs a token has a new one minted. Tokens that are out live on until they expire.
        """
        its = await connections.get(tx, identity("con", connection))
        given = asdict(data)
        if not isinstance(data.repositories, UnsetType):
            given["repositories"] = tuple(data.repositories)
        changed = await minted.change(tx, actor, vault.provider(its.provider), its.id, MintingChange(**given))
        return connection_view(changed)
