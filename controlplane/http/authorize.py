"""The one guard: who calls, in which tenant, and whether they may. Every route has a rule, or the app does not start."""

from collections.abc import Awaitable, Callable, Mapping
from enum import StrEnum
from typing import Any, Final, TypeAlias

from litestar.connection import ASGIConnection
from litestar.handlers import BaseRouteHandler
from msgspec import Struct
from msgspec.structs import replace

from controlplane.domain import masks, people, tenants
from controlplane.domain.grants import owns
from controlplane.domain.impersonation import acting
from controlplane.domain.masks import ImpersonationForbids, ImpersonationReadOnly
from controlplane.domain.people import Entrance
from controlplane.domain.permission_names import OPERATOR_PERMISSIONS
from controlplane.domain.permissions import (
    ApiKey,
    AuthenticationRequired,
    Authorizer,
    Directory,
    OperatorKey,
    Person,
    Principal,
    ReauthenticationRequired,
    Runtime,
)
from controlplane.domain.tenants import Tenant
from controlplane.http import demanded_factors, negotiation
from controlplane.http.headers import IMPERSONATED_BY
from controlplane.http.problems import Invalid
from controlplane.http.sessions import SAFE_METHODS, refuse_foreign_pages
from controlplane.kit.ids import text_id
from controlplane.kit.problems import NotFound, Refusal

Connection: TypeAlias = ASGIConnection[Any, Any, Any, Any]

Authenticate: TypeAlias = Callable[[Connection], Awaitable[Principal | None]]
"""Who calls. None: nobody showed a credential. Raises a refusal where one was shown that opens nothing."""

TENANT_PARAMETER: Final = "tenant"


class Surface(StrEnum):
    """Whom a route is for. Each kind of credential serves some of them and is worth nothing at the others."""

    TENANT = "tenant"
    OPERATOR = "operator"
    RUNTIME = "runtime"
    ME = "me"
    CONSOLE = "console"
    SCIM = "scim"
    CREDENTIALS = "credentials"
    """Of runtimes that cannot sign, by their keys."""


SERVES: Final[Mapping[type, frozenset[Surface]]] = {
    Person: frozenset({Surface.TENANT, Surface.OPERATOR, Surface.ME, Surface.CONSOLE}),
    ApiKey: frozenset({Surface.TENANT}),
    OperatorKey: frozenset({Surface.OPERATOR}),
    Runtime: frozenset({Surface.RUNTIME, Surface.CREDENTIALS}),
    Directory: frozenset({Surface.SCIM}),
}


class Rule(Struct, frozen=True, kw_only=True):
    """Who may use a route. It stands in the handler's ``opt`` under ``rule``."""

    surface: Surface | None = None
    permission: str | None = None
    """None: being who one is, is enough; never at the tenant's and the operators' surface."""
    also: frozenset[str] = frozenset()
    """Further permissions that it takes as well, for pages that show several kinds of things."""
    unserved: bool = False
    """Also while the tenant is suspended or waits for its deletion: to see why, to export, to take it back."""
    open_because: str = ""
    """Not empty: anybody may, without any credential, for this reason."""
    vouched: bool = False
    """Outside tenants: whether a session that only a provider has vouched for will do."""
    fresh: bool = False
    """Whether a person must have proved who they are lately. Programs prove it with every call."""
    any_query: bool = False
    """Whether query parameters that nobody asked for are let be: where others write the address."""
    as_oneself: bool = False
    """Also while one works as somebody else, and then as oneself."""
    query: frozenset[str] | None = None
    """The query parameters there are, filled in at the start; others are refused. None: anything goes."""
    worded: frozenset[str] = frozenset()
    """Those of them that may be left out and are no text: the word ``null`` would pass for one that was."""

    @property
    def permissions(self) -> tuple[str, ...]:
        """All that it takes."""
        return () if self.permission is None else (self.permission, *sorted(self.also))


def rule(
    surface: Surface,
    permission: str | None = None,
    also: frozenset[str] = frozenset(),
    *,
    fresh: bool = False,
    unserved: bool = False,
    vouched: bool = False,
) -> dict[str, Rule]:
    """``@get("/", opt=rule(Surface.TENANT, "run:read"))``.

    Args:
        vouched: For what concerns the session alone. What belongs to the account takes a proof that was given to us:
            a tenant's provider must not reach it.
        fresh: For what is dangerous: a person must have proved who they are in the last five minutes, with the
            strongest factor that they have.
    """
    its = Rule(surface=surface, permission=permission, also=also, fresh=fresh, unserved=unserved, vouched=vouched)
    return {"rule": its}


def as_oneself(its: dict[str, Rule]) -> dict[str, Rule]:
    """*its* for a route that is also there while one works as somebody else, and where one is oneself: for the end."""
    return {"rule": replace(its["rule"], as_oneself=True)}


def open_to_all(because: str, surface: Surface | None = None, *, any_query: bool = False) -> dict[str, Rule]:
    """``@get("/livez", opt=open_to_all("says nothing"))``."""
    return {"rule": Rule(surface=surface, open_because=because, any_query=any_query)}


class PermissionDenied(Refusal):
    code, status, title = "permission-denied", 403, "You may not do this"
    hint = "Ask somebody who may give you the permission."

    def __init__(self, permission: str) -> None:
        super().__init__(f"this needs the permission {permission}")
        self.permission = permission

    def facts(self) -> dict[str, object]:
        return {"permission": self.permission}


class AccountProofRequired(Refusal):
    """A tenant's provider has vouched for this session: for that tenant, and for nothing else."""

    code, status, title = "account-proof-required", 403, "Single sign-on does not open this"
    hint = "Sign in with what belongs to your account itself: its password or a passkey."


class SsoRequired(Refusal):
    """Told to members only: to others the tenant is absent."""

    code, status, title = "sso-required", 403, "This tenant is entered by single sign-on"
    hint = "Sign in by the tenant's identity provider."

    def __init__(self, tenant: str, *, may_break_glass: bool) -> None:
        super().__init__()
        self.tenant, self.may_break_glass = tenant, may_break_glass

    def facts(self) -> dict[str, object]:
        return {"tenant": self.tenant, "may_break_glass": self.may_break_glass}


async def authorize(connection: Connection, handler: BaseRouteHandler) -> None:
    """The guard of the whole app. It is the only writer of ``connection.state.tenant_id``.

    Raises:
        Refusal: 401 without a credential, 404 for what the caller must not know of, 403 inside their own tenant.
    """
    its: Rule = handler.opt["rule"]
    if its.surface not in (Surface.RUNTIME, Surface.SCIM, Surface.CREDENTIALS):
        refuse_foreign_pages(connection)
    if not its.open_because:
        await _authorize(connection, its)
    negotiation.check(connection)
    _refuse_parameters(connection, its)


async def _authorize(connection: Connection, its: Rule) -> None:
    state = connection.app.state
    assert its.surface is not None
    principal = await _recognized(connection, its, its.surface)
    connection.scope["user"] = principal
    reference = connection.path_params.get(TENANT_PARAMETER)
    if reference is not None and its.surface in (Surface.TENANT, Surface.CONSOLE):
        principal, tenant = await _in_tenant(connection, principal, reference, its.surface)
        await _check_served(connection, its, principal, tenant)
        if its.surface is Surface.TENANT:
            await state.allowances.spend(connection, principal, tenant.tenant_id)
    elif isinstance(principal, Runtime):
        connection.state.tenant_id = principal.tenant_id
    elif isinstance(principal, Directory):
        await _check_served(connection, its, principal, principal.tenant)
        connection.state.tenant_id = principal.tenant.tenant_id
    else:
        _check_reach(principal, its)
    connection.scope["user"] = principal
    _check_impersonation(connection, principal, its)
    _check_permissions(principal, its, state.authorizer)
    if its.fresh and isinstance(principal, Person) and not principal.is_fresh(state.db.clock()):
        raise ReauthenticationRequired(principal.ways)


async def _recognized(connection: Connection, its: Rule, surface: Surface) -> Principal:
    """Who calls, by a credential that serves *surface*.

    Raises:
        AuthenticationRequired: If nobody says who they are.
        NotFound: If it is a credential for something else.
    """
    principal: Principal | None = await connection.app.state.authentication[surface](connection)
    if principal is None:
        raise AuthenticationRequired
    if surface not in SERVES[type(principal)]:
        raise NotFound
    if isinstance(principal, Person) and principal.acting is not None:
        connection.scope["state"][IMPERSONATED_BY] = text_id("acc", principal.account_id)
        return acting.taken_off(principal) if its.as_oneself else principal
    return principal


def _check_impersonation(connection: Connection, principal: Principal, its: Rule) -> None:
    """While one works as somebody else: what is on the list, in that tenant, and nothing that takes a fresh proof.

    Raises:
        ImpersonationForbids, ImpersonationReadOnly: If it is not to be done as somebody else.
    """
    if not isinstance(principal, Person) or principal.acting is None:
        return
    if connection.state.get("tenant_id") is None or its.fresh or not its.permissions:
        raise ImpersonationForbids
    for permission in its.permissions:
        if permission not in masks.allowed("full"):
            raise ImpersonationForbids(permission)
    looks = connection.scope.get("method") in SAFE_METHODS and masks.READS.issuperset(its.permissions)
    if principal.acting.mode == "read_only" and not looks:
        raise ImpersonationReadOnly


def _check_permissions(principal: Principal, its: Rule, authorizer: Authorizer) -> None:
    for permission in its.permissions:
        if not authorizer.decide(principal, permission).allow:
            if its.surface is Surface.OPERATOR and isinstance(principal, Person) and principal.operator_role is None:
                raise NotFound  # that there are operators' pages is nothing a tenant's people need to know
            raise PermissionDenied(permission)


async def _in_tenant(
    connection: Connection, principal: Principal, reference: str, surface: Surface
) -> tuple[Principal, Tenant]:
    """*principal* bound to the tenant in the path. A foreign one is answered like an absent one."""
    if isinstance(principal, ApiKey):
        if not principal.tenant.is_named(reference):
            raise NotFound
        tenant = principal.tenant
    elif isinstance(principal, Person) and principal.acting is not None:
        worn_in = principal.tenant
        if worn_in is None or not worn_in.is_named(reference):
            raise NotFound
        tenant = worn_in
    else:
        assert isinstance(principal, Person)
        principal, tenant = await _entered(connection, principal, reference)
        if not principal.is_member and (surface is not Surface.CONSOLE or principal.operator_role is None):
            raise NotFound
    connection.state.tenant_id = tenant.tenant_id
    return principal, tenant


async def _check_served(connection: Connection, its: Rule, principal: Principal, tenant: Tenant) -> None:
    """Operators look into any tenant that still has something; its own people into one that is served.

    Raises:
        Refusal: 403 with why it is not, 404 once it is gone.
    """
    if tenant.status == "active":
        return
    if tenant.status not in tenants.GONE:
        is_operator = isinstance(principal, Person) and not principal.is_member
        if is_operator or its.unserved:
            return
    async with connection.app.state.db.tenant(tenant.tenant_id) as tx:
        raise tenants.not_served(await tenants.get(tx))


def _check_reach(principal: Principal, its: Rule) -> None:
    """Outside every tenant: what belongs to an account takes a proof that was given to us.

    Raises:
        AccountProofRequired: If only a provider has vouched for this session.
        ImpersonationForbids: If they work as somebody: that is in that one's tenant.
    """
    if isinstance(principal, Person) and principal.acting is not None:
        raise ImpersonationForbids
    vouched_only = isinstance(principal, Person) and principal.scope != "account"
    if vouched_only and not its.vouched and its.permission not in OPERATOR_PERMISSIONS:
        raise AccountProofRequired


async def _entered(connection: Connection, person: Person, reference: str) -> tuple[Person, Tenant]:
    db = connection.app.state.db
    tenant_id = await tenants.find(db, reference)
    if tenant_id is None:
        raise NotFound
    found = await people.enter(db, tenant_id, person.account_id)
    if found is None:
        raise NotFound
    if not _is_let_in(person, found):
        return replace(person, tenant=found.tenant), found.tenant
    return replace(person, tenant=found.tenant, user_id=found.user_id, grants=found.grants), found.tenant


def _is_let_in(person: Person, found: Entrance) -> bool:
    """Whether this session may come in as the member that its person is.

    Raises:
        SsoRequired: If they have to come by the tenant's provider.
        MfaRequired: If they have to show a second factor first.
    """
    if found.user_id is None or found.tenant.tenant_id in person.entries:
        return found.user_id is not None
    if person.scope != "account":
        return False  # who vouched for them, did it for another tenant
    if found.tenant.sso_enforced:
        raise SsoRequired(found.tenant.slug, may_break_glass=owns(found.grants))
    if found.tenant.mfa_required:
        demanded_factors.check(person, found.tenant)
    return True


def _refuse_parameters(connection: Connection, its: Rule) -> None:
    if its.query is None:
        return
    unknown = sorted(set(connection.query_params) - its.query)
    if unknown:
        known = ", ".join(sorted(its.query)) or "none"
        raise Invalid(
            [{"in": "query", "name": name, "detail": f"no such parameter; there are: {known}"} for name in unknown]
        )
    given = connection.query_params.multi_items()
    if nulls := sorted({name for name, value in given if name in its.worded and value.casefold() == "null"}):
        raise Invalid([{"in": "query", "name": name, "detail": "null is none of its values"} for name in nulls])
