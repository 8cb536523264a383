"""A tenant and what it may use, as they are shown: to its own people, and with what only operators know."""

from typing import Any

from msgspec import Struct

from controlplane.db.database import TenantTx
from controlplane.domain import quotas, tenants
from controlplane.domain.plans import RATES
from controlplane.domain.tenants import Tenant
from controlplane.http.instants import Moment, moment
from controlplane.kit.ids import text_id


class TenantView(Struct, frozen=True, kw_only=True):
    id: str
    slug: str
    name: str
    status: str
    """`provisioning`, `active`, `suspended` or `pending_deletion`."""
    status_message: str
    """Why, from those who run the service."""
    purge_at: Moment | None
    """When everything it has is destroyed; until then the deletion can be taken back."""
    created_at: Moment


class OperatedTenantView(TenantView, frozen=True, kw_only=True):
    status_reason: str
    """Never shown to the tenant's people."""
    status_by: str
    status_since: Moment | None
    plan: str | None
    """Null: the default plan."""


class LimitView(Struct, frozen=True, kw_only=True):
    kind: str
    limit: int | None
    """Null: none."""
    used: int | None
    """Null for rates: each answer tells what is left."""
    overridden: bool
    """Agreed with this tenant alone."""


class LimitsView(Struct, frozen=True, kw_only=True):
    plan: str | None
    """Null: the default plan."""
    limits: list[LimitView]


def tenant_view(tenant: Tenant) -> TenantView:
    return TenantView(**_facts(tenant))


def operated_view(tenant: Tenant) -> OperatedTenantView:
    return OperatedTenantView(
        **_facts(tenant),
        status_reason=tenant.status_reason,
        status_by=tenant.status_by,
        status_since=moment(tenant.status_since),
        plan=tenant.plan,
    )


async def limits_view(tx: TenantTx) -> LimitsView:
    """What holds for the tenant of *tx*, and how much of it is in use."""
    tenant = await tenants.get(tx)
    return LimitsView(
        plan=tenant.plan,
        limits=[
            LimitView(
                kind=limit.kind,
                limit=limit.most,
                used=None if limit.kind in RATES else limit.used,
                overridden=limit.overridden,
            )
            for limit in await quotas.limits(tx)
        ],
    )


def _facts(tenant: Tenant) -> dict[str, Any]:
    return {
        "id": text_id("ten", tenant.tenant_id),
        "slug": tenant.slug,
        "name": tenant.name,
        "status": tenant.status,
        "status_message": tenant.status_message,
        "purge_at": moment(tenant.purge_at),
        "created_at": moment(tenant.created_at),
    }
