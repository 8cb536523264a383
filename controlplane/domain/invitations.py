"""Invitations: a link by letter that lets the owner of an address into a tenant, once.

The link is in the letter and nowhere else, so that whoever uses it reads that address's letters. Nobody learns here
whether an address has an account already.
"""

from datetime import datetime, timedelta
from typing import Final, Literal, TypeAlias
from uuid import UUID

from msgspec import Struct
from sqlalchemy import ColumnElement, and_, or_

from controlplane.db import schema as t
from controlplane.db.database import TenantTx
from controlplane.domain import audit, letters, mails, people, tenants
from controlplane.domain.audit import Actor
from controlplane.domain.letters import Letterhead
from controlplane.domain.people import Account, AlreadyMember, EmailInvalid, User
from controlplane.domain.tenants import TenantSuspended
from controlplane.kit import tokens
from controlplane.kit.ids import InvitationId, new_id, text_id
from controlplane.kit.problems import NotFound, Refusal

ROUTE: Final = "invitation"
"""Kind of the route from a token's hash to its tenant."""

LIFETIME: Final = timedelta(days=7)

Status: TypeAlias = Literal["pending", "expired", "accepted", "revoked"]


class Invitation(Struct, frozen=True, kw_only=True):
    id: InvitationId
    email: str
    email_norm: str
    role: str
    invited_by: str
    """As the audit log names them: ``acc_…``, ``key_…``."""
    created_at: datetime
    sent_at: datetime
    expires_at: datetime
    accepted_at: datetime | None
    revoked_at: datetime | None

    def status(self, now: datetime) -> Status:
        if self.accepted_at is not None:
            return "accepted"
        if self.revoked_at is not None:
            return "revoked"
        return "expired" if self.expires_at <= now else "pending"


class AlreadyInvited(Refusal):
    code, status, title = "invitation-exists", 409, "This address has an invitation already"
    hint = "Send that one again, or revoke it first."

    def __init__(self, earlier: "Invitation | None") -> None:
        super().__init__()
        self.earlier = earlier

    def facts(self) -> dict[str, object]:
        return {"invitation": text_id("inv", self.earlier.id)} if self.earlier else {}


class InvitationClosed(Refusal):
    code, status, title = "invitation-closed", 409, "This invitation was accepted or revoked"
    hint = "Make a new one."


class InvitationInvalid(Refusal):
    """Unknown, used, revoked and expired links are the same to whoever holds one."""

    code, status, title = "invitation-invalid", 410, "This invitation does not work any more"
    hint = "Ask whoever invited you to send it again."


class NotInvited(Refusal):
    code, status, title = "invitation-for-another", 403, "This invitation is for another address"
    hint = "Sign in with the account of the address that the letter was sent to."


async def create(tx: TenantTx, actor: Actor, letterhead: Letterhead, email: str, role: str) -> Invitation:
    """Invite the owner of *email*, by letter. Whether *actor* may hand on *role* is the caller's question.

    Raises:
        EmailInvalid, AlreadyMember, AlreadyInvited: If there is nobody to be invited.
    """
    if not people.EMAIL.fullmatch(email.strip()):
        raise EmailInvalid
    its = t.users.c
    inside = or_(
        its.account_id.is_not(None), its.status != "active"
    )  # whom a directory has announced, a letter brings in
    known = tx.select(t.users).where(its.email_norm == people.normalized(email), inside)
    if await tx.first(_Known, known) is not None:
        raise AlreadyMember
    token, token_hash = _token(letterhead)
    made = await tx.take(
        Invitation,
        tx.insert(t.invitations)
        .values(
            id=new_id(tx.now),
            email=email.strip(),
            email_norm=people.normalized(email),
            role=role,
            token_hash=token_hash,
            invited_by=actor.id,
            created_at=tx.now,
            sent_at=tx.now,
            expires_at=tx.now + LIFETIME,
        )
        .on_conflict_do_nothing(),
    )
    if not made:
        raise AlreadyInvited(await _open_for(tx, email))
    await _send(tx, letterhead, made[0], token, token_hash)
    audit.record(tx, actor, "invitation.created", _target(made[0].id), role=role)
    return made[0]


async def resend(tx: TenantTx, actor: Actor, letterhead: Letterhead, invitation_id: UUID) -> Invitation:
    """Write the letter again, with a new link and a new week; the earlier link works no longer.

    Raises:
        NotFound: If this tenant has no such invitation.
        InvitationClosed: If it was accepted or revoked.
    """
    earlier = await _locked(tx, invitation_id)
    if earlier.accepted_at is not None or earlier.revoked_at is not None:
        raise InvitationClosed
    await _unroute(tx, earlier.token_hash)
    token, token_hash = _token(letterhead)
    [renewed] = await tx.take(
        Invitation,
        tx.update(t.invitations)
        .where(t.invitations.c.id == invitation_id)
        .values(token_hash=token_hash, sent_at=tx.now, expires_at=tx.now + LIFETIME),
    )
    await _send(tx, letterhead, renewed, token, token_hash)
    audit.record(tx, actor, "invitation.resent", _target(renewed.id))
    return renewed


async def revoke(tx: TenantTx, actor: Actor, invitation_id: UUID) -> None:
    """Make the link worthless. Doing it again, or to one that was accepted, changes nothing.

    Raises:
        NotFound: If this tenant has no such invitation.
    """
    earlier = await _locked(tx, invitation_id)
    if earlier.accepted_at is None and earlier.revoked_at is None:
        await tx.run(tx.update(t.invitations).where(t.invitations.c.id == invitation_id).values(revoked_at=tx.now))
        await _unroute(tx, earlier.token_hash)
        audit.record(tx, actor, "invitation.revoked", _target(InvitationId(invitation_id)))


async def listing(
    tx: TenantTx, *, after: UUID | None = None, limit: int, status: Status | None = None
) -> list[Invitation]:
    """Newest first, from just before *after* on."""
    wanted = tx.select(t.invitations)
    if after is not None:
        wanted = wanted.where(t.invitations.c.id < after)
    if status is not None:
        wanted = wanted.where(_is(status, tx.now))
    return await tx.all(Invitation, wanted.order_by(t.invitations.c.id.desc()).limit(limit))


async def get(tx: TenantTx, invitation_id: UUID) -> Invitation:
    """
    Raises:
        NotFound: If this tenant has no such invitation.
    """
    found = await tx.first(Invitation, tx.select(t.invitations).where(t.invitations.c.id == invitation_id))
    if found is None:
        raise NotFound
    return found


async def by_token(tx: TenantTx, token_hash: bytes) -> Invitation:
    """The open invitation with this token.

    Raises:
        InvitationInvalid: If it does not work any more.
        TenantSuspended: If nobody is let in at the moment.
    """
    held = tx.select(t.invitations).where(t.invitations.c.token_hash == token_hash, _is("pending", tx.now))
    found = await tx.first(Invitation, held)
    if found is None:
        raise InvitationInvalid
    if (await tenants.get(tx)).status != "active":
        raise TenantSuspended
    return found


async def accept(tx: TenantTx, actor: Actor, token_hash: bytes, account: Account) -> User:
    """Use the invitation up and let *account* in.

    Raises:
        InvitationInvalid, TenantSuspended: As :func:`by_token`; so for the second of two who hurry.
        NotInvited: If it is for another address.
        AlreadyMember: If they are in the tenant.
    """
    invitation = await by_token(tx, token_hash)
    if invitation.email_norm != people.normalized(account.email):
        raise NotInvited
    mine = tx.update(t.invitations).where(t.invitations.c.id == invitation.id, _is("pending", tx.now))
    if not await tx.run(mine.values(accepted_at=tx.now)):
        raise InvitationInvalid
    await _unroute(tx, token_hash)
    user = await people.add_user(tx, actor, account, invitation.role)
    audit.record(tx, actor, "invitation.accepted", _target(invitation.id))
    return user


class _Known(Struct, frozen=True):
    id: UUID


class _Held(Struct, frozen=True):
    token_hash: bytes
    accepted_at: datetime | None
    revoked_at: datetime | None


def _is(status: Status, now: datetime) -> ColumnElement[bool]:
    its = t.invitations.c
    if status == "accepted":
        return its.accepted_at.is_not(None)
    if status == "revoked":
        return its.revoked_at.is_not(None)
    age = its.expires_at <= now if status == "expired" else its.expires_at > now
    return and_(its.accepted_at.is_(None), its.revoked_at.is_(None), age)


async def _locked(tx: TenantTx, invitation_id: UUID) -> _Held:
    mine = tx.select(t.invitations).where(t.invitations.c.id == invitation_id)
    held = await tx.first(_Held, mine.with_for_update())
    if held is None:
        raise NotFound
    return held


async def _open_for(tx: TenantTx, email: str) -> Invitation | None:
    its = t.invitations.c
    theirs = tx.select(t.invitations).where(its.email_norm == people.normalized(email))
    return await tx.first(Invitation, theirs.where(its.accepted_at.is_(None), its.revoked_at.is_(None)))


async def _send(tx: TenantTx, letterhead: Letterhead, invitation: Invitation, token: str, token_hash: bytes) -> None:
    await tx.run(tx.insert(t.routes).values(kind=ROUTE, key=token_hash))
    tenant, link = await tenants.get(tx), letterhead.link("invitation", token)
    letter = letters.invitation(invitation.email, tenant.name, invitation.role, link, LIFETIME)
    await mails.write(tx, "invitation", letter)


async def _unroute(tx: TenantTx, token_hash: bytes) -> None:
    await tx.run(tx.delete(t.routes).where(t.routes.c.kind == ROUTE, t.routes.c.key == token_hash))


def _token(letterhead: Letterhead) -> tuple[str, bytes]:
    token = tokens.link_secret()
    return token, tokens.fingerprint(letterhead.pepper, token)


def _target(invitation_id: InvitationId) -> audit.Target:
    return "invitation", text_id("inv", invitation_id)
