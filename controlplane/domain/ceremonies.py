"""What stands between the two halves of a proof: a ticket for a few minutes, good for one thing and one person."""

from datetime import timedelta
from typing import Final, Literal, TypeAlias
from uuid import UUID

from msgspec import Struct
from sqlalchemy import text

from controlplane.db import schema as t
from controlplane.db.database import PlatformTx
from controlplane.kit import tokens
from controlplane.kit.ids import AccountId
from controlplane.kit.problems import Refusal

LIFETIME: Final = timedelta(minutes=5)

MOST_TRIES: Final = 5
"""Then everything begins anew, with the password and its own limits."""

Kind: TypeAlias = Literal["second-factor", "passkey-new", "passkey-sign-in", "passkey-confirm"]


class CeremonyOver(Refusal):
    """Unknown, expired, used and tried too often are the same to whoever holds a ticket."""

    code, status, title = "ticket-invalid", 401, "This took too long, or was tried too often"
    hint = "Begin again."


class Ceremony(Struct, frozen=True, kw_only=True):
    kind: str
    account_id: AccountId | None = None
    """None: it is still to be found out who it is."""
    session_id: UUID | None = None
    """The session in which it was begun, and must be ended."""
    challenge: bytes | None = None
    password_hash: str | None = None
    """A new password that counts from the end of the ceremony on."""


ENDED = text("DELETE FROM ceremonies WHERE expires_at <= :now")


async def begin(tx: PlatformTx, pepper: bytes, ceremony: Ceremony) -> str:
    """Remember *ceremony* and return its ticket, which is kept only as a hash."""
    ticket = tokens.link_secret()
    await tx.run(
        tx.insert(t.ceremonies).values(
            token_hash=tokens.fingerprint(pepper, ticket),
            kind=ceremony.kind,
            account_id=ceremony.account_id,
            session_id=ceremony.session_id,
            challenge=ceremony.challenge,
            password_hash=ceremony.password_hash,
            tries=0,
            expires_at=tx.now + LIFETIME,
        )
    )
    return ticket


async def attempt(tx: PlatformTx, pepper: bytes, kind: Kind, ticket: str) -> Ceremony:
    """Count one try. Commit before it is known whether it succeeds.

    Raises:
        CeremonyOver: If there is none to be tried.
    """
    its = t.ceremonies.c
    mine = tx.update(t.ceremonies).where(
        its.token_hash == tokens.fingerprint(pepper, ticket),
        its.kind == kind,
        its.expires_at > tx.now,
        its.tries < MOST_TRIES,
    )
    found = await tx.take(Ceremony, mine.values(tries=its.tries + 1))
    if not found:
        raise CeremonyOver
    return found[0]


async def use_up(tx: PlatformTx, pepper: bytes, kind: Kind, ticket: str) -> Ceremony:
    """End it, in one statement: of two who hurry one comes too late.

    Raises:
        CeremonyOver: If there is none.
    """
    its = t.ceremonies.c
    mine = tx.delete(t.ceremonies).where(
        its.token_hash == tokens.fingerprint(pepper, ticket), its.kind == kind, its.expires_at > tx.now
    )
    found = await tx.take(Ceremony, mine)
    if not found:
        raise CeremonyOver
    return found[0]


async def forget_ended(tx: PlatformTx) -> int:
    """Delete those that took too long, and return how many."""
    return await tx.run(ENDED.bindparams(now=tx.now))
