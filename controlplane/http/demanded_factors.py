"""The second factor that a tenant demands of its people: who has shown one, and what to do about it."""

from collections.abc import Set
from typing import Final

from controlplane.domain.permissions import SECOND_FACTORS, Person, Way
from controlplane.domain.tenants import Tenant
from controlplane.kit.problems import Refusal

FACTORS: Final = 2


class MfaRequired(Refusal):
    """Told to members only: to others the tenant is absent."""

    code, status, title = "mfa-required", 403, "This tenant takes a second factor"
    hint = (
        "Show yours: POST /v1/me/reauthentication. Without one, add an authenticator app or a passkey first: "
        "POST /v1/me/totp. In the console: My account."
    )

    def __init__(self, tenant: str, ways: Set[Way]) -> None:
        super().__init__("" if ways else "you have none yet")
        self.tenant, self.ways = tenant, ways

    def facts(self) -> dict[str, object]:
        return {"tenant": self.tenant, "ways": sorted(self.ways)}


def check(person: Person, tenant: Tenant) -> None:
    """Whom the tenant's own provider has let in has shown what the provider takes: it answers for its tenant.

    Raises:
        MfaRequired: If this session has seen one factor only.
    """
    if person.auth_level < FACTORS and tenant.tenant_id not in person.entries:
        raise MfaRequired(tenant.slug, person.ways & SECOND_FACTORS)
