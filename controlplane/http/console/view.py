"""Who looks, and at what: one tenant, or for an operator all of them."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from msgspec import Struct

from controlplane.db.database import Database
from controlplane.domain import sights
from controlplane.domain.newest import Reading
from controlplane.domain.permissions import Person, held_by
from controlplane.domain.tenants import Tenant
from controlplane.http.paths import CONSOLE as CONSOLE


class Place(Struct, frozen=True):
    """An entry of the menu."""

    name: str
    address: str
    """Below :attr:`View.base`."""
    label: str
    key: str
    """Pressed after ``g``, it leads there."""


PLACES: Final = (
    Place("overview", "/", "Overview", "o"),
    Place("sessions", "/sessions", "Sessions", "s"),
    Place("runtimes", "/runtimes", "Runtimes", "r"),
)
TENANTS: Final = Place("tenants", "/tenants", "Tenants", "t")
APPROVALS: Final = Place("approvals", "/approvals", "Approvals", "i")
CONNECTIONS: Final = Place("connections", "/connections", "Connections", "c")
VAULT: Final = Place("vault", "/vault", "Vault", "v")
AUDIT: Final = Place("audit", "/audit", "Audit", "a")
WEBHOOKS: Final = Place("webhooks", "/webhooks", "Webhooks", "w")
SETTINGS: Final = Place("settings", "/settings", "Settings", "t")

ACCESS_TABS: Final = (
    ("people", "/people", "People", "user:read"),
    ("roles", "/roles", "Roles", "role:read"),
    ("groups", "/groups", "Groups", "group:read"),
    ("service-accounts", "/service-accounts", "Service accounts", "service-account:read"),
    ("keys", "/keys", "Keys", "api-key:read"),
    ("join-tokens", "/join-tokens", "Join tokens", "join-token:read"),
    ("single-sign-on", "/single-sign-on", "Single sign-on", "sso:read"),
    ("scim", "/scim", "Directory (SCIM)", "scim-token:read"),
    ("projects", "/projects", "Projects", "project:read"),
)
"""Key, address, label, and what it takes to see it."""


class View(Struct, frozen=True, kw_only=True):
    person: Person
    tenant: Tenant | None
    """None: an operator looks at every tenant."""
    public_url: str
    needs: tuple[str, ...] = ()
    """What the page takes; what is seen is what *person* may do all of it with."""

    def may(self, permission: str) -> bool:
        """Whether to offer what takes *permission*. Whether it is done, the guard decides."""
        return permission in held_by(self.person)

    @property
    def places(self) -> list[Place]:
        """What the menu leads to; what somebody may not see is not in it."""
        if self.tenant is None:
            across = [TENANTS, *([VAULT] if self.may("operator:vault-read") else ())]
            return [*PLACES, *across] if self.person.operator_role else [*PLACES]
        tab = next((address for _, address, _, takes in ACCESS_TABS if self.may(takes)), None)
        access = [Place("access", tab, "Access", "p")] if tab else []
        vault = [CONNECTIONS] if self.may("connection:read") else []
        own = [*([AUDIT] if self.may("audit:read") else ()), *([WEBHOOKS] if self.may("webhook:read") else ())]
        asked = [APPROVALS] if self.may("approval:read") else []
        return [*PLACES, *asked, *vault, *access, *own, SETTINGS]

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
                own.sight = await sights.sight(own, self.person, self.needs)
                yield own


def home_of(tenant_slug: str) -> str:
    return f"{CONSOLE}/t/{tenant_slug}"
