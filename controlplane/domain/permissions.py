"""Who may do what: principals, permissions, the built-in roles, and the one decision."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, Literal, TypeAlias
from uuid import UUID

from msgspec import Struct

from controlplane.domain.audit import Actor
from controlplane.domain.tenants import Tenant
from controlplane.kit.ids import AccountId, KeyId, RuntimeId, TenantId, text_id
from controlplane.kit.problems import Refusal

PERMISSIONS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "tenant:read": "See the tenant's name, state and settings.",
        "tenant:own": "Be an owner: hold and hand on everything.",
        "project:read": "See projects and their environments.",
        "user:read": "See the people of the tenant and their roles.",
        "session:read": "See sessions, and the totals over them.",
        "run:read": "See runs.",
        "checkpoint:read": "See checkpoints.",
        "agent:read": "See agents.",
        "runtime:read": "See runtimes and how far they are synchronized.",
        "runtime:write": "Revoke runtimes.",
        "join-token:read": "See join tokens, never their secret.",
        "join-token:create": "Make join tokens: let runtimes in.",
        "join-token:revoke": "Revoke join tokens.",
        "api-key:read": "See API keys, never their secret.",
        "api-key:create": "Make API keys with no more than one's own permissions.",
        "api-key:revoke": "Revoke API keys.",
        "audit:read": "Read the tenant's audit log.",
        "event:read": "Read what happened in the tenant, as events.",
        "event:consume": "Make consumers of events, and say how far they have got.",
        "webhook:read": "See webhooks, never their secret, and what was sent there.",
        "webhook:write": "Have events sent to addresses outside, change where, and see secrets when they are made.",
    }
)
"""What can be done inside a tenant."""

OPERATOR_PERMISSIONS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "operator:tenant-read": "See every tenant and what its runtimes report.",
        "operator:tenant-write": "Create, suspend and resume tenants.",
        "operator:operator-read": "See who operates the service.",
        "operator:key-read": "See operator keys, never their secret.",
        "operator:key-create": "Make operator keys.",
        "operator:key-revoke": "Revoke operator keys.",
    }
)
"""What can be done across tenants. Never part of a tenant's role."""

RUNTIME_PERMISSIONS: Final[Mapping[str, str]] = MappingProxyType(
    {"sync:write": "Report what a runtime does, as that runtime."}
)
"""What a runtime can do, as itself and nobody else."""

_WORK = {"session:read", "run:read", "checkpoint:read", "agent:read", "runtime:read", "project:read", "tenant:read"}

Role: TypeAlias = Literal["owner", "admin", "user_admin", "developer", "auditor", "billing", "viewer"]
"""The roles that every tenant has."""

ROLES: Final[Mapping[str, frozenset[str]]] = MappingProxyType(
    {
        "owner": frozenset(PERMISSIONS),
        "admin": frozenset(PERMISSIONS) - {"tenant:own"},
        "user_admin": frozenset({"tenant:read", "user:read"}),
        "developer": frozenset({*_WORK, "runtime:write", "join-token:read", "join-token:create", "join-token:revoke"}),
        "auditor": frozenset(
            {*_WORK, "user:read", "join-token:read", "api-key:read", "audit:read"} | {"event:read", "webhook:read"}
        ),
        "billing": frozenset({"tenant:read", "project:read"}),
        "viewer": frozenset(_WORK),
    }
)
"""What each built-in role of a tenant holds."""

OPERATOR_ROLES: Final[Mapping[str, frozenset[str]]] = MappingProxyType(
    {
        "admin": frozenset(OPERATOR_PERMISSIONS),
        "viewer": frozenset({"operator:tenant-read", "operator:operator-read"}),
    }
)

OPERATORS_IN_TENANTS: Final[Mapping[str, frozenset[str]]] = MappingProxyType(
    {
        "admin": frozenset(
            {*_WORK, "user:read", "audit:read", "api-key:read", "join-token:read", "join-token:create"}
            | {"join-token:revoke", "runtime:write"}
        ),
        "viewer": frozenset(_WORK),
    }
)
"""What an operator holds inside a tenant of which they are no member. Never a way to make credentials for its API."""


class Person(Struct, frozen=True, kw_only=True):
    """A human at a browser. *tenant* and *role* are those of this request's path, looked up anew each time."""

    account_id: AccountId
    session_id: UUID
    name: str
    email: str
    operator_role: str | None = None
    tenant: Tenant | None = None
    role: str | None = None
    """None: no member of *tenant*."""


class ApiKey(Struct, frozen=True, kw_only=True):
    id: KeyId
    tenant: Tenant
    role: str


class OperatorKey(Struct, frozen=True, kw_only=True):
    id: KeyId
    account_id: AccountId
    operator_role: str


class Runtime(Struct, frozen=True, kw_only=True):
    """A runtime agent, by the short-lived token that it got for its own key."""

    id: RuntimeId
    tenant_id: TenantId
    generation: int


Principal: TypeAlias = Person | ApiKey | OperatorKey | Runtime


class Decision(Struct, frozen=True):
    allow: bool
    rule_id: str
    """Which line decided: ``role:viewer``, ``operator:admin``, ``none``."""


class AuthenticationRequired(Refusal):
    """Nobody said who they are, or not in a way that this surface takes."""

    code, status, title = "authentication-required", 401, "Say who you are first"
    hint = "Send a credential of this surface: Authorization: Bearer ec_…, or sign in."

    def headers(self) -> dict[str, str]:
        return {"WWW-Authenticate": "Bearer"}


class NotYours(Refusal):
    """Somebody tried to hand on what they do not hold."""

    code, status, title = "role-not-yours", 403, "This role holds more than you do"
    hint = "Ask somebody who holds the role."

    def __init__(self, role: str) -> None:
        super().__init__(f"the role {role} holds permissions that you do not")
        self.role = role

    def facts(self) -> dict[str, object]:
        return {"role": self.role}


class UnknownRole(Refusal):
    code, status, title = "role-unknown", 400, "There is no such role"
    hint = "Roles: " + ", ".join(ROLES)

    def __init__(self, role: str) -> None:
        super().__init__(f"no role {role!r}")


class Authorizer:
    """Decides. Another engine can stand behind the same question."""

    def decide(self, principal: Principal, permission: str) -> Decision:
        """Whether *principal* may, in the tenant it is bound to; and by which rule."""
        for rule_id, held in _held(principal):
            if permission in held:
                return Decision(True, rule_id)
        return Decision(False, "none")


def held_by(principal: Principal) -> frozenset[str]:
    """Every permission *principal* has in this request."""
    return frozenset().union(*(held for _, held in _held(principal)))


def check_may_grant(principal: Principal, role: str) -> None:
    """
    Raises:
        UnknownRole: If *role* is none of :data:`ROLES`.
        NotYours: If *role* holds anything that *principal* does not.
    """
    if role not in ROLES:
        raise UnknownRole(role)
    if not ROLES[role] <= held_by(principal):
        raise NotYours(role)


def actor_of(principal: Principal, request_id: str) -> Actor:
    """How *principal* stands in the audit log."""
    if isinstance(principal, Person):
        acts_as_operator = principal.operator_role is not None and principal.role is None
        kind = "operator" if acts_as_operator else "account"
        return Actor(kind=kind, id=text_id("acc", principal.account_id), request_id=request_id)  # type: ignore[arg-type]
    if isinstance(principal, ApiKey):
        return Actor(kind="api-key", id=text_id("key", principal.id), request_id=request_id)
    if isinstance(principal, OperatorKey):
        return Actor(kind="operator-key", id=text_id("key", principal.id), request_id=request_id)
    return Actor(kind="runtime", id=text_id("rt", principal.id), request_id=request_id)


def _held(principal: Principal) -> list[tuple[str, frozenset[str]]]:
    nothing: frozenset[str] = frozenset()
    if isinstance(principal, ApiKey):
        return [(f"role:{principal.role}", ROLES.get(principal.role, nothing))]
    if isinstance(principal, Person | OperatorKey):
        held = []
        if isinstance(principal, Person) and principal.tenant is not None:
            if principal.role is not None:
                held.append((f"role:{principal.role}", ROLES.get(principal.role, nothing)))
            elif principal.operator_role is not None:
                in_tenants = OPERATORS_IN_TENANTS.get(principal.operator_role, nothing)
                held.append((f"operator-in-tenant:{principal.operator_role}", in_tenants))
        if principal.operator_role is not None:
            held.append((f"operator:{principal.operator_role}", OPERATOR_ROLES.get(principal.operator_role, nothing)))
        return held
    return [("runtime", frozenset(RUNTIME_PERMISSIONS))]
