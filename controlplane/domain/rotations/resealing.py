"""Replacing data keys: a new one seals from now on, everything that names an old one is sealed anew, the old ones go.

While it goes on everything is read as before: an envelope says which key opens it. What is written replaces exactly
the envelope that was read, so a change in between, such as a refreshed token, is never overwritten with an older one.
"""

from collections.abc import AsyncGenerator, Mapping, Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from msgspec import Struct
from sqlalchemy import ColumnElement, LargeBinary, TextClause, func, text, tuple_
from sqlalchemy.dialects import postgresql

from controlplane.db.database import Database, PlatformTx, ScopedTx, TenantTx
from controlplane.domain import audit
from controlplane.domain.audit import Actor
from controlplane.domain.keys import SealedColumn
from controlplane.domain.keys import data as data_keys
from controlplane.domain.rotations import columns, requests
from controlplane.kit import envelope
from controlplane.kit.ids import TenantId, text_id
from controlplane.kit.sealing import DataKey

AT_ONCE: Final = 500
"""Envelopes in one transaction, whose rows are locked until it ends: a few milliseconds."""

KEYS_AT_ONCE: Final = 200

OTHERS: Final = text("""
    SELECT count(*) AS rows FROM key_rotations
    WHERE ended_at IS NULL AND id <> :id AND (tenant IS NOT DISTINCT FROM CAST(:tenant AS uuid) OR kind = 'emergency')
        AND (step = 'sealing' OR (step = 'resting' AND rests_until > :now))
""")
"""Rotations whose old keys somebody may still be reading with."""


class _Key(Struct, frozen=True):
    id: UUID
    kind: str
    subject: str


class _Rows(Struct, frozen=True):
    rows: int


async def reseal(
    db: Database, actor: Actor, rotation_id: UUID, tenant_id: TenantId | None, before: datetime
) -> AsyncGenerator[int, None]:
    """Replace the data keys that this owner had *before*, and seal anew what named them.

    Yields after each commit how many envelopes were in it. Cut short at any point, the next one goes on.

    Raises:
        NotOpened: If an envelope is not what was sealed there; nothing is destroyed then.
    """
    while await _replace(db, actor, rotation_id, tenant_id, before):
        yield 0
    for column in columns.of(tenant_id is None):
        after: tuple[Any, ...] | None = None
        while page := await _reseal_page(db, rotation_id, tenant_id, column, after):
            after, done = page
            yield done


async def destroy(db: Database, actor: Actor, rotation_id: UUID, tenant_id: TenantId | None) -> int | None:
    """Destroy the old data keys that nothing names, and return how many; None if something names one still.

    Who has sealed with one and has not committed is waited for, and then one looks.
    """
    async with db.scoped(tenant_id) as tx:
        platform = _platform(tx)
        await platform.alone("key rotations")
        tenant = str(tenant_id) if tenant_id else None
        [others] = await platform.query(_Rows, OTHERS, id=rotation_id, tenant=tenant, now=tx.now)
        if others.rows:
            return None
        table, kinds = data_keys.table_of(tx), columns.kinds(tenant_id is None)
        old = tx.select(table).where(table.c.state == "decrypt", table.c.kind.in_(kinds)).order_by(table.c.id)
        candidates = {key.id for key in await tx.all(_Key, old.with_for_update())}
        if not candidates:
            return 0
        named = await _named(tx, candidates)
        gone = candidates - named
        if gone:
            destroyed = tx.update(table).where(table.c.id.in_(gone))
            await tx.run(destroyed.values(state="destroyed", wrapped=None, destroyed_at=tx.now))
            audit.record(tx, actor, "keys.destroyed", _target(tx), keys=len(gone))
    sealing = data_keys.sealing_of(tx)
    for key_id in gone:
        sealing.forget(data_keys.owner_of(tx), key_id)
    return None if named else len(gone)


async def _replace(db: Database, actor: Actor, rotation_id: UUID, tenant_id: TenantId | None, before: datetime) -> int:
    """Have new keys in the place of the next old ones; the old ones still open."""
    async with db.scoped(tenant_id) as tx:
        table, kinds = data_keys.table_of(tx), columns.kinds(tenant_id is None)
        its = table.c
        wanted = tx.select(table).where(its.state == "primary", its.kind.in_(kinds), its.created_at < before)
        wanted = wanted.order_by(its.id).limit(KEYS_AT_ONCE).with_for_update(key_share=True)
        old = await tx.all(_Key, wanted)
        if not old:
            return 0
        await tx.run(tx.update(table).where(its.id.in_([key.id for key in old])).values(state="decrypt"))
        for key in old:
            await data_keys.make(tx, key.kind, key.subject)
        total = await _count(tx, [key.id for key in old])
        await requests.count(_platform(tx), rotation_id, total=total)
        audit.record(tx, actor, "keys.replaced", _target(tx), keys=len(old))
    return len(old)


async def _reseal_page(
    db: Database, rotation_id: UUID, tenant_id: TenantId | None, column: SealedColumn, after: tuple[Any, ...] | None
) -> tuple[tuple[Any, ...], int] | None:
    """Seal the next envelopes anew; returns the key of the last row, and how many there were. None: no more."""
    async with db.scoped(tenant_id) as tx:
        keys = await _old_keys(tx, column.kind)
        if not keys:
            return None
        rows = await tx.rows(_page(tx, column, list(keys), after))
        if not rows:
            return None
        anew = await _sealed(tx, column, rows, keys)
        done = await tx.run(_write(tx, column, rows, anew))
        await requests.count(_platform(tx), rotation_id, done=done)
        tx.audited = True  # said by `keys.replaced`: what is inside is what it was
    return tuple(rows[-1][name] for name in _key_of(column)), done


async def _old_keys(tx: ScopedTx, kind: str) -> dict[UUID, _Key]:
    table = data_keys.table_of(tx)
    old = tx.select(table).where(table.c.state == "decrypt", table.c.kind == kind)
    return {key.id: key for key in await tx.all(_Key, old)}


def _page(tx: ScopedTx, column: SealedColumn, old: list[UUID], after: tuple[Any, ...] | None) -> Any:
    table, names = column.table, _key_of(column)
    key = [table.c[name] for name in names]
    wanted = tx.select(table).where(_key_in(column).in_([each.bytes for each in old]))
    if after is not None:
        wanted = wanted.where(tuple_(*key) > tuple_(*after))
    needed = dict.fromkeys((*names, *column.reads, column.column))
    return wanted.with_only_columns(*(table.c[name] for name in needed)).order_by(*key).limit(AT_ONCE)


async def _sealed(
    tx: ScopedTx, column: SealedColumn, rows: Sequence[Mapping[str, Any]], keys: Mapping[UUID, _Key]
) -> list[bytes]:
    """What is in each of *rows*, under the key that seals now."""
    old = {envelope.key_id_of(row[column.column]) for row in rows}
    opening = await data_keys.by_id(tx, old, though_suspended=True)
    sealing: dict[UUID, DataKey] = {}
    for key_id in old:
        key = keys[key_id]
        sealing[key_id] = await data_keys.primary(tx, key.kind, key.subject, though_suspended=True)
    anew = []
    for row in rows:
        was = row[column.column]
        before = opening[envelope.key_id_of(was)]
        assert before is not None, "nobody destroys a key that something names"
        anew.append(data_keys.reseal(tx, column.purpose, was, column.place(row), before, sealing[before.id]))
    return anew


def _write(tx: ScopedTx, column: SealedColumn, rows: Sequence[Mapping[str, Any]], anew: Sequence[bytes]) -> TextClause:
    """One statement for all of them, each only where the envelope still is the one that was read."""
    table, names = column.table, _key_of(column)
    dialect = postgresql.dialect()  # type: ignore[no-untyped-call]
    parts = [f"unnest(CAST(:k{i} AS {table.c[name].type.compile(dialect)}[])) AS k{i}" for i, name in enumerate(names)]
    same = [f"r.{name} = anew.k{i}" for i, name in enumerate(names)]
    given: dict[str, Any] = {f"k{i}": [row[name] for row in rows] for i, name in enumerate(names)}
    if isinstance(tx, TenantTx):
        same.append("r.tenant_id = :tenant_id")
        given["tenant_id"] = tx.tenant_id
    return text(  # names of the schema
        f"UPDATE {table.name} r SET {column.column} = anew.new FROM (SELECT {', '.join(parts)}, "  # noqa: S608
        "unnest(CAST(:old AS bytea[])) AS old, unnest(CAST(:new AS bytea[])) AS new) anew "
        f"WHERE {' AND '.join(same)} AND r.{column.column} = anew.old"
    ).bindparams(**given, old=[row[column.column] for row in rows], new=list(anew))


async def _named(tx: ScopedTx, wanted: set[UUID]) -> set[UUID]:
    """Which of these data keys an envelope of this owner names."""
    found: set[UUID] = set()
    for column in columns.of(not isinstance(tx, TenantTx)):
        key = _key_in(column)
        its = tx.select(column.table).where(key.in_([each.bytes for each in wanted]))
        rows = await tx.rows(its.with_only_columns(key.label("key_id")).distinct())
        found |= {UUID(bytes=row["key_id"]) for row in rows}
    return found


async def _count(tx: ScopedTx, old: Sequence[UUID]) -> int:
    """Envelopes that name these data keys."""
    ids, total = [each.bytes for each in old], 0
    for column in columns.of(not isinstance(tx, TenantTx)):
        mine = tx.select(column.table).where(_key_in(column).in_(ids))
        total += int(await tx.scalar(mine.with_only_columns(func.count())))
    return total


def _key_in(column: SealedColumn) -> ColumnElement[bytes]:
    """The data key that an envelope names, as the database reads it: bytes 3 to 18."""
    return func.substring(column.table.c[column.column], 3, 16, type_=LargeBinary)


def _key_of(column: SealedColumn) -> list[str]:
    """The columns that tell the rows of one owner apart."""
    names = [each.name for each in column.table.primary_key]
    return names if len(names) == 1 or column.table.name in _ON_PLATFORM else [n for n in names if n != "tenant_id"]


_ON_PLATFORM: Final = frozenset(column.table.name for column in columns.of(True))


def _platform(tx: ScopedTx) -> PlatformTx:
    return tx.on_platform() if isinstance(tx, TenantTx) else tx


def _target(tx: ScopedTx) -> audit.Target:
    return ("tenant", text_id("ten", tx.tenant_id)) if isinstance(tx, TenantTx) else ("platform", "platform")
