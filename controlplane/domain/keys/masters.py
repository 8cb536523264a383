"""Which master keys the database was wrapped under, and the proof that the right ones are at hand.

Of each there is a row with a proof: 32 known bytes under that key. A wrong key fails at the start, and not when
somebody first needs what it should open. Which of them wraps is what the database says, so that replicas that were
started with different keyrings cannot go on using one that is about to be retired.
"""

import hmac
from datetime import datetime
from typing import Final, Literal, TypeAlias
from uuid import UUID

from msgspec import Struct
from sqlalchemy import text

from controlplane.db import schema as t
from controlplane.db.database import Database, OperatorTx, PlatformTx, ScopedTx, TenantTx
from controlplane.kit.envelope import NotOpened
from controlplane.kit.ids import TenantId
from controlplane.kit.problems import Refusal
from controlplane.kit.sealing import Place, Sealing

State: TypeAlias = Literal["current", "former", "retired"]

PROVING: Final = Place("platform", str(UUID(int=0)), "proof", "")
"""What a proof is bound to."""

NAMED: Final = text("""
    SELECT master, sum(rows)::bigint AS rows FROM (
        SELECT master, count(*) AS rows FROM data_keys WHERE state <> 'destroyed' GROUP BY master
        UNION ALL
        SELECT master, count(*) FROM platform_data_keys WHERE state <> 'destroyed' GROUP BY master
    ) named GROUP BY master ORDER BY master
""")

ONE_OF_THEM: Final = text("""
    SELECT tenant_id, id, kind, subject FROM data_keys WHERE master = :master AND state <> 'destroyed' LIMIT 1
""")


class MasterKeyMissing(Refusal):
    """The database needs a master key that is not here."""

    code, status, title = "master-key-missing", 503, "A master key that the database needs is not here"
    hint = (
        "Restore the keyring that belongs to this database, or point CONTROLPLANE_KEK at its key service again. "
        "Never make a new keyring: nothing that is sealed would ever open. See docs/howto/lose-a-key.md."
    )


class MasterKeyWrong(Refusal):
    """A key of that name is here, and it is another one."""

    code, status, title = "master-key-wrong", 503, "The keyring does not belong to this database"
    hint = (
        "Compare CONTROLPLANE_KEK and CONTROLPLANE_DATABASE_URL: one of the two is another installation's. "
        "If the keyring was replaced, put back the old one. See docs/howto/lose-a-key.md."
    )


class Master(Struct, frozen=True, kw_only=True):
    """What is known of a master key. Never the key."""

    name: str
    state: State
    created_at: datetime
    retired_at: datetime | None


class Named(Struct, frozen=True):
    master: str
    rows: int
    """Data keys that are wrapped under it."""


class _Proof(Struct, frozen=True):
    name: str
    proof: bytes


class _Name(Struct, frozen=True):
    name: str


class _Key(Struct, frozen=True):
    tenant_id: TenantId
    id: UUID
    kind: str
    subject: str


class _Wrapped(Struct, frozen=True):
    id: UUID
    kind: str
    subject: str
    wrapped: bytes


async def wrapping(tx: ScopedTx, sealing: Sealing) -> str:
    """The name of the master key that wraps now; that of this process where the database knows none yet.

    It is locked against being retired until *tx* has ended.
    """
    platform = tx.on_platform() if isinstance(tx, TenantTx) else tx
    current = platform.select(t.master_keys).where(t.master_keys.c.state == "current")
    known = await platform.first(_Name, current.with_for_update(read=True, key_share=True))
    if known is not None:
        return known.name
    name = await sealing.current()
    await _register(platform, sealing, name, "current")
    known = await platform.first(_Name, current.with_for_update(read=True, key_share=True))
    assert known is not None, "registered just now, by us or by somebody who was quicker"
    return known.name


async def check(db: Database, sealing: Sealing) -> None:
    """Prove every master key that the database needs, and note what is missing there.

    Raises:
        MasterKeyMissing: If one is not at hand.
        MasterKeyWrong: If one of that name is, and it is not the one that was used.
        KeeperDown: If the key service cannot be asked.
    """
    async with db.operator() as look:
        named = {row.master: row.rows for row in await named_in(look)}
    async with db.platform() as tx:
        living = tx.select(t.master_keys).where(t.master_keys.c.state != "retired").order_by(t.master_keys.c.name)
        proofs = {row.name: row.proof for row in await tx.all(_Proof, living)}
    for name in sorted({*named, *proofs}):
        if name in named and not sealing.keeps(name):
            raise MasterKeyMissing(f"{named[name]} data keys are wrapped under {name!r}")
    for name, proof in proofs.items():
        if sealing.keeps(name):
            await _prove(sealing, name, proof)
    for name in sorted(named.keys() - proofs.keys()):
        await _try(db, sealing, name)
    await _note(db, sealing, sorted(named.keys() - proofs.keys()))


async def adopt(tx: PlatformTx, sealing: Sealing, name: str) -> None:
    """Have *name* wrap from now on; the one before still unwraps."""
    its = t.master_keys.c
    await tx.alone("master keys")
    await tx.run(tx.update(t.master_keys).where(its.state == "current", its.name != name).values(state="former"))
    await _register(tx, sealing, name, "current")
    again = tx.update(t.master_keys).where(its.name == name).values(state="current", retired_at=None)
    await tx.run(again)


async def retire(db: Database, tx: PlatformTx) -> list[str]:
    """Retire the former master keys that no data key names any more, and return which those were.

    Whoever is making a data key holds a lock on the master key's row: first they are waited for, then one looks.
    """
    its = t.master_keys.c
    former = tx.select(t.master_keys).where(its.state == "former").order_by(its.name).with_for_update()
    names = [row.name for row in await tx.all(_Name, former)]
    if not names:
        return []
    async with db.operator() as look:
        named = {row.master for row in await named_in(look)}
    over = [name for name in names if name not in named]
    await tx.run(tx.update(t.master_keys).where(its.name.in_(over)).values(state="retired", retired_at=tx.now))
    return over


async def listing(tx: PlatformTx) -> list[Master]:
    """All there ever were, the newest first."""
    return await tx.all(Master, tx.select(t.master_keys).order_by(t.master_keys.c.created_at.desc()).limit(100))


async def named_in(look: OperatorTx) -> list[Named]:
    """Under which master key how many data keys are wrapped."""
    return await look.query(Named, NAMED)


async def _register(tx: PlatformTx, sealing: Sealing, name: str, state: State) -> None:
    proof = await sealing.wrap(name, PROVING, sealing.mark)
    row = tx.insert(t.master_keys).values(name=name, proof=proof, state=state, created_at=tx.now)
    await tx.run(row.on_conflict_do_nothing())


async def _prove(sealing: Sealing, name: str, proof: bytes) -> None:
    try:
        mark = await sealing.unwrap(name, PROVING, proof)
    except NotOpened:
        raise MasterKeyWrong(f"its key {name!r} is not the one that this database was sealed with") from None
    if not hmac.compare_digest(mark, sealing.mark):
        raise MasterKeyWrong("its keys are right, but its pepper is another one: no credential would be recognized")


async def _try(db: Database, sealing: Sealing, name: str) -> None:
    """Prove a master key of which there is no proof yet by something that is wrapped under it."""
    async with db.operator() as look:
        found = await look.query(_Key, ONE_OF_THEM, master=name)
    table = t.data_keys if found else t.platform_data_keys
    async with db.scoped(found[0].tenant_id if found else None) as tx:
        wanted = tx.select(table).where(table.c.master == name, table.c.wrapped.is_not(None))
        row = await tx.first(_Wrapped, wanted.where(table.c.id == found[0].id) if found else wanted)
    if row is None:  # destroyed this moment
        return
    owner = str(found[0].tenant_id) if found else "platform"
    try:
        await sealing.unwrap(name, Place(owner, str(row.id), row.kind, row.subject), row.wrapped)
    except NotOpened:
        raise MasterKeyWrong(f"its key {name!r} is not the one that this database was sealed with") from None


async def _note(db: Database, sealing: Sealing, unproved: list[str]) -> None:
    """Register what is in use and what is configured; the first of all is the current one."""
    async with db.platform() as tx:
        await tx.alone("master keys")
        tx.audited = True  # nothing changes: what has been true all along is written down
        if await tx.first(_Name, tx.select(t.master_keys).where(t.master_keys.c.state == "current")) is None:
            await _register(tx, sealing, await sealing.current(), "current")
        for name in unproved:
            await _register(tx, sealing, name, "former")
