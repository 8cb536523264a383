"""Connections: a tenant's accounts elsewhere, how they stand, and what is kept for them.

``pending_confirm → active ⇄ refresh_failing → needs_reauth → active``; ``disabled``, ``revoking`` and ``deleted`` are
somebody's decision. Secrets come in by :mod:`.statics` and :mod:`.connecting`, and nothing here shows one.
"""

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any, Final, Literal, TypeAlias
from uuid import UUID

from msgspec import UNSET, Struct, UnsetType
from msgspec.structs import asdict
from sqlalchemy.dialects.postgresql import JSONB

from controlplane.db import schema as t
from controlplane.db.database import TenantTx
from controlplane.domain import audit
from controlplane.domain.audit import Actor
from controlplane.domain.vault import histories, sealed
from controlplane.domain.vault.sealed import Access
from controlplane.kit.ids import ConnectionId, OAuthAppId, ProjectId, text_id
from controlplane.kit.problems import NotFound, Refusal
from controlplane.kit.secret import Secret

State: TypeAlias = Literal[
    "pending_confirm", "active", "refresh_failing", "needs_reauth", "disabled", "revoking", "deleted"
]

Auth: TypeAlias = Literal["oauth2", "client_credentials", "jwt_bearer", "installation", "static"]

MINTED: Final[frozenset[Auth]] = frozenset({"client_credentials", "jwt_bearer", "installation"})
"""What an app gets by itself, with its own secret or key: without a person, and without a refresh token."""

SERVED: Final[frozenset[State]] = frozenset({"active", "refresh_failing"})
"""States in which something is leased, as long as it is valid."""

MOST_WAITING: Final = 100
"""Of what is connected anew and waits to be confirmed, for one connection: they live for ten minutes."""

Act: TypeAlias = Literal[
    "connection.confirmed",
    "connection.deleted",
    "connection.disabled",
    "connection.enabled",
    "connection.needs_reauth",
    "connection.reconnected",
    "connection.refresh_failing",
]
"""What turns a connection into another state."""

GONE: Final[frozenset[State]] = frozenset({"revoking", "deleted"})


class Connection(Struct, frozen=True, kw_only=True):
    """What may be shown of a connection."""

    id: ConnectionId
    provider: str
    auth: Auth
    name: str
    project_id: ProjectId | None
    """None: for every project of the tenant."""
    owner_ref: str
    """Whose it is, in the tenant's own words: the id of an end user of theirs."""
    labels: dict[str, str]
    app_id: OAuthAppId | None
    """Through which app of the tenant …"""
    platform_app_id: OAuthAppId | None
    """… or of the platform; static credentials through none."""
    account_key: str | None
    """Which account it is at the provider. Pinned: connected anew, it has to be the same."""
    account_name: str
    account_email: str
    requested_scopes: list[str]
    granted_scopes: list[str]
    facts: dict[str, Any]
    """What the provider said beside the tokens and a caller may need: ``api_base``, ``instance_url``."""
    minting: dict[str, Any] | None
    """What is asked for beside scopes where an app gets tokens by itself; None: it does not."""
    state: State
    state_reason: str
    state_at: datetime
    confirm_until: datetime | None
    replaces_id: ConnectionId | None
    """What it takes the place of, once somebody confirms it."""
    cred_version: int
    """Goes up with every new credential; bound into what is sealed."""
    access_exp: datetime | None
    """None: it does not expire."""
    refresh_exp: datetime | None
    next_refresh_at: datetime | None
    fail_class: str | None
    fail_count: int
    refreshed_at: datetime | None
    last_used_at: datetime | None
    created_by: str
    created_at: datetime
    changed_at: datetime

    @property
    def missing_scopes(self) -> list[str]:
        """What was asked for and not granted; nothing, as long as an app has not asked."""
        if self.minting is not None and not self.granted_scopes:
            return []
        return [scope for scope in self.requested_scopes if scope not in self.granted_scopes]


class Filters(Struct, frozen=True, kw_only=True):
    provider: str | None = None
    state: State | None = None
    """None: those that are not gone."""
    app_id: UUID | None = None
    project_ids: Collection[UUID] | None = None
    """Of one of these; None: of any, or of none in particular."""
    owner_ref: str | None = None
    labels: Mapping[str, str] | None = None


class Change(Struct, frozen=True, kw_only=True):
    """What is to be different; the rest stays."""

    name: str | UnsetType = UNSET
    project_id: UUID | UnsetType | None = UNSET
    owner_ref: str | UnsetType = UNSET
    labels: Mapping[str, str] | UnsetType = UNSET


class ConnectionGone(Refusal):
    code, status, title = "connection-gone", 409, "This connection was deleted"
    hint = "Connect the account again."


class ConnectionUnconfirmed(Refusal):
    code, status, title = "connection-unconfirmed", 409, "Nobody has confirmed this connection yet"
    hint = "Confirm it first, or connect again."


async def listing(
    tx: TenantTx, filters: Filters | None = None, *, after: UUID | None = None, limit: int
) -> list[Connection]:
    """Newest first, from just before *after* on."""
    filters = filters or Filters()
    its = t.connections.c
    wanted = tx.select(t.connections)
    if filters.state is None:
        wanted = wanted.where(its.state.not_in(sorted(GONE)), its.replaces_id.is_(None))
    for column, value in (
        (its.provider, filters.provider),
        (its.state, filters.state),
        (its.app_id, filters.app_id),
        (its.owner_ref, filters.owner_ref),
    ):
        if value is not None:
            wanted = wanted.where(column == value)
    if filters.project_ids is not None:
        wanted = wanted.where(its.project_id.in_(filters.project_ids))
    if filters.labels:
        wanted = wanted.where(its.labels.cast(JSONB).contains(dict(filters.labels)))
    if after is not None:
        wanted = wanted.where(its.id < after)
    return await tx.all(Connection, wanted.order_by(its.id.desc()).limit(limit))


async def get(tx: TenantTx, connection_id: UUID) -> Connection:
    """
    Raises:
        NotFound: If this tenant has no such connection.
    """
    found = await tx.first(Connection, tx.select(t.connections).where(t.connections.c.id == connection_id))
    if found is None:
        raise NotFound
    return found


async def locked(tx: TenantTx, connection_id: UUID) -> Connection:
    """As :func:`get`, and nobody else changes it until *tx* ends."""
    wanted = tx.select(t.connections).where(t.connections.c.id == connection_id).with_for_update()
    found = await tx.first(Connection, wanted)
    if found is None:
        raise NotFound
    return found


async def change(tx: TenantTx, actor: Actor, connection_id: UUID, wanted: Change) -> Connection:
    """
    Raises:
        NotFound: If this tenant has no such connection.
        ConnectionGone: If it was deleted.
    """
    before = await locked(tx, connection_id)
    check_there(before)
    values = {name: value for name, value in asdict(wanted).items() if value is not UNSET}
    changed = await write(tx, before.id, values)
    audit.record(tx, actor, "connection.changed", target(before.id), changed=sorted(values))
    await histories.note(tx, actor, before.id, "connection.changed", before.cred_version, changed=sorted(values))
    return changed


async def turned(tx: TenantTx, actor: Actor, before: Connection, state: State, reason: str, act: Act) -> Connection:
    """*before* in another state, with the audit event *act* and its line of history."""
    values: dict[str, Any] = {"state": state, "state_reason": reason, "state_at": tx.now, "confirm_until": None}
    changed = await write(tx, before.id, values)
    own: dict[str, Any] = {"reason": reason} if reason else {}
    audit.record(tx, actor, act, target(before.id), own=own, provider=before.provider)
    await histories.note(tx, actor, before.id, act, before.cred_version, **own)
    return changed


async def asked(tx: TenantTx, actor: Actor, connection_id: UUID) -> None:
    """Write down that somebody asks for the next token of a connection.

    Raises:
        NotFound: If this tenant has no such connection.
    """
    its = await get(tx, connection_id)
    audit.record(tx, actor, "connection.refresh_asked", target(its.id), provider=its.provider)


async def needs_reauth(tx: TenantTx, actor: Actor, connection_id: UUID, reason: str) -> Connection:
    """Say that only a person can go on, and forget the refresh token, which is good for nothing any more.

    Args:
        reason: ``invalid_grant``, ``lost_response``, or what the provider calls it.

    Raises:
        NotFound, ConnectionGone: If there is nothing to say it of.
    """
    before = await locked(tx, connection_id)
    check_there(before)
    await write(tx, before.id, {"refresh_blob": None, "prev_refresh_blob": None, "next_refresh_at": None})
    return await turned(tx, actor, before, "needs_reauth", reason, "connection.needs_reauth")


async def access(tx: TenantTx, connection_id: UUID) -> tuple[Connection, Access | None]:
    """A connection with what opens its account; None: it has none (any more). Whether it may be had is not asked here.

    Raises:
        NotFound: If this tenant has no such connection.
    """
    held = await _held(tx, connection_id)
    connection = await get(tx, connection_id)
    if held.access_blob is None:
        return connection, None
    return connection, await sealed.open_access(tx, connection_id, held.cred_version, held.access_blob)


async def refresh_token(tx: TenantTx, connection_id: UUID) -> tuple[int, Secret | None]:
    """The version of a connection's credential, and its refresh token if it has one.

    Raises:
        NotFound: If this tenant has no such connection.
    """
    held = await _held(tx, connection_id)
    if held.refresh_blob is None:
        return held.cred_version, None
    return held.cred_version, await sealed.open_refresh(tx, connection_id, held.cred_version, held.refresh_blob)


async def endpoints(tx: TenantTx, connection_id: UUID) -> dict[str, Any]:
    """The addresses that it was connected by, as :mod:`.servers` writes them down."""
    found = await tx.first(_Endpoints, tx.select(t.connections).where(t.connections.c.id == connection_id))
    if found is None:
        raise NotFound
    return found.endpoints


async def write(tx: TenantTx, connection_id: UUID, values: Mapping[str, Any]) -> Connection:
    """Change columns of a connection that is there; whoever calls this says so in the audit log."""
    mine = tx.update(t.connections).where(t.connections.c.id == connection_id)
    [changed] = await tx.take(Connection, mine.values(changed_at=tx.now, **values))
    return changed


def check_there(connection: Connection) -> None:
    """
    Raises:
        ConnectionGone: If it was deleted.
    """
    if connection.state in GONE:
        raise ConnectionGone


def target(connection_id: UUID) -> audit.Target:
    return "connection", text_id("con", connection_id)


class _Held(Struct, frozen=True):
    cred_version: int
    access_blob: bytes | None
    refresh_blob: bytes | None


class _Endpoints(Struct, frozen=True):
    endpoints: dict[str, Any]


async def _held(tx: TenantTx, connection_id: UUID) -> _Held:
    held = await tx.first(_Held, tx.select(t.connections).where(t.connections.c.id == connection_id))
    if held is None:
        raise NotFound
    return held
