"""Who looks, and at what: one tenant, or for an operator all of them."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from msgspec import Struct

from controlplane.db.database import Database
from controlplane.domain.newest import Reading
from controlplane.domain.permissions import Person
from controlplane.domain.tenants import Tenant
from controlplane.http.paths import CONSOLE as CONSOLE


class View(Struct, frozen=True, kw_only=True):
    person: Person
    tenant: Tenant | None
    """None: an operator looks at every tenant."""
    public_url: str

    @property
    def base(self) -> str:
        """What every address of this view starts with."""
        return home_of(self.tenant.slug) if self.tenant else CONSOLE

    @property
    def across(self) -> bool:
        """Whether rows of several tenants may stand side by side, so that each has to say whose it is."""
        return self.tenant is None

    def of(self, tenant_slug: str) -> str:
        """What the addresses of one row's things start with: always its tenant's own."""
        return home_of(tenant_slug)

    @asynccontextmanager
    async def read(self, db: Database) -> AsyncIterator[Reading]:
        """A transaction that sees what this view shows. In a tenant it is that tenant's, for operators too."""
        if self.tenant is None:
            async with db.operator() as tx:
                yield tx
        else:
            async with db.tenant(self.tenant.tenant_id) as own:
                yield own


def home_of(tenant_slug: str) -> str:
    return f"{CONSOLE}/t/{tenant_slug}"
