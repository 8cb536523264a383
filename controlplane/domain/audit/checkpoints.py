"""Signed checkpoints: what makes a log's past binding, also on whoever holds the database.

A checkpoint is signed over events that were verified in the same breath, and the Merkle tree grows on from it.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

import msgspec
from msgspec import Struct
from sqlalchemy import Table, func

from controlplane.db import schema as t
from controlplane.db.database import ScopedTx, TenantTx
from controlplane.domain import keys
from controlplane.domain.audit.events import PRUNED, Event, Head, chain_name
from controlplane.domain.audit.verifying import (
    Damage,
    Start,
    Verdict,
    Verifier,
    beginning,
    behind_pruned,
    verify_events,
)
from controlplane.domain.keys import Keyring
from controlplane.kit import notes
from controlplane.kit.merkle import Tree
from controlplane.kit.notes import Checkpoint, PublicKey
from controlplane.kit.problems import Refusal

ORIGIN: Final = "engine-cloud/audit/"
OFTEN: Final = timedelta(minutes=5)
MANY: Final = 1_000
ALL_OF_THEM: Final = timedelta(days=7)
"""How long every checkpoint is kept; of what is older, the last of each day."""

A_PAGE: Final = 2_000
MOST: Final = 50_000
"""Events that one checkpoint adds: a transaction is to end some day."""


class Stored(Struct, frozen=True, kw_only=True):
    """A checkpoint as it is kept."""

    size: int
    hash: bytes
    """Of the last event it covers."""
    edge: list[bytes]
    note: str
    made_at: datetime

    def start(self) -> Start:
        return Start(Head(self.size, self.hash), Tree(self.size, self.edge))


class LogDamaged(Refusal):
    """The log is not what was written; no checkpoint is signed over it."""

    code, status, title = "audit-log-damaged", 409, "The audit log is damaged"
    hint = "Ask whoever runs the service to run: controlplane audit verify."

    def __init__(self, damages: list[Damage]) -> None:
        super().__init__(damages[0].detail)
        self.damages = damages

    def facts(self) -> dict[str, object]:
        return {"damages": msgspec.to_builtins(self.damages)}


def origin(chain: UUID | None) -> str:
    """What a log's checkpoints begin with: ``engine-cloud/audit/`` and the tenant's UUID, or ``platform``."""
    return ORIGIN + chain_name(chain)


def public_keys(keyring: Keyring, chain: UUID | None) -> list[PublicKey]:
    """Whose signatures count for this log; the first one signs now, the others have signed before."""
    signing = keys.checkpoint_keys(keyring)
    names = sorted(signing, key=lambda name: name != keyring.current)
    return [PublicKey(origin(chain), signing[name].public_key().public_bytes_raw()) for name in names]


def by_hash(known: list[PublicKey]) -> Mapping[bytes, PublicKey]:
    return {notes.key_hash(key): key for key in known}


async def newest(tx: ScopedTx) -> Stored | None:
    rows = await listing(tx, limit=1)
    return rows[0] if rows else None


async def listing(tx: ScopedTx, *, behind: int = 0, limit: int) -> list[Stored]:
    """The newest checkpoints of more than *behind* events, newest first."""
    table = _checkpoints(tx)
    wanted = tx.select(table).where(table.c.size > behind)
    return await tx.all(Stored, wanted.order_by(table.c.size.desc()).limit(limit))


async def is_due(tx: ScopedTx) -> bool:
    """Whether a thousand events are not covered by a checkpoint, or one for five minutes."""
    last, written = await newest(tx), await head(tx)
    uncovered = (written.seq if written else 0) - (last.size if last else 0)
    return uncovered >= MANY or (uncovered > 0 and (last is None or last.made_at <= tx.now - OFTEN))


async def make(tx: ScopedTx, keyring: Keyring) -> Verdict | None:
    """Verify what was appended since the newest checkpoint and sign it; None if nothing was.

    Nothing is signed over events that are damaged. What was found is kept either way.
    """
    last = await newest(tx)
    start = last.start() if last else await start_of(tx)
    verifier = Verifier(start)
    while verifier.events < MOST and (events := await behind(tx, verifier.head.seq)):
        verify_events(verifier, _chain(tx), events)
    verdict = verifier.finish()
    if not verdict.events:
        return None
    if verdict.unbroken:
        await _sign(tx, keyring, verifier)
    await keep_verdict(tx, verdict, whole=start.head.seq == 0)
    return verdict


async def up_to_now(tx: ScopedTx, keyring: Keyring) -> Stored:
    """A checkpoint over everything there is, made now if the newest one covers less.

    Raises:
        LogDamaged: If what it does not cover yet is damaged; nothing is signed then.
    """
    verdict = await make(tx, keyring)
    if verdict is not None and not verdict.unbroken:
        raise LogDamaged(verdict.damages)
    stored = await newest(tx)
    assert stored is not None, "a log begins with the event of its own making"
    return stored


async def start_of(tx: ScopedTx) -> Start:
    """Where the log begins: with its first event, or behind what was pruned."""
    table = _events(tx)
    told = tx.select(table).where(table.c.action == PRUNED).order_by(table.c.seq.desc())
    event = await tx.first(Event, told)
    try:
        return behind_pruned(event.facts) if event else beginning()
    except ValueError:  # somebody changed it, and will be found out
        return beginning()


async def verify(tx: ScopedTx, verifier: Verifier, through: int) -> bool:
    """Give *verifier* the next page of the log up to event *through*; whether there was anything left."""
    events = [event for event in await behind(tx, verifier.head.seq) if event.seq <= through]
    verify_events(verifier, _chain(tx), events)
    return bool(events)


async def signed(tx: ScopedTx, keyring: Keyring, limit: int = 200) -> tuple[list[Checkpoint], list[Damage]]:
    """The newest checkpoints, and what is wrong with those whose signature does not hold."""
    known = by_hash(public_keys(keyring, _chain(tx)))
    good, bad = [], []
    for stored in await listing(tx, limit=limit):
        try:
            found = notes.checkpoint(stored.note, known)
            if found.size != stored.size:
                raise notes.NoteRefused("signed for another size")
            good.append(found)
        except notes.NoteRefused as refused:
            bad.append(Damage(seq=stored.size, kind="signature", detail=f"checkpoint of {stored.size}: {refused}"))
    return good, bad


async def head(tx: ScopedTx) -> Head | None:
    """What the lock row says the last event is."""
    return await tx.first(Head, tx.select(_heads(tx)))


async def keep_verdict(tx: ScopedTx, verdict: Verdict, *, whole: bool) -> None:
    """Keep what was found. Damage once found stays known until the whole log is found without any."""
    if not isinstance(tx, TenantTx):
        return
    table = t.audit_verdicts
    damages = msgspec.to_builtins(verdict.damages)
    row = {"through": verdict.last_seq, "verified_at": tx.now, "damages": damages}
    insert = tx.insert(table).values(**row, whole_at=tx.now if whole else None)
    known = (
        {**row, "whole_at": tx.now}
        if whole
        else row
        if damages
        else {key: row[key] for key in ("through", "verified_at")}
    )
    await tx.run(insert.on_conflict_do_update(index_elements=["tenant_id"], set_=known))


async def _sign(tx: ScopedTx, keyring: Keyring, verifier: Verifier) -> None:
    name = origin(_chain(tx))
    text = Checkpoint(name, verifier.tree.size, verifier.tree.root()).text()
    note = notes.sign(text, name, keys.checkpoint_keys(keyring)[keyring.current])
    row = {"size": verifier.head.seq, "hash": verifier.head.hash, "edge": verifier.tree.edge, "note": note}
    table = _checkpoints(tx)
    await tx.run(tx.insert(table).values(**row, made_at=tx.now).on_conflict_do_nothing())
    day = func.date_trunc("day", table.c.made_at, "UTC")
    last_of_days = tx.select(table).with_only_columns(func.max(table.c.size)).group_by(day)
    await tx.run(tx.delete(table).where(table.c.made_at < tx.now - ALL_OF_THEM, table.c.size.not_in(last_of_days)))


async def behind(tx: ScopedTx, seq: int) -> list[Event]:
    """The next page of events behind number *seq*, oldest first."""
    table = _events(tx)
    return await tx.all(Event, tx.select(table).where(table.c.seq > seq).order_by(table.c.seq).limit(A_PAGE))


def _chain(tx: ScopedTx) -> UUID | None:
    return tx.tenant_id if isinstance(tx, TenantTx) else None


def _events(tx: ScopedTx) -> Table:
    return t.audit_events if isinstance(tx, TenantTx) else t.platform_audit_events


def _heads(tx: ScopedTx) -> Table:
    return t.audit_heads if isinstance(tx, TenantTx) else t.platform_audit_heads


def _checkpoints(tx: ScopedTx) -> Table:
    return t.audit_checkpoints if isinstance(tx, TenantTx) else t.platform_audit_checkpoints
