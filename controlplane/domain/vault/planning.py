"""Planning: when connections are refreshed without anybody asking. What was connected just now has no plan yet."""

import random
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from msgspec import Struct
from sqlalchemy import text

from controlplane.db import schema as t
from controlplane.db.database import OperatorTx, TenantTx
from controlplane.domain.vault import keeping, standing
from controlplane.domain.vault.catalogue import Catalogue
from controlplane.domain.vault.connections import SERVED, Auth
from controlplane.domain.vault.keeping import Rules
from controlplane.domain.vault.pace import Pace
from controlplane.kit.ids import TenantId
from controlplane.kit.oauth.dialect import Refreshing

AT_ONCE: Final = 500

NEVER: Final = timedelta(days=36_500)
"""Until when nothing is to be done for a token that does not end and has no successor."""

_PLANNED: Final = "state IN ('active', 'refresh_failing') AND auth <> 'static'"

DUE: Final = text(f"""
    SELECT DISTINCT c.tenant_id FROM connections c
    JOIN tenants n ON n.tenant_id = c.tenant_id AND n.status = 'active'
    WHERE c.next_refresh_at <= :now AND {_PLANNED} AND (c.rstate = 'idle' OR c.rdeadline < now())
""")  # noqa: S608 names of ours
"""Of a tenant that is suspended nothing is refreshed."""

UNPLANNED: Final = text(f"""
    SELECT DISTINCT c.tenant_id FROM connections c
    WHERE c.next_refresh_at IS NULL AND {_PLANNED} AND c.fail_class IS NULL
""")  # noqa: S608 names of ours

PLAN: Final = text("""
    UPDATE connections SET next_refresh_at = :due
    WHERE tenant_id = :tenant_id AND id = :id AND cred_version = :version AND next_refresh_at IS NULL
""")


class _Tenant(Struct, frozen=True):
    tenant_id: TenantId


class _Unplanned(Struct, frozen=True, kw_only=True):
    id: UUID
    provider: str
    cred_version: int
    access_exp: datetime | None
    last_used_at: datetime | None
    created_at: datetime
    auth: Auth
    has_refresh: bool


async def due(tx: OperatorTx) -> list[TenantId]:
    """Tenants in which something is to be refreshed."""
    return [row.tenant_id for row in await tx.query(_Tenant, DUE, now=tx.now)]


async def unplanned(tx: OperatorTx) -> list[TenantId]:
    """Tenants in which something was connected."""
    return [row.tenant_id for row in await tx.query(_Tenant, UNPLANNED)]


async def plan(tx: TenantTx, catalogue: Catalogue, pace: Pace) -> int:
    """Say when what has no plan is due, and return how many those were."""
    its = t.connections.c
    with_refresh = tx.select(t.connections).add_columns(its.refresh_blob.is_not(None).label("has_refresh"))
    wanted = with_refresh.where(
        its.next_refresh_at.is_(None),
        its.state.in_(SERVED),
        its.auth != "static",
        its.fail_class.is_(None),
    )
    found = await tx.all(_Unplanned, wanted.limit(AT_ONCE))
    for each in found:
        provider = catalogue.find(each.provider)
        refreshing = provider.dialect.refreshing if provider is not None else Refreshing()
        roll = random.random()  # noqa: S311 spread, not secrecy
        rules = Rules(refreshing=refreshing, pace=pace, roll=roll)
        at = keeping.next_due(each.access_exp, each.last_used_at or each.created_at, tx.now, rules)
        if not standing.can_refresh(each.auth, each.has_refresh, refreshing):
            at = each.access_exp or tx.now + NEVER  # when it is over a person is asked for, and not before
        await tx.load(PLAN, id=each.id, version=each.cred_version, due=at)
    return len(found)
