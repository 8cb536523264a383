"""Purges: everything that a deleted tenant had is destroyed, table by table, and a signed certificate says so.

Each batch of rows goes in one transaction with the note of how many went, so a purge that is cut short at any point
goes on where it was. Data keys go last, and what a backup still holds is dealt with by :mod:`.tombstones`.
"""

import hashlib
from collections.abc import AsyncGenerator, Sequence
from typing import Final
from uuid import UUID

import msgspec
from msgspec import Struct
from sqlalchemy import Table, Text, TextClause, text

from controlplane.db import schema as t
from controlplane.db.database import Database, OperatorTx, PlatformTx
from controlplane.domain import audit, certificates, keys, tenants
from controlplane.domain.audit import Actor
from controlplane.domain.certificates import Certificate, Facts, Purged, Shredded
from controlplane.domain.keys import Keyring
from controlplane.domain.tenants import Tenant
from controlplane.kit.clock import rfc3339
from controlplane.kit.ids import AccountId, TenantId, text_id

ROWS_AT_ONCE: Final = 2_000

START: Final = bytes(32)
"""What the hash over a table's keys begins with."""

LAST: Final = ("vault_reads", "audit_events", "audit_heads", "data_keys")
"""What goes after everything else: the proof of what was done, and the keys to what backups still hold."""

BEGAN: Final = "began"
"""What a purge says first, and every time that it is gone on with: from here on nobody writes for the tenant."""

BURIED: Final = "buried"
"""The step whose note says that certificate and tombstone are there."""


class Due(Struct, frozen=True):
    tenant_id: TenantId


DUE: Final = text("""
    SELECT tenant_id FROM tenants
    WHERE status = 'purging' OR (status = 'pending_deletion' AND purge_at <= :now) ORDER BY purge_at
""")

NOTED: Final = text("SELECT step, rows, hash FROM purge_steps WHERE tenant = :tenant_id ORDER BY step")

ALONE: Final = text("SELECT pg_advisory_xact_lock(hashtextextended(CAST(:tenant_id AS text), 7)) IS NULL AS locked")
"""Two who purge the same tenant take turns, so that what each notes is what there was."""

NOTE: Final = text("""
    INSERT INTO purge_steps (tenant, step, rows, hash) VALUES (:tenant_id, :step, :rows, :hash)
    ON CONFLICT (tenant, step) DO UPDATE SET rows = excluded.rows, hash = excluded.hash
""")

FORGET: Final = text(f"DELETE FROM purge_steps WHERE tenant = :tenant_id AND step <> '{BURIED}'")  # noqa: S608
"""But for that it is buried, which whoever purges it at the same time has to see."""

LEAVE: Final = text("DELETE FROM account_tenants WHERE tenant_id = :tenant_id RETURNING account_id")

HOMELESS: Final = text("""
    DELETE FROM accounts a WHERE a.id = ANY (:ids)
        AND NOT EXISTS (SELECT FROM account_tenants k WHERE k.account_id = a.id)
        AND NOT EXISTS (SELECT FROM operators o WHERE o.account_id = a.id)
    RETURNING a.id AS account_id
""")

UNROUTE: Final = text("DELETE FROM routes WHERE tenant_id = :tenant_id")

SHUT: Final = (
    text("DELETE FROM session_entries WHERE tenant_id = :tenant_id"),
    text("DELETE FROM impersonation_sessions WHERE tenant = :tenant_id"),
)
"""Sessions that were let into it by its provider, or work as somebody in it."""


def order() -> Sequence[Table]:
    """The tables in the order in which they are emptied: what points somewhere goes before what it points to."""
    tables = [table for table in reversed(t.TENANTS) if table is not t.tenants]
    return sorted(tables, key=lambda table: LAST.index(table.name) if table.name in LAST else -1)


async def due(look: OperatorTx) -> list[TenantId]:
    """The tenants whose time is over, and those whose purge has begun."""
    return [each.tenant_id for each in await look.query(Due, DUE, now=look.now)]


async def purge(
    db: Database, keyring: Keyring, actor: Actor, tenant_id: TenantId, *, rows_at_once: int = ROWS_AT_ONCE
) -> AsyncGenerator[str, None]:
    """Destroy what the tenant has, as far as it is still there; yields what was done after each commit.

    Of a tenant that was purged already there is nothing to do.

    Raises:
        TransitionRefused: If the tenant is not being deleted, or its grace is not over.
        NotFound: If there is no such tenant.
    """
    async with db.tenant(tenant_id) as tx:
        await tx.query(_Locked, ALONE, tenant_id=str(tenant_id))
        tenant = await tenants.get(tx)
        if tenant.status == "deleted":
            return
        if tenant.status != "purging":
            tenant = await tenants.begin_purge(tx, actor)
    yield BEGAN
    emptied = False
    while not emptied:  # what was being written while the purge began is found by another round
        emptied = True
        for table in order():
            while gone := await _empty(db, tenant_id, table, rows_at_once):
                emptied = False
                yield f"{table.name}: {gone}"
    async with db.platform() as platform:
        buried = await _bury(platform, keyring, actor, tenant)
    if buried:
        yield BURIED
    async with db.tenant(tenant_id) as tx:
        await tx.query(_Locked, ALONE, tenant_id=str(tenant_id))
        if (await tenants.get(tx)).status != "deleted":
            await tenants.bury(tx, actor)
        await tx.load(FORGET)
    yield "done"


async def certificate_of(tx: PlatformTx, tenant_id: UUID) -> Certificate | None:
    """The proof that this tenant was purged."""
    found = await tx.first(_Tombstone, tx.select(t.tombstones).where(t.tombstones.c.tenant == tenant_id))
    return msgspec.convert(found.certificate, Certificate) if found else None


async def _empty(db: Database, tenant_id: TenantId, table: Table, most: int) -> int:
    """Delete the next rows of *table* and note which they were. Returns how many."""
    async with db.tenant(tenant_id) as tx:
        await tx.query(_Locked, ALONE, tenant_id=str(tenant_id))
        if (await tenants.get(tx)).status != "purging":  # somebody else has finished meanwhile
            return 0
        noted = {note.step: note for note in await tx.query(_Noted, NOTED, tenant_id=tenant_id)}
        gone = await tx.query(_Gone, _delete(table), tenant_id=tenant_id, most=most)
        if gone:
            before = noted.get(table.name, _Noted(table.name, 0, START))
            digest = before.hash
            for row in gone:
                digest = hashlib.sha256(digest + row.key.encode()).digest()
            await tx.load(NOTE, step=table.name, rows=before.rows + len(gone), hash=digest)
    return len(gone)


def _delete(table: Table) -> TextClause:
    key = [column for column in table.primary_key if column.name != "tenant_id"] or list(table.primary_key)
    names = ", ".join(column.name for column in key)
    ordered = ", ".join(f'{c.name} COLLATE "C"' if isinstance(c.type, Text) else c.name for c in key)
    return text(  # names of the schema
        f"WITH doomed AS (DELETE FROM {table.name} WHERE tenant_id = :tenant_id AND ({names}) IN "  # noqa: S608
        f"(SELECT {names} FROM {table.name} WHERE tenant_id = :tenant_id ORDER BY {ordered} LIMIT :most) "
        f"RETURNING {names}) SELECT concat_ws(',', {names}) AS key FROM doomed ORDER BY {ordered}"
    )


async def _bury(tx: PlatformTx, keyring: Keyring, actor: Actor, tenant: Tenant) -> bool:
    """People and routes go, the tombstone comes, and the certificate with it: all of it or nothing.

    Returns whether there was anything left to do.
    """
    await tx.query(_Locked, ALONE, tenant_id=str(tenant.tenant_id))
    noted = await tx.query(_Noted, NOTED, tenant_id=tenant.tenant_id)
    if any(note.step == BURIED for note in noted):
        return False
    accounts = await _let_go(tx, tenant.tenant_id)
    await tx.run(UNROUTE.bindparams(tenant_id=tenant.tenant_id))
    for statement in SHUT:
        await tx.run(statement.bindparams(tenant_id=tenant.tenant_id))
    certificate = certificates.sign(keyring, await _facts(tx, tenant, noted, accounts))
    stone = {"tenant": tenant.tenant_id, "purged_at": tx.now, "certificate": msgspec.to_builtins(certificate)}
    await tx.run(tx.insert(t.tombstones).values(**stone).on_conflict_do_nothing(index_elements=["tenant"]))
    await tx.run(NOTE.bindparams(tenant_id=tenant.tenant_id, step=BURIED, rows=0, hash=START))
    target = ("tenant", text_id("ten", tenant.tenant_id))
    audit.record(tx, actor, "tenant.purged", target, rows=sum(note.rows for note in noted), accounts=accounts)
    return True


async def _let_go(tx: PlatformTx, tenant_id: TenantId) -> int:
    """Whoever belongs to no other tenant and does not operate the service is forgotten. Returns how many."""
    members = [row.account_id for row in await tx.query(_Member, LEAVE, tenant_id=tenant_id)]
    homeless = await tx.query(_Member, HOMELESS, ids=members)
    for row in homeless:
        await keys.shred(tx, subject=text_id("acc", row.account_id))
    return len(homeless)


async def _facts(tx: PlatformTx, tenant: Tenant, noted: Sequence["_Noted"], accounts: int) -> Facts:
    [store] = await tx.all(_Store, tx.select(t.store))
    by_table = {note.step: note for note in noted}
    destroyed = by_table["data_keys"].rows if "data_keys" in by_table else 0
    return Facts(
        tenant=text_id("ten", tenant.tenant_id),
        slug_sha256=hashlib.sha256(tenant.slug.encode()).hexdigest(),
        deleted_by=tenant.status_by,
        due_at=rfc3339(tenant.purge_at or tx.now),
        purged_at=rfc3339(tx.now),
        store=str(store.store_id),
        tables=[
            Purged(table=str(table.name), rows=note.rows, sha256=note.hash.hex())
            for table in order()
            for note in (by_table.get(table.name, _Noted(table.name, 0, START)),)
        ],
        accounts=accounts,
        shredded=Shredded(
            data_keys=destroyed,
            backups="shared-master-key" if destroyed else "nothing-sealed",
            master_keys=await _wrapped_under(tx, tenant) if destroyed else [],
        ),
    )


async def _wrapped_under(tx: PlatformTx, tenant: Tenant) -> list[str]:
    """The master keys that have wrapped data keys here while there was this tenant."""
    its = t.master_keys.c
    then = its.retired_at.is_(None) | (its.retired_at > tenant.created_at)
    rows = await tx.all(_Master, tx.select(t.master_keys).where(then).order_by(its.name))
    return [row.name for row in rows]


class _Noted(Struct, frozen=True):
    step: str
    rows: int
    hash: bytes


class _Master(Struct, frozen=True):
    name: str


class _Locked(Struct, frozen=True):
    locked: bool


class _Gone(Struct, frozen=True):
    key: str


class _Member(Struct, frozen=True):
    account_id: AccountId


class _Store(Struct, frozen=True):
    store_id: UUID


class _Tombstone(Struct, frozen=True):
    certificate: dict[str, object]
