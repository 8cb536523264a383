"""Who may do what, and where: principals, and the one decision."""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Final, Literal, TypeAlias
from uuid import UUID

from msgspec import Struct

from controlplane.domain.grants import EVERYWHERE, Grant, Limit
from controlplane.domain.masks import Acting
from controlplane.domain.permission_names import (
    ADMINISTRATION,
    ANYWHERE,
    OPERATOR_ROLES,
    OPERATORS_IN_TENANTS,
    ROLES,
    RUNTIME_PERMISSIONS,
    SCIM_PERMISSIONS,
    WITHIN_PROJECTS,
    WITHIN_RUNTIMES,
)
from controlplane.domain.tenants import Tenant
from controlplane.kit.ids import AccountId, KeyId, RuntimeId, ScimTokenId, ServiceAccountId, TenantId, UserId
from controlplane.kit.problems import Refusal

Way: TypeAlias = Literal["password", "totp", "passkey", "sso"]
"""How somebody can prove who they are."""

Scope: TypeAlias = Literal["account", "tenants", "operators"]
"""To whom a session's person has proved who they are: to us; to providers of tenants, which answer for these tenants
and nothing else; to the platform's own provider, which answers for who operates it."""

SECOND_FACTORS: Final[frozenset[Way]] = frozenset({"totp", "passkey"})

FRESH_FOR: Final = timedelta(minutes=5)
"""How long a proof counts for what is dangerous."""


class Person(Struct, frozen=True, kw_only=True):
    """A human at a browser. What they are in *tenant* is that of this request's path, looked up anew each time."""

    account_id: AccountId
    session_id: UUID
    name: str
    email: str
    authenticated_at: datetime | None = None
    """When they last proved who they are, in this session."""
    auth_level: int = 1
    """By how many factors."""
    ways: frozenset[Way] = frozenset()
    """How they can prove it again."""
    scope: Scope = "account"
    entries: frozenset[UUID] = frozenset()
    """The tenants that their providers, or a broken glass, have let this session into."""
    operator_role: str | None = None
    tenant: Tenant | None = None
    user_id: UserId | None = None
    """None: no member of *tenant*."""
    grants: tuple[Grant, ...] = ()
    acting: Acting | None = None
    """Then *tenant*, *user_id* and *grants* are whose they work as; only they themselves count otherwise."""

    @property
    def is_member(self) -> bool:
        return self.user_id is not None

    @property
    def roles(self) -> str:
        """The names of what they hold in *tenant*, for people to read."""
        return ", ".join(dict.fromkeys(grant.role for grant in self.grants)) or "no role"

    def sees(self, tenant_id: UUID) -> bool:
        """Whether this session may know that its person belongs there."""
        return self.scope == "account" or tenant_id in self.entries

    def is_fresh(self, now: datetime) -> bool:
        """Whether they proved who they are lately, and by the strongest factor that they have."""
        strongest = 2 if self.ways & SECOND_FACTORS else 1
        lately = self.authenticated_at is not None and now - self.authenticated_at <= FRESH_FOR
        return lately and self.auth_level >= strongest


class ApiKey(Struct, frozen=True, kw_only=True):
    id: KeyId
    tenant: Tenant
    grants: tuple[Grant, ...]
    """Of its owner, now; narrowed to its scopes."""
    user_id: UserId | None = None
    """Whose it is: a person's …"""
    service_account_id: ServiceAccountId | None = None
    """… or a service account's."""


class OperatorKey(Struct, frozen=True, kw_only=True):
    id: KeyId
    account_id: AccountId
    operator_role: str


class Runtime(Struct, frozen=True, kw_only=True):
    """A runtime agent, by the short-lived token that it got for its own key."""

    id: RuntimeId
    tenant_id: TenantId
    generation: int


class Directory(Struct, frozen=True, kw_only=True):
    """A tenant's directory, by its SCIM token."""

    id: ScimTokenId
    connection_id: ScimTokenId
    tenant: Tenant


Principal: TypeAlias = Person | ApiKey | OperatorKey | Runtime | Directory


class Decision(Struct, frozen=True):
    allow: bool
    rule_id: str
    """Which line decided: ``role:viewer``, ``operator:admin``, ``none``."""
    grant: Grant | None = None
    """Where a role decided: the assignment, and the group or limit it came with."""


class AuthenticationRequired(Refusal):
    """Nobody said who they are, or not in a way that this surface takes."""

    code, status, title = "authentication-required", 401, "Say who you are first"
    hint = "Send a credential of this surface: Authorization: Bearer ec_…, or sign in."

    def headers(self) -> dict[str, str]:
        return {"WWW-Authenticate": "Bearer"}


class ReauthenticationRequired(Refusal):
    """Whoever finds a browser open must not change what opens everything else."""

    code, status, title = "reauthentication-required", 403, "Prove once more that it is you"
    hint = "POST /v1/me/reauthentication in one of these ways, then try again. In the console: /console/confirm."

    def __init__(self, ways: frozenset[Way]) -> None:
        super().__init__(f"this takes a proof younger than {int(FRESH_FOR.total_seconds() // 60)} minutes")
        self.ways = ways & SECOND_FACTORS or ways

    def facts(self) -> dict[str, object]:
        return {"ways": sorted(self.ways), "max_age_s": int(FRESH_FOR.total_seconds())}


class NotYours(Refusal):
    """Somebody tried to hand on what they do not hold."""

    code, status, title = "role-not-yours", 403, "This role holds more than you do"
    hint = "Ask somebody who holds all of it."

    def __init__(self, role: str) -> None:
        super().__init__(f"the role {role} holds permissions that you do not")
        self.role = role

    def facts(self) -> dict[str, object]:
        return {"role": self.role}


class UnknownRole(Refusal):
    code, status, title = "role-unknown", 400, "There is no such role"
    hint = "Built-in roles: " + ", ".join(ROLES) + ". A tenant may have others of its own: GET …/roles."

    def __init__(self, role: str) -> None:
        super().__init__(f"no role {role!r}")


class Authorizer:
    """Decides. Another engine can stand behind the same question."""

    def decide(self, principal: Principal, permission: str, place: Limit | None = None) -> Decision:
        """Whether *principal* may, in the tenant it is bound to; and by which rule.

        Args:
            place: Where: a runtime's project and labels, or a project. None: somewhere at least; what is seen of it
                is then limited by :func:`limits_of`.
        """
        for rule_id, grant in _held(principal):
            if _counts(grant, permission) and (place is None or grant.limit.covers(place)):
                return Decision(True, rule_id, grant if grant.assignment_id else None)
        return Decision(False, "none")


def held_by(principal: Principal) -> frozenset[str]:
    """Every permission *principal* has in this request, somewhere at least."""
    return frozenset(
        permission for _, grant in _held(principal) for permission in grant.permissions if _counts(grant, permission)
    )


def limits_of(principal: Principal, permission: str) -> tuple[Limit, ...] | None:
    """Where *principal* may: the union of these. None: everywhere."""
    limits = [grant.limit for _, grant in _held(principal) if _counts(grant, permission)]
    return None if any(limit.is_everywhere for limit in limits) else tuple(limits)


def check_grantable(principal: Principal, wanted: Iterable[str], limit: Limit = EVERYWHERE, *, role: str = "") -> None:
    """Nobody hands on what they do not hold: not in a role, a key, a group, a service account or an invitation.

    Args:
        wanted: The permissions that would be handed on.
        limit: Where they would count.
        role: What they are called together, for the refusal.

    Raises:
        NotYours: If *principal* does not hold every one of them, there at least.
    """
    held = [grant for _, grant in _held(principal) if grant.limit.covers(limit)]
    if not frozenset(wanted) <= frozenset().union(*(grant.permissions for grant in held)):
        raise NotYours(role)


def check_takeable(principal: Principal, grants: Iterable[Grant]) -> None:
    """Whether *principal* may take something away from whoever holds *grants*: a role, a key's owner, their membership.

    Raises:
        NotYours: If those administer more than *principal* does.
    """
    for grant in grants:
        check_grantable(principal, grant.permissions & ADMINISTRATION, grant.limit, role=grant.role)


def _counts(grant: Grant, permission: str) -> bool:
    """Whether *grant* gives *permission* at all, within its limits."""
    if permission not in grant.permissions:
        return False
    if grant.limit.is_everywhere or permission in WITHIN_RUNTIMES or permission in ANYWHERE:
        return True
    return permission in WITHIN_PROJECTS and not grant.limit.labels


def _held(principal: Principal) -> list[tuple[str, Grant]]:
    if isinstance(principal, ApiKey):
        return _by_role(principal.grants)
    if isinstance(principal, Runtime):
        return [("runtime", Grant(role="runtime", permissions=frozenset(RUNTIME_PERMISSIONS)))]
    if isinstance(principal, Directory):
        return [("directory", Grant(role="directory", permissions=frozenset(SCIM_PERMISSIONS)))]
    held = []
    if isinstance(principal, Person) and principal.tenant is not None:
        if principal.is_member:
            held += _by_role(principal.grants)
        elif principal.operator_role is not None:
            held.append(_built_in("operator-in-tenant", principal.operator_role, OPERATORS_IN_TENANTS))
    if principal.operator_role is not None:
        held.append(_built_in("operator", principal.operator_role, OPERATOR_ROLES))
    return held


def _by_role(grants: Iterable[Grant]) -> list[tuple[str, Grant]]:
    return [(f"role:{grant.role}", grant) for grant in grants]


def _built_in(kind: str, name: str, roles: Mapping[str, frozenset[str]]) -> tuple[str, Grant]:
    return f"{kind}:{name}", Grant(role=name, permissions=roles.get(name, frozenset()))
