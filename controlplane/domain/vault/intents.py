"""Intents to refresh: written before a provider is called, so that whoever comes later knows that somebody may have been.

Only who holds a connection's newest fence writes what came of it. Deadlines are the database's: replicas' clocks differ.
"""

from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from msgspec import Struct
from sqlalchemy import text

from controlplane.db.database import TenantTx
from controlplane.domain.vault.connections import Auth, State
from controlplane.kit.ids import ConnectionId, OAuthAppId
from controlplane.kit.oauth.failures import Kind

_COLUMNS: Final = """c.id, c.provider, c.auth, c.app_id, c.platform_app_id, c.endpoints, c.facts, c.granted_scopes,
        c.requested_scopes, c.minting, c.state, c.cred_version, c.fence, c.access_blob, c.refresh_blob, c.access_exp,
        c.refresh_exp, c.fail_class, c.fail_count, c.last_used_at, c.refreshed_at, c.created_at"""

_FREE: Final = """state IN ('active', 'refresh_failing') AND (rstate = 'idle' OR rdeadline < now())
            AND (fail_class IS NULL OR CAST(:forced AS boolean)
                OR (fail_class <> 'blocked' AND next_refresh_at <= CAST(:now AS timestamptz)))"""

_CLAIM: Final = f"""
    UPDATE connections c SET fence = c.fence + 1, rstate = 'in_flight', rowner = :me,
        rdeadline = now() + CAST(:deadline AS interval)
    FROM old WHERE c.tenant_id = :tenant_id AND c.id = old.id
    RETURNING {_COLUMNS}, old.rstate = 'in_flight' AS takeover
"""  # noqa: S608 names of ours

CLAIM: Final = text(f"""
    WITH old AS (
        SELECT id, rstate FROM connections
        WHERE tenant_id = :tenant_id AND id = :connection_id AND cred_version = :version AND {_FREE}
        FOR UPDATE)
    {_CLAIM}
""")  # noqa: S608 names of ours
"""Whether it is a takeover is said by the statement that takes over, and by no earlier look."""

CLAIM_DUE: Final = text(f"""
    WITH old AS (
        SELECT id, rstate FROM connections d
        WHERE tenant_id = :tenant_id AND next_refresh_at <= CAST(:now AS timestamptz) AND {_FREE}
            AND NOT EXISTS (SELECT FROM oauth_apps a WHERE a.tenant_id = d.tenant_id AND a.id = d.app_id
                AND (a.state = 'broken' OR a.paused_until > CAST(:now AS timestamptz)))
            AND NOT EXISTS (SELECT FROM platform_oauth_apps p WHERE p.id = d.platform_app_id
                AND (p.state = 'broken' OR p.paused_until > CAST(:now AS timestamptz)))
        ORDER BY next_refresh_at LIMIT :most FOR UPDATE OF d SKIP LOCKED)
    {_CLAIM}
""")  # noqa: S608 names of ours

_MINE: Final = "tenant_id = :tenant_id AND id = :connection_id AND cred_version = :version AND fence = :fence"

EXTEND: Final = text(f"""
    UPDATE connections SET rdeadline = now() + CAST(:deadline AS interval)
    WHERE {_MINE} AND rstate = 'in_flight' RETURNING id
""")  # noqa: S608 names of ours

KEEP: Final = text(f"""
    UPDATE connections SET cred_version = cred_version + 1, access_blob = :access_blob, refresh_blob = :refresh_blob,
        prev_refresh_blob = refresh_blob, access_exp = :access_exp, refresh_exp = :refresh_exp,
        granted_scopes = :granted_scopes, facts = facts || CAST(:facts AS jsonb), next_refresh_at = :next_refresh_at,
        rstate = 'idle', rdeadline = NULL, rowner = NULL, fail_class = NULL, fail_count = 0,
        state = CASE state WHEN 'refresh_failing' THEN 'active' ELSE state END,
        state_reason = CASE state WHEN 'refresh_failing' THEN '' ELSE state_reason END,
        state_at = CASE state WHEN 'refresh_failing' THEN CAST(:now AS timestamptz) ELSE state_at END,
        refreshed_at = :now, changed_at = :now
    WHERE {_MINE} AND state NOT IN ('pending_confirm', 'needs_reauth', 'revoking', 'deleted') RETURNING id
""")  # noqa: S608 names of ours

RELEASE: Final = text(f"""
    UPDATE connections SET rstate = 'idle', rdeadline = NULL, rowner = NULL, fail_class = :fail_class,
        fail_count = :fail_count, next_refresh_at = :next_refresh_at
    WHERE {_MINE} RETURNING id
""")  # noqa: S608 names of ours


class Intent(Struct, frozen=True, kw_only=True):
    """One's own: nobody else calls the provider for this connection until the deadline."""

    id: ConnectionId
    provider: str
    auth: Auth
    app_id: OAuthAppId | None
    platform_app_id: OAuthAppId | None
    endpoints: dict[str, Any]
    facts: dict[str, Any]
    granted_scopes: list[str]
    requested_scopes: list[str] = []
    minting: dict[str, Any] | None = None
    state: State
    cred_version: int
    """What is to be followed by the next."""
    fence: int
    access_blob: bytes | None
    refresh_blob: bytes | None
    access_exp: datetime | None
    refresh_exp: datetime | None
    fail_class: Kind | None
    fail_count: int
    last_used_at: datetime | None
    refreshed_at: datetime | None
    created_at: datetime
    takeover: bool
    """Somebody had one, and did not come back in time: the provider may have been called."""

    @property
    def in_doubt(self) -> bool:
        """The refresh token may be used up already."""
        return self.takeover or self.fail_class == "maybe_sent"


class Wanted(Struct, frozen=True, kw_only=True):
    """By whom, and until when."""

    me: str
    deadline: timedelta
    forced: bool = False
    """Although it has failed lately: somebody asked for it."""


async def claim(tx: TenantTx, connection_id: UUID, version: int, wanted: Wanted) -> Intent | None:
    """Write down the intent; None if somebody else has one, or there is nothing to refresh (any more).

    Args:
        version: Of the credential that is to be followed.
    """
    given = {"connection_id": connection_id, "version": version, **_given(tx, wanted)}
    found = await tx.query(Intent, CLAIM, **given)
    return found[0] if found else None


async def claim_due(tx: TenantTx, most: int, wanted: Wanted) -> list[Intent]:
    """Write down intents for what is due. What another is about to claim is left to them."""
    return await tx.query(Intent, CLAIM_DUE, most=most, **_given(tx, wanted))


async def extend(tx: TenantTx, intent: Intent, deadline: timedelta) -> bool:
    """Have until *deadline* from now; False if somebody else has taken over."""
    return bool(await tx.query(_Id, EXTEND, **_mine(tx, intent), deadline=deadline))


async def keep(tx: TenantTx, intent: Intent, values: dict[str, Any]) -> bool:
    """Write the next version; False if the row is not one's own any more."""
    return bool(await tx.query(_Id, KEEP, **_mine(tx, intent), now=tx.now, **values))


async def release(
    tx: TenantTx, intent: Intent, fail_class: str | None, fail_count: int, next_refresh_at: datetime | None
) -> bool:
    """Say that nothing came of it; False if somebody else has taken over."""
    values = {"fail_class": fail_class, "fail_count": fail_count, "next_refresh_at": next_refresh_at}
    return bool(await tx.query(_Id, RELEASE, **_mine(tx, intent), **values))


class _Id(Struct, frozen=True):
    id: UUID


def _given(tx: TenantTx, wanted: Wanted) -> dict[str, Any]:
    by = {"me": wanted.me, "deadline": wanted.deadline, "forced": wanted.forced}
    return {"tenant_id": tx.tenant_id, "now": tx.now, **by}


def _mine(tx: TenantTx, intent: Intent) -> dict[str, Any]:
    return {
        "tenant_id": tx.tenant_id,
        "connection_id": intent.id,
        "version": intent.cred_version,
        "fence": intent.fence,
    }
