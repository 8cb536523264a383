"""Using an invitation's link, for the API and for the console alike."""

from litestar.datastructures import Cookie
from msgspec import Struct

from controlplane.db.database import Database
from controlplane.domain import invitations, passkeys, passwords, people, tenants, totp
from controlplane.domain.invitations import Invitation, InvitationInvalid, NotInvited
from controlplane.domain.keys import Keyring
from controlplane.domain.people import Account
from controlplane.domain.permissions import Person
from controlplane.domain.sign_ins import PASSWORD
from controlplane.domain.tenants import Tenant
from controlplane.http import authentication, limits, signing_in
from controlplane.http.signing_in import AnyRequest
from controlplane.kit import tokens
from controlplane.kit.limiter import Limiter
from controlplane.kit.problems import Refusal
from controlplane.kit.secret import Secret


class SignInFirst(Refusal):
    """Told to whoever has the link alone, and so reads that address's letters."""

    code, status, title = "invitation-needs-sign-in", 401, "There is an account with this address"
    hint = "Sign in with it, then accept the invitation."


class PasswordNeeded(Refusal):
    code, status, title = "invitation-needs-password", 400, "There is no account with this address yet"
    hint = "Choose a password for it."


class Found(Struct, frozen=True, kw_only=True):
    """An invitation that still works, and what is at its other end."""

    token_hash: bytes
    tenant: Tenant
    invitation: Invitation
    account: Account | None
    claimed: bool
    """Whether somebody can sign in to the account; one that nobody ever could is the invited person's to take."""


class Newcomer(Struct, frozen=True):
    name: str
    password: Secret


async def look(request: AnyRequest, db: Database, keyring: Keyring, limiter: Limiter, token: str) -> Found:
    """
    Raises:
        RateLimited: If this place has tried too often.
        InvitationInvalid: If the link does not work any more.
        TenantSuspended: If nobody is let in at the moment.
    """
    await limits.check(limiter, limits.SIGN_IN_FROM, "sign-in-from", limits.address(request))
    token_hash = tokens.fingerprint(keyring.pepper, token)
    tenant_id = await db.tenant_of(invitations.ROUTE, token_hash)
    if tenant_id is None:
        raise InvitationInvalid
    async with db.tenant(tenant_id) as tx:
        invitation = await invitations.by_token(tx, token_hash)
        tenant = await tenants.get(tx)
    account, claimed = await _account(db, invitation.email)
    return Found(token_hash=token_hash, tenant=tenant, invitation=invitation, account=account, claimed=claimed)


async def join(
    request: AnyRequest, db: Database, keyring: Keyring, found: Found, newcomer: Newcomer | None
) -> Cookie | None:
    """Accept the invitation; returns the cookie of a new session, if one was begun for it.

    Args:
        newcomer: For an address without an account: what is to become of it.

    Raises:
        SignInFirst, PasswordNeeded: If it is not clear who joins.
        NotInvited: If another account is signed in.
        PasswordUnfit: If the password will not do.
        InvitationInvalid: If somebody was quicker.
    """
    person = await authentication.oneself(request)
    if person is not None:
        await _accept(request, db, found, await _own(db, person, found))
        return None
    if found.claimed:
        raise SignInFirst
    if newcomer is None:
        raise PasswordNeeded
    account = await _take(request, db, found, newcomer)
    await _accept(request, db, found, account)
    return await signing_in.begin(request, db, keyring, account.id, PASSWORD)


async def _accept(request: AnyRequest, db: Database, found: Found, account: Account) -> None:
    async with db.tenant(found.tenant.tenant_id) as tx:
        await invitations.accept(tx, signing_in.actor_for(request, account.id), found.token_hash, account)


async def _own(db: Database, person: Person, found: Found) -> Account:
    if people.normalized(person.email) != found.invitation.email_norm:
        raise NotInvited
    async with db.platform() as tx:
        return await people.get(tx, person.account_id)


async def _take(request: AnyRequest, db: Database, found: Found, newcomer: Newcomer) -> Account:
    """The account of an address that nobody could sign in to before."""
    email = found.invitation.email
    passwords.check_fit(newcomer.password, email)
    password_hash = await passwords.hashed(newcomer.password)
    nobody = signing_in.nobody(request)
    async with db.platform() as tx:
        if found.account is None:
            return await people.create_account(tx, nobody, email, name=newcomer.name, password_hash=password_hash)
        await people.set_password(tx, nobody, found.account.id, password_hash)
        return found.account


async def _account(db: Database, email: str) -> tuple[Account | None, bool]:
    async with db.platform() as tx:
        account = await people.by_email(tx, email)
        if account is None:
            return None, False
        held = await people.credentials_of(tx, account.id)
        codes, keys = await totp.factors(tx, account.id), await passkeys.listing(tx, account.id)
    return account, bool(held.password_hash or codes.totp or keys or account.status != "active")
