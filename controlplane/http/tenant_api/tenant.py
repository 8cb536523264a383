"""GET /v1/tenants/{tenant}: the tenant itself."""

from datetime import datetime

from litestar import get
from litestar.di import NamedDependency
from msgspec import Struct

from controlplane.db.database import TenantTx
from controlplane.domain import tenants
from controlplane.http.authorize import Surface, rule
from controlplane.kit.ids import text_id


class TenantView(Struct, frozen=True, kw_only=True):
    id: str
    slug: str
    name: str
    status: str
    status_reason: str
    created_at: datetime


@get("/", opt=rule(Surface.TENANT, "tenant:read"), tags=["tenant"])
async def show(tx: NamedDependency[TenantTx]) -> TenantView:
    """The tenant: its name and whether it is being served."""
    return view(await tenants.get(tx))


def view(tenant: tenants.Tenant) -> TenantView:
    return TenantView(
        id=text_id("ten", tenant.tenant_id),
        slug=tenant.slug,
        name=tenant.name,
        status=tenant.status,
        status_reason=tenant.status_reason,
        created_at=tenant.created_at,
    )
