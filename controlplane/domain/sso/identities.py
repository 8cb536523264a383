"""Who somebody who comes back from a provider is here: by connection and subject, and never by an address alone."""

from typing import Final
from uuid import UUID

from msgspec import Struct

from controlplane.db import schema as t
from controlplane.db.database import TenantTx
from controlplane.domain import audit, domains, holdings, people, roles, tenants
from controlplane.domain.audit import Actor
from controlplane.domain.holdings import Holder
from controlplane.domain.people import Account, User
from controlplane.domain.sso.connections import Connection, target
from controlplane.domain.tenants import TenantSuspended
from controlplane.kit.ids import AccountId, UserId, text_id
from controlplane.kit.openid.tokens import Identity
from controlplane.kit.problems import Refusal

GOOGLE: Final = "https://accounts.google.com"
"""Serves everybody: whose organization an account is in, stands in ``hd``."""

TOO_MUCH: Final = frozenset({"tenant:own", "sso:manage"})
"""Who holds any of these says themselves, while signed in, who they are at the provider. Otherwise whoever may set up
the provider could name anybody as them."""


class NotLetIn(Refusal):
    """By this provider, at the moment."""

    code, status, title = "sso-not-let-in", 403, "You are not let in this way"
    hint = "Ask an administrator of the tenant to invite you, or to let people of your domain in."

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why


class LinkFirst(Refusal):
    """An address is no proof of who somebody is, where it is not the tenant's to vouch for or opens too much."""

    code, status, title = "sso-link-first", 403, "It is not known yet who you are at this provider"
    hint = "Sign in as before, then connect single sign-on under My account."

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why


class SubjectTaken(Refusal):
    code, status, title = (
        "sso-subject-taken",
        409,
        "At the provider you are somebody who is connected to another account",
    )
    hint = "Sign out at the provider, and sign in there as yourself."


async def arrived(tx: TenantTx, actor: Actor, connection: Connection, who: Identity) -> AccountId | None:
    """The account of somebody who has come back from the provider; None: they have no place in the tenant yet.

    Raises:
        NotLetIn: If they have no longer a place there.
        LinkFirst: If they may have one, and have to say so themselves.
        TenantSuspended: If nobody is let in at the moment.
    """
    if (await tenants.get(tx)).status != "active":
        raise TenantSuspended
    known = await _known(tx, connection, who.sub)
    if known is None:
        return await _by_address(tx, actor, connection, who)
    user = await people.user(tx, known.user_id)
    if user.status != "active":
        raise NotLetIn("disabled")
    mine = tx.update(t.sso_identities).where(
        t.sso_identities.c.connection_id == connection.id, t.sso_identities.c.subject == who.sub
    )
    await tx.run(mine.values(last_at=tx.now))
    audit.record(tx, actor, "sso.signed-in", _user(user.id), connection=target(connection.id)[1])
    return user.account_id


async def admit(tx: TenantTx, actor: Actor, connection: Connection, who: Identity, account: Account) -> AccountId:
    """Give somebody new their place in the tenant: the one that the directory has announced for them, or else one with
    the connection's role.

    Raises:
        NotLetIn: If nobody new comes in this way, or *account* is not in use.
    """
    if account.status != "active":
        raise NotLetIn("nobody new comes in this way")
    announced = t.users.c.account_id.is_(None) & (t.users.c.email_norm == people.normalized(account.email))
    if await tx.first(User, tx.select(t.users).where(announced)) is not None:
        return await _admitted(tx, actor, connection, who, await people.claim(tx, actor, account))
    if connection.default_role is None:
        raise NotLetIn("nobody new comes in this way")
    if (await roles.named(tx, connection.default_role)).permissions & TOO_MUCH:
        raise NotLetIn("the role holds too much by now")
    user = await people.add_user(tx, actor, account, connection.default_role)
    return await _admitted(tx, actor, connection, who, user)


async def _admitted(tx: TenantTx, actor: Actor, connection: Connection, who: Identity, user: User) -> AccountId:
    await _connect(tx, actor, connection, who.sub, user, how="new")
    audit.record(tx, actor, "sso.signed-in", _user(user.id), connection=target(connection.id)[1])
    assert user.account_id is not None, "whoever was admitted has come in"
    return user.account_id


async def link(tx: TenantTx, actor: Actor, connection: Connection, who: Identity, account_id: AccountId) -> None:
    """Note who somebody who is signed in, and a member, is at the provider.

    Raises:
        NotLetIn: If they are no member.
        SubjectTaken: If that is somebody else.
    """
    user = await people.member(tx, account_id)
    if user is None:
        raise NotLetIn("no member")
    await _connect(tx, actor, connection, who.sub, user, how="signed in")


async def is_linked(tx: TenantTx, connection: Connection, account_id: AccountId) -> bool:
    """Whether it is known who this member is at the provider."""
    user = await people.member(tx, account_id)
    if user is None:
        return False
    its = t.sso_identities.c
    theirs = tx.select(t.sso_identities).where(its.connection_id == connection.id, its.user_id == user.id)
    return await tx.first(_Identity, theirs) is not None


async def check_may_be_invited(tx: TenantTx, email: str) -> None:
    """
    Raises:
        OutsideTheDomains: If the tenant is entered by single sign-on only, and the address is not its own.
    """
    tenant = await tenants.get(tx)
    if tenant.sso_enforced and not await domains.is_verified(tx, domains.of_address(email)):
        raise OutsideTheDomains


class OutsideTheDomains(Refusal):
    """Whom the provider does not know cannot come in."""

    code, status, title = (
        "sso-outside-domains",
        409,
        "This tenant is entered by single sign-on, and the address is not in its domains",
    )
    hint = "Invite an address of a verified domain, or let people in by other ways too."


class _Identity(Struct, frozen=True):
    user_id: UUID


async def _known(tx: TenantTx, connection: Connection, subject: str) -> _Identity | None:
    its = t.sso_identities.c
    mine = tx.select(t.sso_identities).where(its.connection_id == connection.id, its.subject == subject)
    return await tx.first(_Identity, mine)


async def _by_address(tx: TenantTx, actor: Actor, connection: Connection, who: Identity) -> AccountId | None:
    """The account of a member whose address the tenant's own provider vouches for, connected from now on."""
    await _check_vouched(tx, connection, who)
    assert who.address is not None, "nobody vouches for no address"
    user = await tx.first(User, tx.select(t.users).where(t.users.c.email_norm == people.normalized(who.address)))
    if user is not None and user.status != "active":
        raise NotLetIn("disabled")
    if user is None:
        if connection.default_role is None:
            raise NotLetIn("nobody new comes in this way")
        return None
    if any(grant.permissions & TOO_MUCH for grant in await holdings.of(tx, Holder("user", user.id))):
        raise LinkFirst("holds too much to be named by an address")
    if user.account_id is None:  # the directory has announced them
        return None
    if await is_linked(tx, connection, user.account_id):
        raise LinkFirst("somebody else had this address before")
    await _connect(tx, actor, connection, who.sub, user, how="address")
    audit.record(tx, actor, "sso.signed-in", _user(user.id), connection=target(connection.id)[1])
    return user.account_id


async def _check_vouched(tx: TenantTx, connection: Connection, who: Identity) -> None:
    """
    Raises:
        LinkFirst: If the address is none that this provider can vouch for.
    """
    if who.address is None or not people.EMAIL.fullmatch(who.address):
        raise LinkFirst("no address")
    if not (who.address_verified or connection.trusts_addresses):
        raise LinkFirst("address not verified")
    domain = domains.of_address(who.address)
    if not await domains.is_verified(tx, domain):
        raise LinkFirst("address outside the tenant's domains")
    if connection.issuer == GOOGLE and domains.normalized(who.hd or "") != domain:
        raise LinkFirst("not an account of the organization")


async def _connect(tx: TenantTx, actor: Actor, connection: Connection, subject: str, user: User, *, how: str) -> None:
    made = await tx.run(
        tx.insert(t.sso_identities)
        .values(connection_id=connection.id, subject=subject, user_id=user.id, created_at=tx.now, last_at=tx.now)
        .on_conflict_do_nothing()
    )
    if made:
        audit.record(tx, actor, "sso.connected", _user(user.id), connection=target(connection.id)[1], how=how)
        return
    known = await _known(tx, connection, subject)
    if known is None or known.user_id != user.id:
        raise SubjectTaken
    audit.record(tx, actor, "sso.connected", _user(user.id), connection=target(connection.id)[1], how="again")


def _user(user_id: UserId) -> audit.Target:
    return "user", text_id("usr", user_id)
