"""A tenant as it is shown, to its own people and to operators alike."""

from msgspec import Struct

from controlplane.domain.tenants import Tenant
from controlplane.http.instants import Moment, moment
from controlplane.kit.ids import text_id


class TenantView(Struct, frozen=True, kw_only=True):
    id: str
    slug: str
    name: str
    status: str
    status_reason: str
    created_at: Moment


def tenant_view(tenant: Tenant) -> TenantView:
    return TenantView(
        id=text_id("ten", tenant.tenant_id),
        slug=tenant.slug,
        name=tenant.name,
        status=tenant.status,
        status_reason=tenant.status_reason,
        created_at=moment(tenant.created_at),
    )
