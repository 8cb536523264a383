"""Confirming: what came back from a provider counts only once whoever began it has said that it is theirs.

A link can be forwarded, and whoever follows it connects their own account to somebody else's tenant. So what arrives
waits for ten minutes, is shown, and goes unless the one who has begun it confirms it.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from msgspec import Struct, field

from controlplane.db import schema as t
from controlplane.db.database import TenantTx
from controlplane.domain import audit, quotas
from controlplane.domain.audit import Actor
from controlplane.domain.vault import connections, histories, leaving, sealed, statics
from controlplane.domain.vault.connecting import ConnectSession
from controlplane.domain.vault.connections import Auth, Connection
from controlplane.domain.vault.sealed import Access
from controlplane.kit.ids import AccountId, ConnectionId, new_id
from controlplane.kit.problems import Refusal
from controlplane.kit.secret import Secret

CONFIRM_WITHIN: Final = timedelta(minutes=10)

ACTOR: Final = Actor(kind="chore", id="end-unconfirmed-connections")


class Arrived(Struct, frozen=True, kw_only=True):
    """What a provider gave, for a session."""

    access: Secret
    scheme: str = "Bearer"
    refresh: Secret | None = None
    access_exp: datetime | None = None
    refresh_exp: datetime | None = None
    scopes: Sequence[str] | None = None
    """None: the provider did not say, which means: as asked (RFC 6749, section 5.1)."""
    account_key: str | None = None
    account_name: str = ""
    account_email: str = ""
    facts: Mapping[str, str] = field(default_factory=dict)
    endpoints: Mapping[str, Any] = field(default_factory=dict)
    auth: Auth = "oauth2"


class AnotherAccount(Refusal):
    """Whoever relies on a connection relies on whose account it is."""

    code, status, title = "connection-account-differs", 409, "This is another account than before"
    hint = "Sign in at the provider with the account of this connection, or connect the other one beside it."


class NotTheirs(Refusal):
    """Whoever confirms has to be whoever began."""

    code, status, title = "connection-confirm-refused", 403, "This is not for you to confirm"
    hint = "Whoever began it confirms it: the same person, signed in, or the tenant's program with the same owner_ref."


class NothingToConfirm(Refusal):
    code, status, title = "connection-confirm-over", 409, "There is nothing to confirm (any more)"
    hint = f"There are {int(CONFIRM_WITHIN.total_seconds() // 60)} minutes; then it is taken back. Connect again."


def check_account(earlier: Connection, account_key: str | None, session: ConnectSession) -> None:
    """
    Raises:
        AnotherAccount: If it is not the account that is pinned, and the session does not allow another.
    """
    if earlier.account_key is not None and earlier.account_key != account_key and not session.other_account:
        raise AnotherAccount


async def arrive(tx: TenantTx, actor: Actor, session: ConnectSession, arrived: Arrived) -> Connection:
    """Keep what a provider gave, to be confirmed.

    Raises:
        AnotherAccount: If it is not the account that is pinned.
        NotFound, ConnectionGone: If what was to be connected anew is not there any more.
        QuotaExceeded: If the tenant has as many connections as it may have.
    """
    if session.connection_id is not None:
        earlier = await connections.locked(tx, session.connection_id)
        connections.check_there(earlier)
        check_account(earlier, arrived.account_key, session)
    else:
        await quotas.take(tx, "connections")
    connection_id = ConnectionId(new_id(tx.now))
    requested = list(session.scopes)
    values = {
        **statics.fresh(tx, actor),
        **await _sealed(tx, connection_id, 1, arrived),
        "requested_scopes": requested,
        "granted_scopes": requested if arrived.scopes is None else list(arrived.scopes),
        "account_key": arrived.account_key,
        "account_name": arrived.account_name,
        "account_email": arrived.account_email,
        "facts": dict(arrived.facts),
        "endpoints": dict(arrived.endpoints),
        "created_by": session.created_by,
    }
    await tx.run(
        tx.insert(t.connections).values(
            id=connection_id,
            provider=session.provider,
            auth=arrived.auth,
            name=session.name or arrived.account_name or arrived.account_email or session.provider,
            project_id=session.project_id,
            owner_ref=session.owner_ref,
            labels=session.labels,
            app_id=session.app_id,
            platform_app_id=session.platform_app_id,
            replaces_id=session.connection_id,
            state="pending_confirm",
            confirm_until=tx.now + CONFIRM_WITHIN,
            **values,
        )
    )
    mine = tx.update(t.connect_sessions).where(t.connect_sessions.c.id == session.id)
    await tx.run(mine.values(state="connected", made_id=connection_id))
    audit.record(tx, actor, "connection.connected", connections.target(connection_id), provider=session.provider)
    await histories.note(tx, actor, connection_id, "connection.connected", 1)
    return await connections.get(tx, connection_id)


async def confirm(
    tx: TenantTx, actor: Actor, connection_id: UUID, *, person_id: AccountId | None = None, owner_ref: str = ""
) -> Connection:
    """Say that the right account was connected: from then on it counts. Returns what it has become.

    Args:
        person_id: Who says so, signed in …
        owner_ref: … or for which end user the tenant's program says so.

    Raises:
        NotFound: If this tenant has no such connection.
        NothingToConfirm: If it does not wait to be confirmed, or has waited too long.
        NotTheirs: If somebody else began it.
    """
    pending = await connections.locked(tx, connection_id)
    if pending.state != "pending_confirm" or pending.confirm_until is None or pending.confirm_until <= tx.now:
        raise NothingToConfirm
    session = await tx.first(
        ConnectSession, tx.select(t.connect_sessions).where(t.connect_sessions.c.made_id == pending.id)
    )
    if session is None:
        raise NothingToConfirm
    begun_by_person = session.person_id is not None
    if (begun_by_person and session.person_id != person_id) or (
        not begun_by_person and (person_id is not None or session.owner_ref != owner_ref)
    ):
        raise NotTheirs
    if pending.replaces_id is not None:
        return await _put_in_place(tx, actor, pending, pending.replaces_id)
    return await connections.turned(tx, actor, pending, "active", "", "connection.confirmed")


async def end_unconfirmed(tx: TenantTx) -> int:
    """Take back what nobody has confirmed in time, here and at the provider. Returns how many."""
    its = t.connections.c
    late = tx.select(t.connections).where(its.state == "pending_confirm", its.confirm_until <= tx.now).limit(100)
    found = await tx.all(_Id, late)
    for each in found:
        await leaving.delete(tx, ACTOR, each.id, "unconfirmed")
    return len(found)


async def _put_in_place(tx: TenantTx, actor: Actor, pending: Connection, target_id: UUID) -> Connection:
    """What was connected anew becomes the next version of what it was connected for, whose id stays."""
    target = await connections.locked(tx, target_id)
    connections.check_there(target)
    version = target.cred_version + 1
    _, access = await connections.access(tx, pending.id)
    _, refresh = await connections.refresh_token(tx, pending.id)
    blobs: dict[str, Any] = {"access_blob": None, "refresh_blob": None}
    if access is not None:
        blobs["access_blob"] = await sealed.seal_access(tx, target.id, version, access)
    if refresh is not None:
        blobs["refresh_blob"] = await sealed.seal_refresh(tx, target.id, version, refresh)
    values = {name: getattr(pending, name) for name in TAKEN_OVER}
    values["endpoints"] = await connections.endpoints(tx, pending.id)
    rest = {"cred_version": version, "fail_class": None, "fail_count": 0, "fence": t.connections.c.fence + 1}
    idle = {"prev_refresh_blob": None, "rstate": "idle", "rdeadline": None, "rowner": None, "refreshed_at": tx.now}
    written = await connections.write(tx, target.id, {**values, **blobs, **rest, **idle})
    made = tx.update(t.connect_sessions).where(t.connect_sessions.c.made_id == pending.id)
    await tx.run(made.values(made_id=target.id))
    await tx.run(tx.delete(t.refresh_orphans).where(t.refresh_orphans.c.connection_id == target.id))
    await tx.run(tx.delete(t.connections).where(t.connections.c.id == pending.id))
    return await connections.turned(tx, actor, written, "active", "", "connection.reconnected")


TAKEN_OVER: Final = (
    *("app_id", "platform_app_id", "account_key", "account_name", "account_email", "requested_scopes"),
    *("granted_scopes", "facts", "access_exp", "refresh_exp", "next_refresh_at"),
)
"""What a connection has anew when it was connected anew; name, owner, project and labels stay."""


class _Id(Struct, frozen=True):
    id: UUID


async def _sealed(tx: TenantTx, connection_id: UUID, version: int, arrived: Arrived) -> dict[str, Any]:
    access = Access(token=arrived.access, scheme=arrived.scheme)
    blobs: dict[str, Any] = {"access_blob": await sealed.seal_access(tx, connection_id, version, access)}
    if arrived.refresh is not None:
        blobs["refresh_blob"] = await sealed.seal_refresh(tx, connection_id, version, arrived.refresh)
    return {**blobs, "access_exp": arrived.access_exp, "refresh_exp": arrived.refresh_exp}
