"""Beginning to connect, for the API and for the console alike: through which app, and with what."""

from collections.abc import Mapping, Sequence
from typing import Final
from uuid import UUID

from msgspec import Struct, field

from controlplane.db.database import TenantTx
from controlplane.domain import projects
from controlplane.domain.permissions import Person, Principal
from controlplane.domain.vault import apps, connections, servers
from controlplane.domain.vault.apps import App
from controlplane.domain.vault.connecting import NewSession
from controlplane.http.connecting.desk import Vault
from controlplane.kit.problems import NotFound, Refusal

CONNECTABLE: Final = frozenset({"oauth2", "oidc", "mcp"})
"""Kinds of providers to which browsers are sent."""

LOOKED_AT: Final = 2
"""Apps of one provider: whether it is the only one."""


class Wanted(Struct, frozen=True, kw_only=True):
    provider: str = ""
    app_id: UUID | None = None
    connection_id: UUID | None = None
    """What is connected anew; it says provider and app itself."""
    other_account: bool = False
    variables: Mapping[str, str] = field(default_factory=dict)
    scopes: Sequence[str] | None = None
    """None: those of the connection, or of the app."""
    name: str = ""
    project: str | None = None
    owner_ref: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    return_url: str = ""


class NotConnectable(Refusal):
    code, status, title = "provider-not-connectable", 400, "Nobody is sent to this provider in a browser"
    hint = "Put a credential in instead, or have an app mint: POST …/connections, POST …/connections/minted."


class AppWanted(Refusal):
    code, status, title = "oauth-app-wanted", 400, "Say through which app"
    hint = "There is none for this provider, or more than one: GET …/oauth-apps, and with shared=true the platform's."


async def session(tx: TenantTx, vault: Vault, principal: Principal, wanted: Wanted) -> NewSession:
    """What is to be begun, with everything settled that was left open.

    Raises:
        NotFound: If connection, app or project are not there.
        UnknownProvider, NotConnectable, AppWanted, AppNotOwn, VariableRefused: If it cannot be begun like this.
    """
    project = await projects.named(tx, wanted.project) if wanted.project is not None else None
    earlier = await connections.get(tx, wanted.connection_id) if wanted.connection_id else None
    if earlier is not None:
        app_id = wanted.app_id or earlier.app_id or earlier.platform_app_id
        app = await _app(tx, earlier.provider, app_id)
    else:
        app = await _app(tx, wanted.provider, wanted.app_id)
    provider = vault.provider(app.provider)
    if provider.kind not in CONNECTABLE:
        raise NotConnectable
    if not servers.named(provider, app, wanted.variables).authorize and provider.kind == "oauth2":
        raise NotConnectable
    scopes = wanted.scopes if wanted.scopes is not None else earlier.requested_scopes if earlier else app.scopes
    return NewSession(
        provider=provider.id,
        app_id=None if app.is_platform else app.id,
        platform_app_id=app.id if app.is_platform else None,
        variables=wanted.variables,
        scopes=list(dict.fromkeys(scopes)),
        name=wanted.name,
        project_id=project.id if project else None,
        owner_ref=wanted.owner_ref or (earlier.owner_ref if earlier else ""),
        labels=wanted.labels,
        return_url=wanted.return_url,
        connection_id=wanted.connection_id,
        other_account=wanted.other_account,
        person_id=principal.account_id if isinstance(principal, Person) else None,
    )


async def app_of(tx: TenantTx, app_id: UUID) -> App:
    """The tenant's app, or the platform's.

    Raises:
        NotFound: If there is no such app.
    """
    try:
        return await apps.get(tx, app_id)
    except NotFound:
        return await apps.get(tx.on_platform(), app_id)


async def _app(tx: TenantTx, provider: str, app_id: UUID | None) -> App:
    """The app that is named, or the only one: of the tenant, else of the platform."""
    if app_id is not None:
        app = await app_of(tx, app_id)
        if provider and app.provider != provider:
            raise AppWanted
        return app
    for place in (tx, tx.on_platform()):
        found = await apps.listing(place, after=None, limit=LOOKED_AT, provider=provider)
        if len(found) == 1:
            return found[0]
        if found:
            break
    raise AppWanted
