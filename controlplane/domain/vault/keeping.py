"""Keeping what a refresh brought: in the connection's row, else beside it as an orphan. A rotated token is never dropped."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final, Literal, TypeAlias
from uuid import UUID

import msgspec
from msgspec import Struct, field
from sqlalchemy import text

from controlplane.db import schema as t
from controlplane.db.database import OperatorTx, TenantTx
from controlplane.domain import audit
from controlplane.domain.audit import Actor
from controlplane.domain.vault import connections, histories, intents, sealed
from controlplane.domain.vault.connections import GONE, MINTED
from controlplane.domain.vault.intents import Intent
from controlplane.domain.vault.pace import Pace
from controlplane.domain.vault.sealed import Access
from controlplane.kit.ids import ConnectionId, TenantId, new_id
from controlplane.kit.oauth.dialect import Refreshing
from controlplane.kit.oauth.tokens import Tokens
from controlplane.kit.secret import Secret

ACTOR: Final = Actor(kind="chore", id="refresh-connections")

LOOK_AGAIN: Final = timedelta(days=30)
"""After which a connection is looked at that has nothing to be refreshed ahead for."""

ORPHANS_KEPT: Final = timedelta(days=7)
"""Of those that were adopted."""

Kept: TypeAlias = Literal["kept", "orphaned", "already", "taken-back"]
"""``already``: it is what the row has, and only word of that was lost. ``taken-back``: the connection was deleted
meanwhile, and the provider will be told."""

Superseded: TypeAlias = Callable[[TenantTx, ConnectionId, int, timedelta], Awaitable[None]]
"""Told in the same transaction that the credential of a version dies so long from now, because the next one is there."""

ADOPT: Final = text("""
    UPDATE refresh_orphans SET taken = true
    WHERE tenant_id = :tenant_id AND id = (
        SELECT id FROM refresh_orphans
        WHERE tenant_id = :tenant_id AND connection_id = :connection_id AND from_version = :version AND NOT taken
        ORDER BY fence DESC LIMIT 1 FOR UPDATE)
    RETURNING access_blob, refresh_blob, access_exp, refresh_exp, granted_scopes
""")

OLD: Final = text("SELECT DISTINCT tenant_id FROM refresh_orphans WHERE taken AND created_at < :before")

TAKE_BACK: Final = text("""
    INSERT INTO connection_revocations (tenant_id, id, connection_id, provider, endpoints, cred_version, access_blob,
        refresh_blob, reason, state, attempts, next_at, last_error, created_at, app_id, platform_app_id)
    SELECT tenant_id, :id, id, provider, endpoints, :version, :access_blob, :refresh_blob, 'refreshed-when-deleted',
        'pending', 0, CAST(:now AS timestamptz), '', CAST(:now AS timestamptz), app_id, platform_app_id
    FROM connections WHERE tenant_id = :tenant_id AND id = :connection_id
""")


class Got(Struct, frozen=True, kw_only=True):
    """What is to be kept from now on."""

    access: Secret
    scheme: str = "Bearer"
    refresh: Secret | None
    """The one before, where none came."""
    access_exp: datetime | None
    refresh_exp: datetime | None
    scopes: Sequence[str]
    facts: Mapping[str, str] = field(default_factory=dict)


def got(tokens: Tokens, held: Secret | None, intent: Intent, asked_at: datetime) -> Got:
    """
    Args:
        held: The refresh token that brought *tokens*.
        asked_at: Lives are counted from here: the answer may have been long on its way, and whoever reads it asleep.
    """
    lasts, ends = tokens.expires_in_s, tokens.refresh_expires_in_s
    as_asked = intent.requested_scopes if intent.auth in MINTED else intent.granted_scopes
    return Got(
        access=tokens.access,
        scheme=tokens.type,
        refresh=tokens.refresh or held,
        access_exp=asked_at + timedelta(seconds=lasts) if lasts is not None else None,
        refresh_exp=asked_at + timedelta(seconds=ends) if ends is not None else intent.refresh_exp,
        scopes=as_asked if tokens.scopes is None else tokens.scopes,
        facts={name: value for name, value in tokens.facts.items() if name in intent.facts or name == "api_base"},
    )


class Rules(Struct, frozen=True, kw_only=True):
    """What decides when the next refresh is due, and what this one does to tokens that are out."""

    refreshing: Refreshing
    pace: Pace
    roll: float
    """A random number in [0, 1): what was connected together is not refreshed together."""

    @property
    def kills_after(self) -> timedelta | None:
        seconds = self.refreshing.kills_access_after_s
        return None if seconds is None else timedelta(seconds=seconds)


async def keep(tx: TenantTx, intent: Intent, new: Got, rules: Rules, superseded: Sequence[Superseded] = ()) -> Kept:
    """Write *new* down as the version after the intent's.

    May be done again when nobody knows whether it has been done.
    """
    version = intent.cred_version + 1
    row = {
        "access_blob": await sealed.seal_access(tx, intent.id, version, Access(token=new.access, scheme=new.scheme)),
        "refresh_blob": await sealed.seal_refresh(tx, intent.id, version, new.refresh) if new.refresh else None,
        "access_exp": new.access_exp,
        "refresh_exp": new.refresh_exp,
        "granted_scopes": list(new.scopes),
    }
    due = next_due(new.access_exp, intent.last_used_at or intent.created_at, tx.now, rules)
    facts = msgspec.json.encode(dict(new.facts)).decode()
    if await intents.keep(tx, intent, {**row, "facts": facts, "next_refresh_at": due}):
        await _say(tx, intent, rules, superseded, {})
        return "kept"
    now = await connections.locked(tx, intent.id)
    if await _fence(tx, intent.id) == intent.fence and now.cred_version == version:
        return "already"
    if now.state in GONE:
        blobs = {"access_blob": row["access_blob"], "refresh_blob": row["refresh_blob"]}
        await tx.load(TAKE_BACK, id=new_id(tx.now), connection_id=intent.id, version=version, now=tx.now, **blobs)
        return "taken-back"
    values = {"connection_id": intent.id, "from_version": intent.cred_version, "fence": intent.fence}
    orphan = {"id": new_id(tx.now), "taken": False, "created_at": tx.now}
    await tx.run(tx.insert(t.refresh_orphans).values(**values, **orphan, **row))
    return "orphaned"


async def adopt(tx: TenantTx, intent: Intent, rules: Rules, superseded: Sequence[Superseded] = ()) -> bool:
    """Make what somebody else has got for this version the next one; False if there is nothing, or it is not one's own
    to do (any more)."""
    await connections.locked(tx, intent.id)
    if await _fence(tx, intent.id) != intent.fence:
        return False
    place = {"tenant_id": tx.tenant_id, "connection_id": intent.id, "version": intent.cred_version}
    found = await tx.query(_Orphan, ADOPT, **place)
    if not found:
        return False
    [orphan] = found
    due = next_due(orphan.access_exp, intent.last_used_at or intent.created_at, tx.now, rules)
    values = msgspec.structs.asdict(orphan) | {"facts": "{}", "next_refresh_at": due}
    assert await intents.keep(tx, intent, values), "the row is locked, and the fence was ours"
    await _say(tx, intent, rules, superseded, {"adopted": True})
    return True


def next_due(access_exp: datetime | None, used_at: datetime, now: datetime, rules: Rules) -> datetime:
    """When to refresh next without being asked: ahead of the token's end where the connection is used, else in time to
    keep the grant alive.

    Args:
        used_at: When it was used last.
    """
    pace, refreshing = rules.pace, rules.refreshing
    alive = now + LOOK_AGAIN
    if refreshing.idle_days is not None:
        alive = now + timedelta(days=refreshing.idle_days) * (0.45 + 0.05 * rules.roll)
    if access_exp is None or now - used_at > timedelta(seconds=pace.used_within_s):
        return alive
    life_s = (access_exp - now).total_seconds()
    if life_s < pace.short_life_s:
        return alive
    margin_s = pace.margin_s(life_s, refreshing.kills_access_after_s is not None)
    return min(access_exp - timedelta(seconds=margin_s * (1 + 0.1 * rules.roll)), alive)


async def with_old_orphans(tx: OperatorTx) -> list[TenantId]:
    """Tenants for :func:`forget_orphans`."""
    return [row.tenant_id for row in await tx.query(_Tenant, OLD, before=tx.now - ORPHANS_KEPT)]


async def forget_orphans(tx: TenantTx) -> int:
    """Delete those that were adopted a while ago."""
    its = t.refresh_orphans.c
    return await tx.run(tx.delete(t.refresh_orphans).where(its.taken, its.created_at < tx.now - ORPHANS_KEPT))


class _Tenant(Struct, frozen=True):
    tenant_id: TenantId


class _Orphan(Struct, frozen=True, kw_only=True):
    access_blob: bytes
    refresh_blob: bytes | None
    access_exp: datetime | None
    refresh_exp: datetime | None
    granted_scopes: list[str]


class _Fence(Struct, frozen=True):
    fence: int


async def _fence(tx: TenantTx, connection_id: UUID) -> int:
    found = await tx.first(_Fence, tx.select(t.connections).where(t.connections.c.id == connection_id))
    assert found is not None, "the row is locked"
    return found.fence


async def _say(
    tx: TenantTx, intent: Intent, rules: Rules, superseded: Sequence[Superseded], more: Mapping[str, Any]
) -> None:
    version, facts = intent.cred_version + 1, dict(more)
    if rules.kills_after is not None:
        facts["kills_version_before_after_s"] = int(rules.kills_after.total_seconds())
        for tell in superseded:
            await tell(tx, intent.id, intent.cred_version, rules.kills_after)
    target = connections.target(intent.id)
    audit.record(tx, ACTOR, "connection.refreshed", target, provider=intent.provider, cred_version=version, **facts)
    await histories.note(tx, ACTOR, intent.id, "connection.refreshed", version, **facts)
