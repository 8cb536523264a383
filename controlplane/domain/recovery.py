"""A new password for somebody who lost theirs, without telling anybody who has an account here."""

from datetime import timedelta
from typing import Final
from uuid import UUID

from msgspec import Struct

from controlplane.db import schema as t
from controlplane.db.database import PlatformTx
from controlplane.domain import audit, keys, letters, mails, passkeys, people, sign_ins, totp
from controlplane.domain.audit import Actor
from controlplane.domain.keys import Context
from controlplane.domain.letters import Letterhead
from controlplane.kit.ids import AccountId, new_id, text_id

LIFETIME: Final = timedelta(hours=1)

AT_ONCE: Final = 100

CHORE: Final = Actor(kind="chore", id="send-mails")


SEALED: Final = keys.SealedColumn(t.password_requests, "sealed_email", "mail", lambda row: _place(row["id"]))


async def ask(tx: PlatformTx, actor: Actor, email: str) -> None:
    """Note that somebody asked for a new password. Does the same work whether or not there is such an account."""
    request_id = new_id(tx.now)
    place = _place(request_id)
    sealed = await keys.seal(tx, "mail", people.normalized(email).encode(), place)
    await tx.run(tx.insert(t.password_requests).values(id=request_id, sealed_email=sealed, created_at=tx.now))
    audit.record(tx, actor, "password-reset.asked", ("password-request", place.row))


async def answer(tx: PlatformTx, letterhead: Letterhead) -> int:
    """Write a letter with a link to each who asked and has an account, and return how many."""
    waiting = tx.select(t.password_requests).order_by(t.password_requests.c.id).limit(AT_ONCE)
    ids = [row.id for row in await tx.all(_Request, waiting.with_for_update(skip_locked=True))]
    if not ids:
        return 0
    written = 0
    for request in await tx.take(_Request, tx.delete(t.password_requests).where(t.password_requests.c.id.in_(ids))):
        email = (await keys.unseal(tx, "mail", request.sealed_email, _place(request.id))).decode()
        account = await people.by_email(tx, email)
        if account is not None and account.status == "active":
            token = await sign_ins.make_link(
                tx, CHORE, letterhead.pepper, account.id, purpose="reset", lifetime=LIFETIME
            )
            link = letterhead.link("welcome", token)
            await mails.write(tx, "password-reset", letters.password_reset(account.email, link, LIFETIME))
            written += 1
    return written


async def forget_factors(tx: PlatformTx, actor: Actor, account_id: AccountId) -> None:
    """For somebody who has lost them: no authenticator app, no recovery codes, no passkeys, and no session."""
    await totp.remove(tx, actor, account_id)
    await passkeys.forget(tx, actor, account_id)
    await sign_ins.end_all(tx, actor, account_id)


class _Request(Struct, frozen=True):
    id: UUID
    sealed_email: bytes


def _place(request_id: UUID) -> Context:
    return Context(t.password_requests.name, text_id("pwr", request_id))
