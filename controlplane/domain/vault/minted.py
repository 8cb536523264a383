"""Minted connections: what an app of the tenant's own gets by itself, with its secret or its key, and without a browser.

Nothing is asked when one is made: the first who needs a token has it minted, as every one after it, by
:mod:`.refreshing`. The platform's apps mint for nobody: what they get by themselves is the platform's.
"""

from collections.abc import Mapping, Sequence
from typing import Final
from uuid import UUID

import msgspec
from msgspec import UNSET, Struct, UnsetType, field

from controlplane.db import schema as t
from controlplane.db.database import TenantTx
from controlplane.domain import audit, quotas
from controlplane.domain.audit import Actor
from controlplane.domain.vault import apps, connections, histories, servers, statics
from controlplane.domain.vault.apps import App
from controlplane.domain.vault.asking import Minting
from controlplane.domain.vault.connections import MINTED, Connection
from controlplane.domain.vault.provider import Provider, Way
from controlplane.domain.vault.servers import AppNotOwn
from controlplane.kit.ids import ConnectionId, new_id
from controlplane.kit.oauth.assertions import usable
from controlplane.kit.oauth.dialect import Client
from controlplane.kit.problems import Refusal

TAKES: Final[Mapping[Way, frozenset[str]]] = {
    "client_credentials": frozenset({"audience"}),
    "jwt_bearer": frozenset({"subject", "audience"}),
    "installation": frozenset({"repositories", "permissions"}),
}
"""What can be said beside scopes, of :class:`Minting`."""


class NewMinted(Struct, frozen=True, kw_only=True):
    name: str = ""
    way: Way | None = None
    """None: the only one that the provider has."""
    variables: Mapping[str, str] = field(default_factory=dict)
    scopes: Sequence[str] | None = None
    """None: the app's."""
    minting: Minting = Minting()
    project_id: UUID | None = None
    owner_ref: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)


class MintingChange(Struct, frozen=True, kw_only=True):
    """What is to be asked for from now on; the rest stays."""

    scopes: Sequence[str] | UnsetType = UNSET
    subject: str | UnsetType = UNSET
    audience: str | UnsetType = UNSET
    repositories: tuple[str, ...] | UnsetType = UNSET
    permissions: dict[str, str] | UnsetType = UNSET


class MintingUnfit(Refusal):
    code, status, title = "minting-unfit", 400, "Nothing can be minted like this"
    hint = "GET …/providers/{provider} says in `mints` how an app gets tokens by itself there, if it does."

    def __init__(self, why: str) -> None:
        super().__init__(why)


class NotMinted(Refusal):
    code, status, title = "connection-not-minted", 409, "This connection is not minted by an app"
    hint = "An account is connected anew in a browser; what was typed in is replaced."


async def create(tx: TenantTx, actor: Actor, app: App, provider: Provider, new: NewMinted) -> Connection:
    """Have it minted from now on, whenever somebody needs it.

    Args:
        provider: The app's.

    Raises:
        AppNotOwn: If the app is the platform's.
        MintingUnfit: If this app cannot get tokens like this.
        VariableRefused: If the provider is not found like this.
        QuotaExceeded: If the tenant has as many connections as it may have.
    """
    if app.is_platform:
        raise AppNotOwn
    way = _way(provider, new.way)
    scopes = list(dict.fromkeys(app.scopes if new.scopes is None else new.scopes))
    _check(provider, way, await apps.client(tx, app.id), scopes, new.minting)
    server = servers.named(provider, app, new.variables)
    chosen = provider.chosen({**new.variables, **app.variables})
    await quotas.take(tx, "connections")
    connection_id = ConnectionId(new_id(tx.now))
    account = chosen.get("installation_id") or new.minting.subject or app.client_id
    begun = statics.fresh(tx, actor) | {
        "endpoints": servers.written(server, provider),
        "facts": chosen,
        "requested_scopes": scopes,
        "cred_version": 0,
    }
    await tx.run(
        tx.insert(t.connections).values(
            id=connection_id,
            provider=provider.id,
            auth=way,
            name=new.name or app.name,
            project_id=new.project_id,
            owner_ref=new.owner_ref,
            labels=dict(new.labels),
            account_key=account,
            account_name=account,
            app_id=app.id,
            minting=msgspec.to_builtins(new.minting),
            access_exp=tx.now,
            state="active",
            **begun,
        )
    )
    audit.record(tx, actor, "connection.created", connections.target(connection_id), provider=provider.id)
    await histories.note(tx, actor, connection_id, "connection.created", 0)
    return await connections.get(tx, connection_id)


async def change(
    tx: TenantTx, actor: Actor, provider: Provider, connection_id: UUID, wanted: MintingChange
) -> Connection:
    """Ask for something else from now on, or for the same once more where it took somebody to mend it.

    What there is, is leased no more. Tokens that are out live on until they expire.

    Args:
        provider: The connection's.

    Raises:
        NotFound, ConnectionGone: If there is no such connection.
        NotMinted: If it is not minted.
        MintingUnfit: If its app cannot get tokens like this.
    """
    before = await connections.locked(tx, connection_id)
    connections.check_there(before)
    if before.auth not in MINTED or before.app_id is None:
        raise NotMinted
    given = {name: value for name, value in msgspec.structs.asdict(wanted).items() if value is not UNSET}
    scopes = list(dict.fromkeys(given.pop("scopes", before.requested_scopes)))
    minting = msgspec.structs.replace(msgspec.convert(before.minting or {}, Minting), **given)
    way: Way = msgspec.convert(before.auth, Way)
    _check(provider, _way(provider, way), await apps.client(tx, before.app_id), scopes, minting)
    asked = {"requested_scopes": scopes, "granted_scopes": [], "minting": msgspec.to_builtins(minting)}
    version = before.cred_version + 1  # so that what is being minted right now belongs to nothing any more
    fresh = {"cred_version": version, "access_blob": None, "access_exp": tx.now, "next_refresh_at": None}
    idle = {"rstate": "idle", "rdeadline": None, "rowner": None, "fence": t.connections.c.fence + 1}
    unfailed = {"fail_class": None, "fail_count": 0}
    written = await connections.write(tx, before.id, {**asked, **fresh, **idle, **unfailed})
    state: connections.State = "disabled" if before.state == "disabled" else "active"
    reason = before.state_reason if state == "disabled" else ""
    return await connections.turned(tx, actor, written, state, reason, "connection.reconnected")


def _way(provider: Provider, wanted: Way | None) -> Way:
    if wanted is None and len(provider.mints) == 1:
        return provider.mints[0]
    if wanted is None or wanted not in provider.mints:
        raise MintingUnfit(f"{provider.id} mints by: {', '.join(provider.mints) or 'nothing'}")
    return wanted


def _check(provider: Provider, way: Way, client: Client, scopes: Sequence[str], minting: Minting) -> None:
    said = {name for name, value in msgspec.structs.asdict(minting).items() if value}
    if strange := sorted(said - TAKES[way]):
        raise MintingUnfit(f"{way} has no {strange[0]}")
    asking = provider.dialect.asking
    if scopes and asking.scopes == "unknown":
        raise MintingUnfit(f"{provider.id} has no scopes to ask for")
    if way == "client_credentials":
        if client.secret is None and client.key is None:
            raise MintingUnfit("the app has neither secret nor key")
    elif client.key is None or not usable(client.key):
        raise MintingUnfit("the app has no private key that can sign")
    if way == "jwt_bearer" and asking.assertion.subject == "wanted" and not minting.subject:
        raise MintingUnfit(f"{provider.id} wants to know for whom: subject")
