"""Why people were turned down at a tenant's provider, and what whoever administers it does about it."""

from collections.abc import Mapping
from datetime import datetime
from typing import Final

from msgspec import Struct

from controlplane.db.database import TenantTx
from controlplane.domain import audit
from controlplane.domain.audit import Filters

ACTION: Final = "sso.refused"

REMEDIES: Final[Mapping[str, str]] = {
    "sso-token-refused token endpoint: invalid_client": (
        "The provider does not take the client secret: it is wrong or has expired, or it is sent the other way. "
        "Change it at the connection."
    ),
    "sso-token-refused token endpoint": (
        "The provider does not give out its token: compare client id and redirect URI with what is registered there."
    ),
    "sso-token-refused issuer or audience": "Compare issuer and client id with what stands at the provider.",
    "sso-token-refused": "What the provider sent is no proof; if its clock is right, its log says more.",
    "sso-provider-unusable": "Ask the provider, at the connection: it says at what address what was found.",
    "sso-provider-said-no": (
        "The provider does not let this person go on: assign them to the application there, and compare the redirect URI."
    ),
    "sso-link-first address not verified": (
        "The provider does not say that the address is verified. Entra never does: tick that the addresses of your "
        "domains are trusted."
    ),
    "sso-link-first address outside": "The address is in none of your domains: verify its domain above.",
    "sso-link-first holds too much": "Owners, and who manages this page, connect themselves under My account.",
    "sso-not-let-in": "They are deactivated here, or nobody new comes in by themselves: the connection says.",
    "sso-mixed-up": "The provider names itself otherwise than the connection does: set up another one with that issuer.",
}
"""What helps, by how the reason begins; the longest beginning counts."""


SHOWN: Final = 5


class Refused(Struct, frozen=True, kw_only=True):
    at: datetime
    why: str
    remedy: str
    """Nothing where nobody can say."""


async def newest(tx: TenantTx) -> list[Refused]:
    """The newest reasons in the tenant's audit log, newest first."""
    events = await audit.listing(tx, limit=SHOWN, filters=Filters(action=ACTION))
    whys = [(event.occurred_at, str(event.facts.get("why", ""))) for event in events]
    return [Refused(at=at, why=why, remedy=remedy(why)) for at, why in whys]


def remedy(why: str) -> str:
    """What to do where somebody was turned down with this reason; nothing where nobody can say."""
    fitting = [start for start in REMEDIES if why.startswith(start)]
    return REMEDIES[max(fitting, key=len)] if fitting else ""
