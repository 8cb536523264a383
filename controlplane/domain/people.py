"""People: accounts, who of them operates the service, and which tenants they belong to."""

import re
from datetime import datetime
from typing import Final
from uuid import UUID

import msgspec
from msgspec import Struct
from sqlalchemy import or_

from controlplane.db import schema as t
from controlplane.db.database import Database, PlatformTx, TenantTx, inside
from controlplane.domain import assignments, audit, holdings, letters, mails, quotas, roles
from controlplane.domain.audit import Actor
from controlplane.domain.grants import EVERYWHERE, Grant, Limit
from controlplane.domain.holdings import Holder
from controlplane.domain.permission_names import OPERATOR_ROLES
from controlplane.domain.permissions import UnknownRole
from controlplane.domain.tenants import Tenant
from controlplane.kit.ids import AccountId, TenantId, UserId, new_id, text_id
from controlplane.kit.problems import NotFound, Refusal

EMAIL: Final = re.compile(r"[^@\s]{1,64}@[^@\s]{1,189}")
MOST_TENANTS = 200


class Account(Struct, frozen=True, kw_only=True):
    """A human, once, however many tenants they work in."""

    id: AccountId
    email: str
    name: str
    status: str
    """``active`` or ``disabled``."""
    created_at: datetime


class Credentials(Struct, frozen=True, kw_only=True):
    """What a sign-in is checked against."""

    id: AccountId
    status: str
    password_hash: str | None


class Operator(Struct, frozen=True, kw_only=True):
    account_id: AccountId
    role: str
    created_at: datetime


class User(Struct, frozen=True, kw_only=True):
    """A tenant's row about a person. What they hold is in the tenant's assignments."""

    id: UserId
    account_id: AccountId | None
    """None: a directory has announced them, and they have not come in yet."""
    email_norm: str
    name: str
    status: str
    """``active`` or ``disabled``."""
    source: str
    """Who keeps them: ``local`` or ``scim``."""
    created_at: datetime


class Entrance(Struct, frozen=True, kw_only=True):
    """What somebody is in a tenant, as they come in."""

    tenant: Tenant
    user_id: UserId | None
    """None: no member, or a deactivated one."""
    grants: tuple[Grant, ...]


class EmailInvalid(Refusal):
    code, status, title = "email-invalid", 400, "This is not an e-mail address"
    hint = "Write it as name@example.com."


class EmailTaken(Refusal):
    code, status, title = "email-taken", 409, "There is an account with this address"
    hint = "Use the account that exists."


class AlreadyMember(Refusal):
    code, status, title = "user-exists", 409, "This person is in the tenant already"
    hint = "Change their role instead."


class ManagedElsewhere(Refusal):
    code, status, title = "managed-attribute", 409, "The tenant's directory keeps this"
    hint = "Change it there: Entra, Okta or whatever is connected by SCIM. Deactivating somebody works here as well."


def normalized(email: str) -> str:
    """The form in which addresses are compared."""
    return email.strip().casefold()


async def create_account(
    tx: PlatformTx,
    actor: Actor,
    email: str,
    *,
    name: str = "",
    password_hash: str | None = None,
    account_id: UUID | None = None,
) -> Account:
    """
    Args:
        password_hash: From :func:`controlplane.domain.passwords.hashed`; None: signs in by link only.
        account_id: The id to have if nobody has it; None: a new one.

    Raises:
        EmailInvalid, EmailTaken: If there can be no account with this address.
    """
    if not EMAIL.fullmatch(email.strip()):
        raise EmailInvalid
    added = await tx.take(
        Account,
        tx.insert(t.accounts)
        .values(
            id=await _free(tx, account_id) or new_id(tx.now),
            email=email.strip(),
            email_norm=normalized(email),
            name=name or email.strip().partition("@")[0],
            password_hash=password_hash,
            status="active",
            created_at=tx.now,
        )
        .on_conflict_do_nothing(index_elements=["email_norm"]),
    )
    if not added:
        raise EmailTaken
    audit.record(tx, actor, "account.created", _account(added[0].id))
    return added[0]


async def by_email(tx: PlatformTx, email: str) -> Account | None:
    return await tx.first(Account, tx.select(t.accounts).where(t.accounts.c.email_norm == normalized(email)))


async def get(tx: PlatformTx, account_id: AccountId) -> Account:
    """
    Raises:
        NotFound: If there is no such account.
    """
    account = await tx.first(Account, tx.select(t.accounts).where(t.accounts.c.id == account_id))
    if account is None:
        raise NotFound
    return account


async def account_for(
    tx: PlatformTx, actor: Actor, email: str, *, name: str = "", account_id: UUID | None = None
) -> Account:
    """The account with this address, made if there is none yet, with *account_id* if nobody has that."""
    return await by_email(tx, email) or await create_account(tx, actor, email, name=name, account_id=account_id)


async def _free(tx: PlatformTx, account_id: UUID | None) -> UUID | None:
    """*account_id*, unless somebody has it."""
    if account_id is None or await tx.first(Account, tx.select(t.accounts).where(t.accounts.c.id == account_id)):
        return None
    return account_id


async def credentials(tx: PlatformTx, email: str) -> Credentials | None:
    return await tx.first(Credentials, tx.select(t.accounts).where(t.accounts.c.email_norm == normalized(email)))


async def credentials_of(tx: PlatformTx, account_id: AccountId) -> Credentials:
    """
    Raises:
        NotFound: If there is no such account.
    """
    found = await tx.first(Credentials, tx.select(t.accounts).where(t.accounts.c.id == account_id))
    if found is None:
        raise NotFound
    return found


async def set_password(
    tx: PlatformTx, actor: Actor, account_id: AccountId, password_hash: str, *, keep: UUID | None = None
) -> None:
    """Replace the password and end every way in that there was, browser sessions and links; and write to its owner.

    Args:
        keep: A session that stays: the one in which somebody changes their own.
    """
    earlier = await tx.first(Credentials, tx.select(t.accounts).where(t.accounts.c.id == account_id).with_for_update())
    if earlier is None:
        raise NotFound
    await tx.run(tx.update(t.accounts).where(t.accounts.c.id == account_id).values(password_hash=password_hash))
    sessions = tx.delete(t.browser_sessions).where(t.browser_sessions.c.account_id == account_id)
    await tx.run(sessions if keep is None else sessions.where(t.browser_sessions.c.id != keep))
    for begun in (t.sign_in_links, t.ceremonies):
        await tx.run(tx.delete(begun).where(begun.c.account_id == account_id))
    audit.record(tx, actor, "account.password-changed", _account(account_id))
    if earlier.password_hash is not None:
        await notify(tx, account_id, "The password of your account was changed, and its other sessions were ended.")


async def notify(tx: PlatformTx, account_id: AccountId, what: str) -> None:
    """Write to the account's owner that *what* has happened: a sentence."""
    account = await get(tx, account_id)
    await mails.write(tx, "notice", letters.notice(account.email, what))


async def make_operator(tx: PlatformTx, actor: Actor, account_id: AccountId, role: str | None = None) -> Operator:
    """Let the account operate the service; one that does already gets *role*, or without any stays what it is."""
    wanted = role or "admin"
    if wanted not in OPERATOR_ROLES:
        raise UnknownRole(wanted)
    [operator] = await tx.take(
        Operator,
        tx.insert(t.operators)
        .values(account_id=account_id, role=wanted, created_at=tx.now)
        .on_conflict_do_update(index_elements=["account_id"], set_={"role": role or t.operators.c.role}),
    )
    audit.record(tx, actor, "operator.created", _account(account_id), role=operator.role)
    return operator


async def operators(tx: PlatformTx, *, after: UUID | None, limit: int) -> list[Operator]:
    """Newest account first, from just before *after* on."""
    wanted = tx.select(t.operators)
    if after is not None:
        wanted = wanted.where(t.operators.c.account_id < after)
    return await tx.all(Operator, wanted.order_by(t.operators.c.account_id.desc()).limit(limit))


async def accounts(tx: PlatformTx, ids: list[AccountId]) -> dict[AccountId, Account]:
    found = await tx.all(Account, tx.select(t.accounts).where(t.accounts.c.id.in_(ids)))
    return {account.id: account for account in found}


async def add_user(tx: TenantTx, actor: Actor, account: Account, role: str, limit: Limit = EVERYWHERE) -> User:
    """Let a person into the tenant of *tx*; somebody whom its directory has announced gets their account by it.

    Whoever calls this knows that the address is theirs: it is what ties an account to what the directory says.

    Args:
        role: Name or id of a first role. Whether *actor* may hand it on is the caller's question.
        limit: Where it counts.

    Raises:
        UnknownRole: If there is no such role.
        AlreadyMember: If they are in it, or another account with this address is.
        QuotaExceeded: If the tenant has as many people as it may have.
    """
    first = await roles.named(tx, role)
    known = await _is_known(tx, account)  # and counted: whoever was announced needs no place, and finds theirs
    user = await (claim(tx, actor, account) if known else _admit(tx, actor, account))
    await assignments.assign(tx, actor, Holder("user", user.id), first, limit)
    return user


async def _is_known(tx: TenantTx, account: Account) -> bool:
    """Whether the tenant has somebody who is this person, or is called like them."""
    its, address = t.users.c, normalized(account.email)
    like_them = or_(its.account_id == account.id, its.email_norm == address, its.login_norm == address)
    return await tx.first(User, tx.select(t.users).where(like_them)) is not None


async def _admit(tx: TenantTx, actor: Actor, account: Account) -> User:
    """Make somebody's row; or claim that which has come to be there at this moment."""
    await quotas.take(tx, "users")
    added = await tx.take(
        User,
        tx.insert(t.users)
        .values(
            id=new_id(tx.now),
            account_id=account.id,
            email_norm=normalized(account.email),
            name=account.name,
            status="active",
            created_at=tx.now,
        )
        .on_conflict_do_nothing(),
    )
    if not added:
        await quotas.release(tx, "users")
        return await claim(tx, actor, account)
    await _knocks(tx, account)
    audit.record(tx, actor, "user.added", ("user", text_id("usr", added[0].id)))
    return added[0]


async def claim(tx: TenantTx, actor: Actor, account: Account) -> User:
    """Whom the directory has announced for the address of *account* is them from now on: once, and while active.

    Whoever calls this knows that the address is theirs. Never by name, never from what the directory itself says of an
    account, and never where somebody is tied to it: whoever keeps a tenant's directory gets hold of nobody's account.

    Raises:
        AlreadyMember: If nobody is announced for it, or they are in the tenant.
    """
    its = t.users.c
    waiting = tx.update(t.users).where(
        its.email_norm == normalized(account.email), its.account_id.is_(None), its.status == "active"
    )
    theirs = tx.select(t.users).where(its.account_id == account.id)
    if await tx.first(User, theirs) is not None:
        raise AlreadyMember
    claimed = await tx.take(User, waiting.values(account_id=account.id))
    if not claimed:
        raise AlreadyMember
    await _knocks(tx, account)
    audit.record(tx, actor, "user.came-in", ("user", text_id("usr", claimed[0].id)))
    return claimed[0]


async def _knocks(tx: TenantTx, account: Account) -> None:
    """Note at the account that this tenant may be asked."""
    knock = tx.insert(t.account_tenants).values(account_id=account.id)
    await tx.run(knock.on_conflict_do_nothing(index_elements=["account_id", "tenant_id"]))


async def enter(db: Database, tenant_id: TenantId, account_id: AccountId) -> Entrance | None:
    """A tenant, and what this person is in it; in one statement, without a transaction. None: there is no such tenant."""
    found = await db.glance(tenant_id, _Entering, ENTER, account_id)
    if not found:
        return None
    [row] = found
    return Entrance(
        tenant=msgspec.json.decode(row.tenant, type=Tenant),
        user_id=row.user_id,
        grants=holdings.grants_from(holdings.decoded(row.grants)),
    )


async def member(tx: TenantTx, account_id: AccountId) -> User | None:
    """The tenant's row about this person, if they may enter."""
    mine = tx.select(t.users).where(t.users.c.account_id == account_id, t.users.c.status == "active")
    return await tx.first(User, mine)


async def user(tx: TenantTx, user_id: UUID) -> User:
    """
    Raises:
        NotFound: If this tenant has no such person.
    """
    found = await tx.first(User, tx.select(t.users).where(t.users.c.id == user_id))
    if found is None:
        raise NotFound
    return found


async def user_with(tx: TenantTx, email: str) -> tuple[UserId, AccountId]:
    """Who with this address has come into the tenant.

    Raises:
        NotFound: If nobody has.
    """
    found = await tx.first(User, tx.select(t.users).where(t.users.c.email_norm == normalized(email)))
    if found is None or found.account_id is None:
        raise NotFound
    return found.id, found.account_id


async def tenants_of(tx: PlatformTx, account_id: AccountId) -> list[TenantId]:
    """Where a person may knock."""
    mine = tx.select(t.account_tenants).where(t.account_tenants.c.account_id == account_id)
    ordered = mine.order_by(t.account_tenants.c.tenant_id).limit(MOST_TENANTS)
    return [row.tenant_id for row in await tx.all(_Knock, ordered)]


ENTER: Final = inside(
    "tenant, user_id, grants",
    holdings.with_grants("""
    SELECT CAST(to_json(t) AS text) AS tenant, h.user_id, CAST(g.grants AS text) AS grants
    FROM tenants t
    LEFT JOIN (
        SELECT tenant_id, id AS user_id, CAST(NULL AS uuid) AS service_account_id FROM users
        WHERE tenant_id = entered.tenant_id AND account_id = $2 AND status = 'active'
    ) h ON h.tenant_id = t.tenant_id
    CROSS JOIN LATERAL ({grants}) g
    WHERE t.tenant_id = entered.tenant_id
    """),
)


class _Entering(Struct, frozen=True):
    tenant: str
    user_id: UserId | None
    grants: str


class _Knock(Struct, frozen=True):
    tenant_id: TenantId


def _account(account_id: AccountId) -> audit.Target:
    return "account", text_id("acc", account_id)
