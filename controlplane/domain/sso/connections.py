"""Connections: which provider a tenant trusts, who we are there, and what it decides."""

from datetime import datetime
from typing import Annotated, Any, Final, Literal, TypeAlias
from uuid import UUID

from msgspec import UNSET, Meta, Struct, UnsetType
from msgspec.structs import asdict

from controlplane.db import schema as t
from controlplane.db.database import Database, TenantTx
from controlplane.domain import audit, keys
from controlplane.domain.audit import Actor
from controlplane.domain.keys import Context
from controlplane.kit.ids import SsoId, TenantId, new_id, text_id
from controlplane.kit.openid.exchange import ClientAuth
from controlplane.kit.problems import NotFound, Refusal
from controlplane.kit.secret import Secret

ROUTE: Final = "sso"
"""Kind of the route from a connection to its tenant."""

MOST: Final = 10

Status: TypeAlias = Literal["active", "disabled"]

Name = Annotated[str, Meta(min_length=1, max_length=100)]
Issuer = Annotated[str, Meta(min_length=8, max_length=500, pattern='^https?://[!-"$->@-~]+$')]
ClientId = Annotated[str, Meta(min_length=1, max_length=255)]
ClientSecret = Annotated[str, Meta(min_length=1, max_length=500)]


class Connection(Struct, frozen=True, kw_only=True):
    id: SsoId
    name: str
    issuer: str
    """Never changes: who somebody is, is said by it."""
    client_id: str
    client_auth: ClientAuth
    status: Status
    enforced: bool
    """Whether the tenant is entered this way only."""
    default_role: str | None
    """What somebody new becomes; None: nobody new comes in this way."""
    trusts_addresses: bool
    """Whether addresses are taken as verified where the provider does not say: for those that never do."""
    created_by: str
    created_at: datetime
    changed_at: datetime
    tested_at: datetime | None
    """When somebody last came back from it with what it is set to now."""
    version: int


class NewConnection(Struct, frozen=True, kw_only=True):
    name: str
    issuer: str
    client_id: str
    client_secret: Secret
    client_auth: ClientAuth = "client_secret_basic"
    default_role: str | None = None
    trusts_addresses: bool = False


class Change(Struct, frozen=True, kw_only=True):
    """What is to be different; the rest stays."""

    name: str | UnsetType = UNSET
    client_id: str | UnsetType = UNSET
    client_secret: Secret | UnsetType = UNSET
    client_auth: ClientAuth | UnsetType = UNSET
    status: Status | UnsetType = UNSET
    enforced: bool | UnsetType = UNSET
    default_role: str | UnsetType | None = UNSET
    trusts_addresses: bool | UnsetType = UNSET


class TooManyConnections(Refusal):
    code, status, title = "sso-connections-too-many", 409, f"A tenant has at most {MOST} connections"
    hint = "Delete one that is not needed any more."


class ActiveElsewhere(Refusal):
    code, status, title = "sso-active-elsewhere", 409, "Another connection of this tenant is active"
    hint = "Disable that one first; one at most is active."


class NotTested(Refusal):
    """Whoever turns on what nobody has come through locks people out."""

    code, status, title = "sso-not-tested", 409, "Nobody has come back from this provider yet"
    hint = "Sign in by it once as a test, then turn it on."


class NotActive(Refusal):
    code, status, title = "sso-not-active", 409, "A connection that is disabled cannot be the only way in"
    hint = "Make it active first."


RETESTED: Final = frozenset({"client_id", "client_secret", "client_auth"})
"""What makes an earlier test say nothing any more."""


async def create(tx: TenantTx, actor: Actor, new: NewConnection) -> Connection:
    """Keep a connection, disabled as long as nobody has tested it.

    Raises:
        TooManyConnections: If the tenant has enough.
    """
    if len(await listing(tx, after=None, limit=MOST)) >= MOST:
        raise TooManyConnections
    connection_id = SsoId(new_id(tx.now))
    values = {name: value for name, value in asdict(new).items() if name != "client_secret"}
    [made] = await tx.take(
        Connection,
        tx.insert(t.sso_connections).values(
            id=connection_id,
            sealed_secret=await _sealed(tx, connection_id, new.client_secret),
            status="disabled",
            enforced=False,
            created_by=actor.id,
            created_at=tx.now,
            changed_at=tx.now,
            version=1,
            **values,
        ),
    )
    await tx.run(tx.insert(t.routes).values(kind=ROUTE, key=connection_id.bytes))
    audit.record(tx, actor, "sso-connection.created", target(made.id), own={"issuer": made.issuer})
    return made


async def change(tx: TenantTx, actor: Actor, connection_id: UUID, wanted: Change) -> Connection:
    """
    Raises:
        NotFound: If this tenant has no such connection.
        NotTested: If it is to be active, and nobody has come back from it as it is set.
        NotActive: If it is to be enforced, and is not active.
        ActiveElsewhere: If another one is active.
    """
    earlier = await _locked(tx, connection_id)
    given = {name: value for name, value in asdict(wanted).items() if value is not UNSET}
    values: dict[str, Any] = {name: value for name, value in given.items() if name != "client_secret"}
    if isinstance(wanted.client_secret, Secret):
        values["sealed_secret"] = await _sealed(tx, earlier.id, wanted.client_secret)
    if given.keys() & RETESTED:
        values["tested_at"] = None
    if values.get("status") == "disabled":
        values["enforced"] = False
    await _check_may_be(tx, earlier, values)
    mine = tx.update(t.sso_connections).where(t.sso_connections.c.id == earlier.id)
    [changed] = await tx.take(Connection, mine.values(changed_at=tx.now, version=earlier.version + 1, **values))
    if changed.status == "disabled" and earlier.status == "active":
        await _end_sessions(tx, earlier.id)
    if changed.enforced != earlier.enforced:
        await _enforce(tx, changed.enforced)
    audit.record(tx, actor, "sso-connection.changed", target(changed.id), **_facts(given))
    return changed


async def tested(tx: TenantTx, actor: Actor, connection_id: UUID) -> None:
    """Note that somebody has come back from it."""
    mine = tx.update(t.sso_connections).where(t.sso_connections.c.id == connection_id)
    if await tx.run(mine.values(tested_at=tx.now)):
        audit.record(tx, actor, "sso-connection.tested", target(SsoId(connection_id)))


async def delete(tx: TenantTx, actor: Actor, connection_id: UUID) -> None:
    """Forget the connection, who is who there, and every session that came from it.

    Raises:
        NotFound: If this tenant has no such connection.
    """
    earlier = await _locked(tx, connection_id)
    await tx.run(tx.delete(t.sso_connections).where(t.sso_connections.c.id == earlier.id))
    await tx.run(tx.delete(t.routes).where(t.routes.c.kind == ROUTE, t.routes.c.key == earlier.id.bytes))
    await _end_sessions(tx, earlier.id)
    if earlier.enforced:
        await _enforce(tx, False)
    audit.record(tx, actor, "sso-connection.deleted", target(earlier.id))


async def relax(tx: TenantTx, actor: Actor) -> bool:
    """Let people in by other ways again: for a tenant whose provider is out of order. Whether there was anything to do."""
    enforcing = tx.update(t.sso_connections).where(t.sso_connections.c.enforced)
    found = await tx.take(Connection, enforcing.values(enforced=False, changed_at=tx.now))
    for each in found:
        await _enforce(tx, False)
        audit.record(tx, actor, "sso-connection.changed", target(each.id), enforced=False)
    return bool(found)


async def listing(tx: TenantTx, *, after: UUID | None, limit: int) -> list[Connection]:
    """Newest first, from just before *after* on."""
    wanted = tx.select(t.sso_connections)
    if after is not None:
        wanted = wanted.where(t.sso_connections.c.id < after)
    return await tx.all(Connection, wanted.order_by(t.sso_connections.c.id.desc()).limit(limit))


async def get(tx: TenantTx, connection_id: UUID) -> Connection:
    """
    Raises:
        NotFound: If this tenant has no such connection.
    """
    found = await tx.first(Connection, tx.select(t.sso_connections).where(t.sso_connections.c.id == connection_id))
    if found is None:
        raise NotFound
    return found


async def active(tx: TenantTx) -> Connection | None:
    """The one that people come in by, if there is one."""
    return await tx.first(Connection, tx.select(t.sso_connections).where(t.sso_connections.c.status == "active"))


SEALED: Final = keys.SealedColumn(t.sso_connections, "sealed_secret", "sso-secret", lambda row: _place(row["id"]))


async def secret(tx: TenantTx, connection_id: UUID) -> Secret:
    """What says at the provider that it is us."""
    mine = tx.select(t.sso_connections).where(t.sso_connections.c.id == connection_id)
    held = await tx.first(_Sealed, mine)
    if held is None:
        raise NotFound
    return Secret((await keys.unseal(tx, "sso-secret", held.sealed_secret, _place(connection_id))).decode())


async def tenant_of(db: Database, connection_id: UUID) -> TenantId | None:
    """Whose connection it is."""
    return await db.tenant_of(ROUTE, connection_id.bytes)


def target(connection_id: SsoId) -> audit.Target:
    return "sso-connection", text_id("sso", connection_id)


class _Sealed(Struct, frozen=True):
    sealed_secret: bytes


class _Other(Struct, frozen=True):
    id: UUID


async def _locked(tx: TenantTx, connection_id: UUID) -> Connection:
    """Behind the tenant's row, so that of two who hurry one sees what the other has done."""
    await tx.first(_Tenant, tx.select(t.tenants).with_for_update())
    return await get(tx, connection_id)


class _Tenant(Struct, frozen=True):
    tenant_id: UUID


async def _check_may_be(tx: TenantTx, earlier: Connection, values: dict[str, Any]) -> None:
    status, is_tested = values.get("status", earlier.status), values.get("tested_at", earlier.tested_at)
    if values.get("enforced") and status != "active":
        raise NotActive
    if values.get("status") != "active" and not values.get("enforced"):
        return
    if is_tested is None:
        raise NotTested
    its = t.sso_connections.c
    others = tx.select(t.sso_connections).where(its.status == "active", its.id != earlier.id)
    if await tx.first(_Other, others) is not None:
        raise ActiveElsewhere


async def _enforce(tx: TenantTx, enforced: bool) -> None:
    await tx.run(tx.update(t.tenants).values(sso_enforced=enforced))


async def _end_sessions(tx: TenantTx, connection_id: UUID) -> None:
    await tx.run(tx.delete(t.session_entries).where(t.session_entries.c.connection_id == connection_id))


def _facts(given: dict[str, Any]) -> dict[str, Any]:
    """What changed; the secret only that it did."""
    shown = {"status", "enforced", "trusts_addresses", "client_auth"}
    facts: dict[str, Any] = {name: value for name, value in given.items() if name in shown}
    own = {name: value for name, value in given.items() if name == "default_role"}
    return {**facts, "fields": sorted(given), "own": own}


async def _sealed(tx: TenantTx, connection_id: UUID, plain: Secret) -> bytes:
    return await keys.seal(tx, "sso-secret", plain.reveal().encode(), _place(connection_id))


def _place(connection_id: UUID) -> Context:
    return Context(t.sso_connections.name, text_id("sso", connection_id))
