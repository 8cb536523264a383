"""Apps that pause: a provider in trouble is not called for every connection again and again, and one is sent to look."""

from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from msgspec import Struct
from sqlalchemy import TextClause, text

from controlplane.db import schema as t
from controlplane.db.database import TenantTx
from controlplane.domain.vault.apps import State
from controlplane.domain.vault.intents import Intent
from controlplane.domain.vault.pace import Pace


class Standing(Struct, frozen=True):
    """How an app is doing."""

    state: State
    state_reason: str
    failures: int
    paused_until: datetime | None


FINE: Final = Standing("ok", "", 0, None)

_MINE: Final = (
    "UPDATE oauth_apps SET {} WHERE tenant_id = :tenant_id AND id = :app_id AND {} RETURNING failures",
    "UPDATE platform_oauth_apps SET {} WHERE CAST(:tenant_id AS uuid) IS NOT NULL AND id = :app_id AND {} RETURNING failures",
)
"""The tenant's, and the platform's, which a tenant's refreshes tell of as well."""


def _statements(change: str, where: str) -> tuple[TextClause, TextClause]:
    return text(_MINE[0].format(change, where)), text(_MINE[1].format(change, where))


PROBE: Final = _statements("paused_until = :until", "paused_until = :seen")

FAILED: Final = _statements(
    """failures = failures + 1, paused_until = CAST(:now AS timestamptz) + make_interval(secs => NULLIF(greatest(
        CAST(:wait_s AS float8), CASE WHEN failures + 1 < :after THEN 0
        ELSE least(:pause_s * power(2, least(failures + 1 - :after, 30)), CAST(:longest_s AS float8)) END), 0))""",
    "true",
)

WORKED: Final = _statements("failures = 0, paused_until = NULL", "failures > 0")
"""Writes nothing where it is no news: the row is every connection's."""


async def standing(tx: TenantTx, app_id: UUID | None, platform_app_id: UUID | None) -> Standing:
    """Of the app that something is connected through; of none, if it is through none."""
    found = None
    if app_id is not None:
        found = await tx.first(Standing, tx.select(t.oauth_apps).where(t.oauth_apps.c.id == app_id))
    elif platform_app_id is not None:
        platform, its = tx.on_platform(), t.platform_oauth_apps
        found = await platform.first(Standing, platform.select(its).where(its.c.id == platform_app_id))
    return found or FINE


async def admit(tx: TenantTx, intent: Intent, pace: Pace) -> bool:
    """Whether the app's provider may be called. When a pause is over one is let through, and the others wait for what
    becomes of it."""
    now = await standing(tx, intent.app_id, intent.platform_app_id)
    if now.state == "broken":
        return False
    if now.paused_until is None:
        return True
    until = tx.now + timedelta(seconds=pace.call_s)
    return now.paused_until <= tx.now and await _run(tx, intent, PROBE, seen=now.paused_until, until=until)


async def failed(tx: TenantTx, intent: Intent, pace: Pace, wait_s: int | None = None) -> None:
    """Count a failure of the provider's, and pause after some.

    Args:
        wait_s: What the provider asked for: then at once, and so long.
    """
    growing = {"after": pace.breaker_after, "pause_s": pace.pause_s, "longest_s": pace.longest_pause_s}
    await _run(tx, intent, FAILED, now=tx.now, wait_s=float(wait_s or 0), **growing)


async def worked(tx: TenantTx, intent: Intent) -> None:
    """The provider is there."""
    await _run(tx, intent, WORKED)


class _Failures(Struct, frozen=True):
    failures: int


async def _run(tx: TenantTx, intent: Intent, statements: tuple[TextClause, TextClause], **values: Any) -> bool:
    app_id = intent.app_id or intent.platform_app_id
    if app_id is None:
        return False
    statement = statements[0] if intent.app_id is not None else statements[1]
    return bool(await tx.query(_Failures, statement, tenant_id=tx.tenant_id, app_id=app_id, **values))
