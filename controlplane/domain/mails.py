"""Letters that wait to be sent: written in the transaction of what they are about, sealed until they are gone."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

import msgspec
from msgspec import Struct
from sqlalchemy import Table, text

from controlplane.db import schema as t
from controlplane.db.database import OperatorTx, ScopedTx, TenantTx
from controlplane.domain import keys
from controlplane.domain.keys import Context, Shredded
from controlplane.domain.letters import Letter
from controlplane.kit.ids import TenantId, new_id, text_id

AT_ONCE: Final = 20
"""Claimed in one transaction."""

CLAIMED_FOR: Final = timedelta(minutes=5)
"""How long whoever claimed a letter may take; then another replica sends it, perhaps a second time."""

MOST_ATTEMPTS: Final = 14
"""About seven hours."""

FIRST_WAIT_S, LONGEST_WAIT_S = 30.0, 3600.0

KEPT_FOR: Final = timedelta(days=30)
"""How long it is known that a letter was sent, and of which kind; what it said is gone at once."""


class Claimed(Struct, frozen=True, kw_only=True):
    """A letter that this process is to send now."""

    id: UUID
    kind: str
    attempts: int
    """This one included."""
    created_at: datetime
    letter: Letter | None
    """None: what it said cannot be read any more."""


SEALED: Final = (
    keys.SealedColumn(t.mails, "sealed", "mail", lambda row: _place(t.mails, row["id"])),
    keys.SealedColumn(t.platform_mails, "sealed", "mail", lambda row: _place(t.platform_mails, row["id"])),
)


async def write(tx: ScopedTx, kind: str, letter: Letter) -> None:
    """Have *letter* sent after *tx* has committed.

    Args:
        kind: What it is about, as a word: ``invitation``.
    """
    mail_id, table = new_id(tx.now), _table(tx)
    sealed = await keys.seal(tx, "mail", msgspec.json.encode(letter), _place(table, mail_id))
    await tx.run(
        tx.insert(table).values(
            id=mail_id, kind=kind, sealed=sealed, created_at=tx.now, due_at=tx.now, attempts=0, error=""
        )
    )


async def tenants_with_due(tx: OperatorTx) -> Sequence[TenantId]:
    """The tenants that have something to send."""
    return [row.tenant_id for row in await tx.query(_Owner, DUE, now=tx.now)]


async def claim(tx: ScopedTx) -> list[Claimed]:
    """Take the next letters that are due, so that nobody else sends them meanwhile."""
    table = _table(tx)
    taken = await tx.query(_Taken, CLAIM[table.name], now=tx.now, until=tx.now + CLAIMED_FOR, most=AT_ONCE)
    return [
        Claimed(
            id=row.id,
            kind=row.kind,
            attempts=row.attempts,
            created_at=row.created_at,
            letter=await _opened(tx, table, row),
        )
        for row in taken
    ]


async def sent(tx: ScopedTx, mail_id: UUID) -> None:
    """It is gone, and so is what it said."""
    await _settle(tx, mail_id, sent_at=tx.now, sealed=None, error="")


async def not_sent(tx: ScopedTx, mail: Claimed, error: str, *, roll: float, for_ever: bool = False) -> None:
    """Try again later, or give up.

    Args:
        error: Why, without any address.
        roll: A random number in [0, 1).
        for_ever: Whether trying again cannot help.
    """
    if for_ever or mail.attempts >= MOST_ATTEMPTS:
        await _settle(tx, mail.id, failed_at=tx.now, sealed=None, error=error)
    else:
        await _settle(tx, mail.id, due_at=tx.now + timedelta(seconds=wait_s(mail.attempts, roll)), error=error)


def wait_s(attempts: int, roll: float) -> float:
    """Seconds until the next attempt.

    Args:
        attempts: Those that failed, from 1 on.
        roll: A random number in [0, 1).

    Returns:
        Half to all of ``min(30 * 2**(attempts - 1), 3600)``: after an outage they do not all come at once.
    """
    ceiling_s = min(FIRST_WAIT_S * 2.0 ** (attempts - 1), LONGEST_WAIT_S)
    return ceiling_s * (0.5 + roll / 2)


async def forget_old(tx: ScopedTx) -> int:
    """Delete what was settled a month ago."""
    table = _table(tx)
    old = tx.delete(table).where(table.c.sealed.is_(None), table.c.created_at <= tx.now - KEPT_FOR)
    return await tx.run(old)


def public_id(mail: Claimed) -> str:
    return text_id("mail", mail.id)


DUE = text("""
    SELECT DISTINCT tenant_id FROM mails
    WHERE sent_at IS NULL AND failed_at IS NULL AND due_at <= :now LIMIT 1000
""")

CLAIM: Final = {
    name: text(f"""
    UPDATE {name} SET due_at = :until, attempts = attempts + 1
    WHERE id IN (
        SELECT id FROM {name} WHERE sent_at IS NULL AND failed_at IS NULL AND due_at <= :now
        ORDER BY due_at LIMIT :most FOR UPDATE SKIP LOCKED
    )
    RETURNING id, kind, attempts, created_at, sealed
""")  # noqa: S608 two names of ours
    for name in (t.mails.name, t.platform_mails.name)
}


class _Owner(Struct, frozen=True):
    tenant_id: TenantId


class _Taken(Struct, frozen=True):
    id: UUID
    kind: str
    attempts: int
    created_at: datetime
    sealed: bytes


async def _opened(tx: ScopedTx, table: Table, row: _Taken) -> Letter | None:
    try:
        opened = await keys.unseal(tx, "mail", row.sealed, _place(table, row.id))
    except Shredded:
        return None
    return msgspec.json.decode(opened, type=Letter)


async def _settle(tx: ScopedTx, mail_id: UUID, **values: object) -> None:
    table = _table(tx)
    await tx.run(tx.update(table).where(table.c.id == mail_id).values(**values))


def _table(tx: ScopedTx) -> Table:
    return t.mails if isinstance(tx, TenantTx) else t.platform_mails


def _place(table: Table, mail_id: UUID) -> Context:
    return Context(table.name, text_id("mail", mail_id))
