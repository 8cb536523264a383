"""Wrapping data keys anew: what they seal is not touched, and who reads meanwhile notices nothing.

Old and new wrapping are computed outside of any transaction, for a key service may be asked; what is written replaces
exactly what was read, or nothing.
"""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from typing import Final
from uuid import UUID

from msgspec import Struct
from sqlalchemy import Table, TextClause, text

from controlplane.db import schema as t
from controlplane.db.database import Database, ScopedTx, TenantTx
from controlplane.domain import audit
from controlplane.domain.audit import Actor
from controlplane.domain.keys import masters
from controlplane.domain.rotations import requests
from controlplane.kit.ids import TenantId, text_id
from controlplane.kit.sealing import Place, Sealing

AT_ONCE: Final = 200
"""Data keys in one transaction."""

ASKED_AT_ONCE: Final = 8
"""Calls to a key service at the same time: its quota is everybody's."""

OWNERS: Final = text("""
    SELECT tenant_id FROM data_keys WHERE state <> 'destroyed' AND master <> :master
    GROUP BY tenant_id ORDER BY tenant_id LIMIT 500
""")

LEFT: Final = text("""
    SELECT (SELECT count(*) FROM data_keys WHERE state <> 'destroyed' AND master <> :master)
        + (SELECT count(*) FROM platform_data_keys WHERE state <> 'destroyed' AND master <> :master) AS rows
""")


class Wrapped(Struct, frozen=True):
    id: UUID
    kind: str
    subject: str
    master: str
    wrapped: bytes


class _Owner(Struct, frozen=True):
    tenant_id: TenantId


class _Rows(Struct, frozen=True):
    rows: int


async def left(db: Database, master: str) -> int:
    """How many data keys are wrapped under another master key than this."""
    async with db.operator() as look:
        [found] = await look.query(_Rows, LEFT, master=master)
    return found.rows


class MasterChanged(Exception):
    """Another master key was adopted meanwhile: whoever wants that one's rotation goes on with it."""


class Rewrapping(Struct, frozen=True, kw_only=True):
    """Under which master key everything is to be, for which rotation, and with what."""

    db: Database
    sealing: Sealing
    actor: Actor
    rotation_id: UUID
    master: str


async def rewrap(work: Rewrapping) -> AsyncGenerator[int, None]:
    """Wrap everything under the master key; yields after each commit how many data keys were in it.

    Raises:
        MasterChanged: If it does not wrap any more.
        NotOpened: If a data key cannot be unwrapped with what is at hand: the rest has to wait for it.
        KeeperDown: If the key service cannot be asked.
    """
    async for rewrapped in _of_owner(work, None):
        yield rewrapped
    while owners := await _owners(work.db, work.master):
        for owner in owners:
            async for rewrapped in _of_owner(work, owner):
                yield rewrapped


async def _owners(db: Database, master: str) -> list[TenantId]:
    async with db.operator() as look:
        return [row.tenant_id for row in await look.query(_Owner, OWNERS, master=master)]


async def _of_owner(work: Rewrapping, tenant_id: TenantId | None) -> AsyncGenerator[int, None]:
    table = t.platform_data_keys if tenant_id is None else t.data_keys
    owner = "platform" if tenant_id is None else str(tenant_id)
    its = table.c
    while True:
        async with work.db.scoped(tenant_id) as tx:
            wanted = tx.select(table).where(its.master != work.master, its.state != "destroyed")
            page = await tx.all(Wrapped, wanted.order_by(its.id).limit(AT_ONCE))
        if not page:
            return
        anew = await _wrapped(work, owner, page)
        async with work.db.scoped(tenant_id) as tx:
            done = await _replace(tx, work, table, page, anew)
        yield done


async def _wrapped(work: Rewrapping, owner: str, page: Sequence[Wrapped]) -> list[bytes]:
    turn, sealing = asyncio.Semaphore(ASKED_AT_ONCE), work.sealing

    async def one(row: Wrapped) -> bytes:
        place = Place(owner, str(row.id), row.kind, row.subject)
        async with turn:
            return await sealing.wrap(work.master, place, await sealing.unwrap(row.master, place, row.wrapped))

    return list(await asyncio.gather(*map(one, page)))


async def _replace(tx: ScopedTx, work: Rewrapping, table: Table, page: Sequence[Wrapped], anew: Sequence[bytes]) -> int:
    if await masters.wrapping(tx, work.sealing) != work.master:  # nor can it be retired before this is committed
        raise MasterChanged(f"{work.master!r} does not wrap any more")
    given = {"ids": [row.id for row in page], "old": [row.wrapped for row in page], "new": list(anew)}
    mine = {"tenant_id": tx.tenant_id} if isinstance(tx, TenantTx) else {}
    done = await tx.run(_statement(table).bindparams(**given, **mine, master=work.master))
    platform = tx.on_platform() if isinstance(tx, TenantTx) else tx
    await requests.count(platform, work.rotation_id, done=done)
    target = ("tenant", text_id("ten", tx.tenant_id)) if isinstance(tx, TenantTx) else ("platform", "platform")
    audit.record(tx, work.actor, "keys.rewrapped", target, master=work.master, keys=done)
    return done


def _statement(table: Table) -> TextClause:
    mine = "k.tenant_id = :tenant_id AND " if "tenant_id" in table.c else ""
    return text(  # names of the schema
        f"UPDATE {table.name} k SET wrapped = anew.new, master = :master FROM ("  # noqa: S608
        "SELECT unnest(CAST(:ids AS uuid[])) AS id, unnest(CAST(:old AS bytea[])) AS old,"
        f" unnest(CAST(:new AS bytea[])) AS new) anew WHERE {mine}k.id = anew.id AND k.wrapped = anew.old"
    )
