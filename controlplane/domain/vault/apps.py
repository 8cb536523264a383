"""OAuth apps: who we are at a provider. A tenant has its own; the platform's serve every tenant.

Addresses other than the catalogue's stand only in a tenant's own app: no secret of the platform goes where a tenant says.
"""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Final, Literal, TypeAlias
from uuid import UUID

from msgspec import UNSET, Struct, UnsetType, field
from msgspec.structs import asdict
from sqlalchemy import Table
from sqlalchemy.exc import IntegrityError

from controlplane.db import schema as t
from controlplane.db.database import PlatformTx, ScopedTx, TenantTx
from controlplane.domain import audit
from controlplane.domain.audit import Actor
from controlplane.domain.vault import sealed
from controlplane.domain.vault.sealed import Proof
from controlplane.kit.ids import OAuthAppId, new_id, text_id
from controlplane.kit.oauth.dialect import Client, ClientAuth
from controlplane.kit.problems import NotFound, Refusal

State: TypeAlias = Literal["ok", "broken"]
"""``broken``: the provider does not take its credentials. Its connections stay as they are, and are not refreshed."""

RedirectUri: TypeAlias = Callable[[UUID], str]
"""Where browsers come back to from an app's provider: some have it repeated in refreshes."""

ROUTE: Final = "oauth-app"
"""Kind of the route from a tenant's app to its tenant."""

MOST: Final = 100
"""Of one tenant."""


class App(Struct, frozen=True, kw_only=True):
    """What may be shown of an app."""

    id: OAuthAppId
    provider: str
    """In the catalogue."""
    name: str
    client_id: str
    secret_version: int
    """0: there is neither secret nor key, the client is public."""
    key_id: str
    """What the provider calls its key, where it has one."""
    client_auth: ClientAuth | None
    """How it says at the token endpoint who it is; None: as the catalogue says."""
    variables: dict[str, str]
    """What the catalogue's addresses leave open, such as a subdomain."""
    overrides: dict[str, str] = field(default_factory=dict)
    """Addresses instead of the catalogue's."""
    scopes: list[str]
    """What is asked for unless somebody asks for less or more."""
    state: State
    state_reason: str
    failures: int
    """One after the other, of the app itself and not of a connection."""
    paused_until: datetime | None
    version: int
    created_by: str
    created_at: datetime
    changed_at: datetime
    is_platform: bool = False


class NewApp(Struct, frozen=True, kw_only=True):
    provider: str
    name: str
    client_id: str
    proof: Proof = Proof()
    key_id: str = ""
    client_auth: ClientAuth | None = None
    variables: Mapping[str, str] = field(default_factory=dict)
    overrides: Mapping[str, str] = field(default_factory=dict)
    """Only of a tenant's own."""
    scopes: list[str] = field(default_factory=list)


class Change(Struct, frozen=True, kw_only=True):
    """What is to be different; the rest stays. The provider never changes."""

    name: str | UnsetType = UNSET
    client_id: str | UnsetType = UNSET
    proof: Proof | UnsetType = UNSET
    """Whole: what is left out of it is not kept."""
    key_id: str | UnsetType = UNSET
    client_auth: ClientAuth | UnsetType | None = UNSET
    variables: Mapping[str, str] | UnsetType = UNSET
    overrides: Mapping[str, str] | UnsetType = UNSET
    scopes: list[str] | UnsetType = UNSET


class TooManyApps(Refusal):
    code, status, title = "oauth-app-limit", 409, "This tenant has as many OAuth apps as there may be"
    hint = f"Delete one that nothing is connected through; there may be {MOST}."


class AppInUse(Refusal):
    code, status, title = "oauth-app-in-use", 409, "There are connections through this app"
    hint = "Delete them first: GET …/connections?app=… lists them."


PROVED: Final = frozenset({"client_id", "proof", "key_id", "client_auth"})
"""What makes an app that was broken worth another try."""


async def create(tx: ScopedTx, actor: Actor, new: NewApp, app_id: OAuthAppId | None = None) -> App:
    """Keep an app, of the tenant of *tx* or of the platform.

    Args:
        app_id: What its provider knows it by already; None: nothing, and it gets a new one.

    Raises:
        TooManyApps: If the tenant has enough.
    """
    if isinstance(tx, TenantTx):
        await tx.alone(f"oauth-apps {tx.tenant_id}")
        if len(await listing(tx, after=None, limit=MOST)) >= MOST:
            raise TooManyApps
    app_id = app_id or OAuthAppId(new_id(tx.now))
    values = _values(tx, {name: value for name, value in asdict(new).items() if name != "proof"})
    sealing = await _sealed(tx, app_id, 1, new.proof)
    now = {"created_at": tx.now, "changed_at": tx.now, "created_by": actor.id, "version": 1}
    rest = {"state": "ok", "state_reason": "", "failures": 0}
    await tx.run(tx.insert(_table(tx)).values(id=app_id, **values, **sealing, **now, **rest))
    if isinstance(tx, TenantTx):
        await tx.run(tx.insert(t.routes).values(kind=ROUTE, key=app_id.bytes))
    audit.record(tx, actor, "oauth-app.created", target(app_id), provider=new.provider)
    return await get(tx, app_id)


async def change(tx: ScopedTx, actor: Actor, app_id: UUID, wanted: Change) -> App:
    """
    Raises:
        NotFound: If there is no such app.
    """
    before = await get(tx, app_id)
    given = {name: value for name, value in asdict(wanted).items() if value is not UNSET}
    values = _values(tx, {name: value for name, value in given.items() if name != "proof"})
    if isinstance(wanted.proof, Proof):
        values |= await _sealed(tx, app_id, before.secret_version + 1, wanted.proof)
    if given.keys() & PROVED:
        values |= {"state": "ok", "state_reason": "", "failures": 0, "paused_until": None}
    mine = _mine(tx, app_id)
    await tx.run(mine.values(changed_at=tx.now, version=before.version + 1, **values))
    audit.record(tx, actor, "oauth-app.changed", target(app_id), changed=sorted(given))
    return await get(tx, app_id)


async def delete(tx: ScopedTx, actor: Actor, app_id: UUID) -> None:
    """
    Raises:
        NotFound: If there is no such app.
        AppInUse: If there are connections through it.
    """
    await get(tx, app_id)
    if isinstance(tx, TenantTx):
        its = t.connections.c
        used = tx.select(t.connections).where(its.app_id == app_id, its.state != "deleted")
        if await tx.first(_Id, used) is not None:
            raise AppInUse
        forgotten = tx.update(t.connections).where(its.app_id == app_id)
        await tx.run(forgotten.values(app_id=None))
        await tx.run(tx.delete(t.connection_revocations).where(t.connection_revocations.c.app_id == app_id))
        await tx.run(tx.delete(t.connect_sessions).where(t.connect_sessions.c.app_id == app_id))
        await tx.run(tx.delete(t.routes).where(t.routes.c.kind == ROUTE, t.routes.c.key == app_id.bytes))
    table = _table(tx)
    try:
        async with tx.part():
            await tx.run(tx.delete(table).where(table.c.id == app_id))
    except IntegrityError:  # of the platform's: which tenant, nobody here may see
        raise AppInUse from None
    audit.record(tx, actor, "oauth-app.deleted", target(OAuthAppId(app_id)))


async def listing(tx: ScopedTx, *, after: UUID | None, limit: int, provider: str | None = None) -> list[App]:
    """Newest first, from just before *after* on: the tenant's own, or the platform's."""
    table = _table(tx)
    wanted = tx.select(table)
    if after is not None:
        wanted = wanted.where(table.c.id < after)
    if provider is not None:
        wanted = wanted.where(table.c.provider == provider)
    return await _apps(tx, wanted.order_by(table.c.id.desc()).limit(limit))


async def get(tx: ScopedTx, app_id: UUID) -> App:
    """
    Raises:
        NotFound: If the tenant of *tx*, or the platform, has no such app.
    """
    table = _table(tx)
    for app in await _apps(tx, tx.select(table).where(table.c.id == app_id).limit(1)):
        return app
    raise NotFound


async def client(tx: ScopedTx, app_id: UUID, redirect_uri: str = "") -> Client:
    """Who we are at the provider, secrets included.

    Raises:
        NotFound: If there is no such app.
    """
    table = _table(tx)
    held = await tx.first(_Held, tx.select(table).where(table.c.id == app_id))
    if held is None:
        raise NotFound
    proof = Proof()
    if held.secret_blob is not None:
        proof = await sealed.open_proof(tx, app_id, held.secret_version, held.secret_blob)
    return Client(
        id=held.client_id,
        secret=proof.secret,
        key=proof.key,
        key_id=held.key_id,
        redirect_uri=redirect_uri,
        auth=held.client_auth,
    )


async def through(
    tx: TenantTx, app_id: UUID | None, platform_app_id: UUID | None, redirect_uri: RedirectUri = lambda _: ""
) -> Client | None:
    """Who we are for what was connected through one of both; None: that app is not there (any more)."""
    scope, its_id = (tx, app_id) if app_id is not None else (tx.on_platform(), platform_app_id)
    if its_id is None:
        return None
    try:
        return await client(scope, its_id, redirect_uri(its_id))
    except NotFound:
        return None


async def broken(tx: ScopedTx, actor: Actor, app_id: UUID, reason: str) -> bool:
    """Say that the provider does not take this app's credentials; whether that is news.

    Args:
        reason: The provider's code, such as ``invalid_client``.
    """
    if (await get(tx, app_id)).state == "broken":
        return False
    await tx.run(_mine(tx, app_id).values(state="broken", state_reason=reason, changed_at=tx.now))
    audit.record(tx, actor, "oauth-app.broken", target(app_id), reason=reason)
    return True


def target(app_id: UUID) -> audit.Target:
    return "oauth-app", text_id("app", app_id)


class _Id(Struct, frozen=True):
    id: UUID


class _Held(Struct, frozen=True):
    client_id: str
    client_auth: ClientAuth | None
    key_id: str
    secret_version: int
    secret_blob: bytes | None


async def _sealed(tx: ScopedTx, app_id: UUID, version: int, proof: Proof) -> dict[str, Any]:
    if proof.secret is None and proof.key is None:
        return {"secret_blob": None, "secret_version": 0}
    return {"secret_blob": await sealed.seal_proof(tx, app_id, version, proof), "secret_version": version}


def _table(tx: ScopedTx) -> Table:
    return t.oauth_apps if isinstance(tx, TenantTx) else t.platform_oauth_apps


def _mine(tx: ScopedTx, app_id: UUID) -> Any:
    table = _table(tx)
    return tx.update(table).where(table.c.id == app_id)


def _values(tx: ScopedTx, given: dict[str, Any]) -> dict[str, Any]:
    if isinstance(tx, PlatformTx):
        assert not given.pop("overrides", None), "the platform's apps go where the catalogue says"
    return given


async def _apps(tx: ScopedTx, wanted: Any) -> list[App]:
    columns = [name for name in App.__struct_fields__ if name in _table(tx).c]
    of_platform = isinstance(tx, PlatformTx)
    rows = await tx.rows(wanted.with_only_columns(*(_table(tx).c[name] for name in columns)))
    return [App(**row, is_platform=of_platform) for row in rows]
