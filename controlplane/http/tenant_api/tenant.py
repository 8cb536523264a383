"""GET /v1/tenants/{tenant}: the tenant itself."""

from litestar import get
from litestar.di import NamedDependency

from controlplane.db.database import TenantTx
from controlplane.domain import tenants
from controlplane.http.authorize import Surface, rule
from controlplane.http.tenant_view import TenantView, tenant_view


@get("/", opt=rule(Surface.TENANT, "tenant:read"), tags=["tenant"])
async def show(tx: NamedDependency[TenantTx]) -> TenantView:
    """The tenant: its name and whether it is being served."""
    return tenant_view(await tenants.get(tx))
