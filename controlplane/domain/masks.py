"""What can be done as somebody else: what is listed here, as far as they may do it themselves, and nothing else."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from types import MappingProxyType
from typing import Final, Literal, TypeAlias

from msgspec import Struct
from msgspec.structs import replace

from controlplane.domain.grants import Grant
from controlplane.kit.ids import AccountId, ImpersonationId
from controlplane.kit.problems import Refusal

Mode: TypeAlias = Literal["read_only", "full"]

READS: Final = frozenset(
    {"tenant:read", "project:read", "user:read", "invitation:read", "group:read", "role:read", "service-account:read"}
    | {"session:read", "run:read", "checkpoint:read", "agent:read", "runtime:read", "join-token:read", "api-key:read"}
    | {"scim-token:read", "domain:read", "sso:read", "audit:read", "event:read", "webhook:read", "impersonation:read"}
    | {"provider:read", "oauth-app:read", "connection:read", "policy:read", "lease:read"}
    | {"runtime-key:read"}
    | {"command:read", "approval:read", "config:read", "budget:read"}
)
"""In either mode: to look."""

CHANGES: Final = frozenset({"project:write", "runtime:write", "invitation:revoke", "event:consume"})
"""In ``full`` mode: work, and nothing that gives anybody power or lets data out."""

NEVER: Final[Mapping[str, str]] = MappingProxyType(
    {
        "tenant:write": "the tenant decides its settings",
        "tenant:export": "everything would leave with somebody who is not the tenant's",
        "tenant:delete": "the tenant ends itself",
        "tenant:own": "power is handed on, and impersonation agreed to, by owners themselves",
        "invitation:create": "an invitation lets somebody in",
        "checkpoint:content": "what agents worked on is the tenant's",
        "log:tail": "what agents worked on is the tenant's",
        "content:decide": "the tenant decides what leaves its network",
        "config:write": "configuration decides what agents do, and what leaves the tenant's network",
        "user:write": "it takes access away from people",
        "group:write": "groups hold roles",
        "role:write": "roles are power",
        "role:assign": "roles are power",
        "service-account:write": "service accounts hold roles",
        "join-token:create": "join tokens are credentials",
        "join-token:revoke": "join tokens are credentials",
        "api-key:create": "keys are credentials",
        "api-key:revoke": "keys are credentials",
        "scim-token:create": "a directory decides about everybody",
        "scim-token:revoke": "a directory decides about everybody",
        "runtime-key:create": "keys are credentials",
        "runtime-key:revoke": "keys are credentials",
        "domain:manage": "domains decide who comes in",
        "sso:manage": "providers decide who comes in as whom",
        "oauth-app:write": "apps decide where people are sent, and hold secrets",
        "connection:connect": "whoever connects says whose account it is",
        "connection:write": "connections hold credentials",
        "policy:write": "policies decide who gets credentials",
        "lease:revoke": "it takes a credential away from work that is under way",
        "connection:disclose": "whoever reads a credential has it",
        "command:create": "runtimes act in the tenant's own network",
        "command:withdraw": "runtimes act in the tenant's own network",
        "approval:decide": "whoever decides answers for it",
        "budget:write": "budgets pause work",
        "webhook:write": "webhooks let data out, and their secrets are shown",
    }
)
"""What nobody does as somebody else, and why. What stands in none of the three lists is not done either."""


class Acting(Struct, frozen=True, kw_only=True):
    """That somebody who is signed in works as somebody else, as it is at this request."""

    id: ImpersonationId
    account_id: AccountId
    """As whom."""
    name: str
    email: str
    operator_role: str
    """What the impersonator is, and for now does not count."""
    mode: Mode
    reason: str
    ends_at: datetime


class ImpersonationForbids(Refusal):
    """Some things only people do themselves."""

    code, status, title = "impersonation-forbids", 403, "This is not done as somebody else"
    hint = (
        "End the impersonation first: POST /v1/operator/impersonations/{impersonation}/end, or in the console's banner."
    )

    def __init__(self, permission: str | None = None) -> None:
        super().__init__(NEVER.get(permission or "", "it is not on the list of what can be"))
        self.permission = permission

    def facts(self) -> dict[str, object]:
        return {"permission": self.permission} if self.permission else {}


class ImpersonationReadOnly(Refusal):
    code, status, title = "impersonation-read-only", 403, "This impersonation only looks"
    hint = "Ask for another one, in full mode, if something has to be changed."


def allowed(mode: Mode) -> frozenset[str]:
    """The permissions that count in *mode*, where the impersonated holds them."""
    return READS | CHANGES if mode == "full" else READS


def narrowed(grants: Iterable[Grant], mode: Mode) -> tuple[Grant, ...]:
    """*grants* without what does not count in *mode*."""
    return tuple(replace(grant, permissions=grant.permissions & allowed(mode)) for grant in grants)
