"""Who may give what to whom: nobody hands on what they do not hold, and nobody disarms who administers more."""

from collections.abc import Iterable
from uuid import UUID

from controlplane.db.database import TenantTx
from controlplane.domain import holdings, roles, service_accounts
from controlplane.domain.audit import Actor
from controlplane.domain.grants import EVERYWHERE, Limit
from controlplane.domain.holdings import Holder
from controlplane.domain.permission_names import PERMISSIONS
from controlplane.domain.permissions import ApiKey, Person, Principal, check_grantable, check_takeable
from controlplane.domain.roles import Role


async def role(tx: TenantTx, principal: Principal, reference: str, limit: Limit = EVERYWHERE) -> Role:
    """The role that *principal* wants to hand on, by name or id: in an assignment, an invitation, to a newcomer.

    Raises:
        UnknownRole, NotFound: If there is no such role.
        NotYours: If it holds more than *principal* does there.
    """
    found = await roles.named(tx, reference)
    check_grantable(principal, found.permissions, limit, role=found.name)
    return found


def permissions(principal: Principal, wanted: Iterable[str], role_name: str) -> None:
    """What a role is to hold. Permissions that do not exist are not looked at.

    Raises:
        NotYours: If *principal* does not hold all of it, everywhere.
    """
    check_grantable(principal, PERMISSIONS.keys() & wanted, role=role_name)


async def group(tx: TenantTx, principal: Principal, group_id: UUID) -> None:
    """What membership of a group would give.

    Raises:
        NotYours: If the group holds more than *principal* does.
    """
    for grant in await holdings.of(tx, Holder("group", group_id)):
        check_grantable(principal, grant.permissions, grant.limit, role=grant.role)


async def key(tx: TenantTx, principal: Principal, owner: Holder, scopes: Iterable[str] | None) -> None:
    """What whoever gets a key of *owner* could do with it. One's own key is no exception: a key that is narrowed to
    its scopes makes none that is wider.

    Raises:
        NotYours: If that is more than *principal* may.
    """
    within = PERMISSIONS.keys() if scopes is None else frozenset(scopes)
    for grant in await holdings.of(tx, owner):
        check_grantable(principal, grant.permissions & within, grant.limit, role=grant.role)


async def new_service_account(
    tx: TenantTx, actor: Actor, principal: Principal, name: str, reference: str
) -> service_accounts.ServiceAccount:
    """Make a service account that holds a role, under a free name made from *name*.

    Raises:
        UnknownRole, NotFound: If there is no such role.
        NotYours: If it holds more than *principal* does, or *principal* makes no service accounts.
    """
    found = await role(tx, principal, reference)
    check_grantable(principal, {"service-account:write"}, role=found.name)
    return await service_accounts.with_role(tx, actor, name, found)


async def take_from(tx: TenantTx, principal: Principal, holder: Holder) -> None:
    """
    Raises:
        NotYours: If *holder* administers more than *principal*.
    """
    check_takeable(principal, await holdings.of(tx, holder))


def oneself(principal: Principal) -> Holder:
    """Who *principal* is in the tenant: of a key its owner."""
    assert isinstance(principal, Person | ApiKey), "others do not come into a tenant by themselves"
    if principal.user_id is not None:
        return Holder("user", principal.user_id)
    assert isinstance(principal, ApiKey), "operators hold nothing that could be handed on"
    assert principal.service_account_id is not None
    return Holder("service-account", principal.service_account_id)
