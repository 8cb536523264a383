"""Whether a runtime and this database hold the same: counts and sums by bucket, then names where they differ."""

from collections.abc import Iterable, Sequence
from typing import Final

from msgspec import Struct
from sqlalchemy import text

from controlplane.db import schema as t
from controlplane.db.database import TenantTx
from controlplane.domain import audit, runtimes
from controlplane.domain.audit import Actor
from controlplane.domain.sync.cursors import Cursor
from controlplane.kit.ids import RuntimeId, text_id
from runtime_agent.wire.comparing import Bucket, Compared, Found, Item, Kind, Want

TABLES: Final = (("session", t.sessions), ("run", t.runs), ("checkpoint", t.checkpoints), ("cost", t.cost_entries))

_THINGS: Final = " UNION ALL ".join(
    f"SELECT '{kind}' AS kind, substring(uuid_send(id) FROM 9) AS name, "  # noqa: S608 names of the schema
    + ("CAST(extract(epoch FROM changed_at) * 1000000 AS bigint)" if "changed_at" in table.c else "CAST(0 AS bigint)")
    + f" AS version FROM {table.name} WHERE tenant_id = :tenant_id AND runtime_id = :runtime_id"
    for kind, table in TABLES
)

SUMS: Final = text(f"""
    SELECT kind, get_byte(name, 1) AS bucket, count(*) AS count, encode(int8send(bit_xor(
        CAST(CAST('x' || encode(substring(sha256(name || int8send(version)) FROM 1 FOR 8), 'hex') AS bit(64)) AS bigint)
    )), 'hex') AS xor
    FROM ({_THINGS}) things GROUP BY 1, 2
""")  # noqa: S608

HELD: Final = text(f"""
    SELECT kind, encode(name, 'hex') AS name, version FROM ({_THINGS}) things
    WHERE kind || encode(name, 'hex') = ANY (CAST(:names AS text[]))
""")  # noqa: S608

NOTE: Final = text("""
    WITH answered AS (
        UPDATE runtimes SET compare_wanted_at = NULL
        WHERE tenant_id = :tenant_id AND id = :runtime_id AND compare_wanted_at IS NOT NULL
    )
    UPDATE sync_cursors SET compared_at = :now, compared_wanted = :wanted, compared_newer = :newer
    WHERE tenant_id = :tenant_id AND runtime_id = :runtime_id
""")


async def ask(tx: TenantTx, actor: Actor, runtime_id: RuntimeId) -> None:
    """Have the runtime compare: it is told with every heartbeat until it has.

    Raises:
        NotFound: If this tenant has no such runtime.
        RuntimeGone: If it has been revoked or has left.
    """
    runtime = await runtimes.present(tx, runtime_id)
    if runtime.compare_wanted_at is not None:
        return
    await tx.run(tx.update(t.runtimes).where(t.runtimes.c.id == runtime_id).values(compare_wanted_at=tx.now))
    audit.record(tx, actor, "runtime.compare-wanted", ("runtime", text_id("rt", runtime_id)))


async def compare(tx: TenantTx, runtime_id: RuntimeId, cursor: Cursor, said: Iterable[Bucket] | None) -> Compared:
    """Where the log stands, and the buckets that are not as the runtime says.

    Args:
        said: Those of its buckets that are not empty; None: it does not compare, it asks for the rest of the answer.
    """
    differs: list[Bucket] = []
    if said is not None:
        theirs = {(each.kind, each.bucket): each for each in said}
        ours = {(each.kind, each.bucket): each for each in await _sums(tx, runtime_id)}
        empty = "0" * 16
        for kind, bucket in sorted(theirs.keys() | ours.keys()):
            held = ours.get((kind, bucket)) or Bucket(kind=kind, bucket=bucket, count=0, xor=empty)
            if held != theirs.get((kind, bucket)):
                differs.append(held)
    return Compared(
        tenant_id=tx.tenant_id,
        store_id=cursor.store_id,
        epoch=cursor.epoch,
        last_seq=cursor.last_seq,
        head=cursor.known_head(runtime_id).hex(),
        differs=differs,
    )


async def wanted(tx: TenantTx, runtime_id: RuntimeId, items: Sequence[Item]) -> Want:
    """Which of *items* are missing or older here, and which are newer."""
    names = [item.kind + item.name for item in items]
    found = await tx.query(_Held, HELD, tenant_id=tx.tenant_id, runtime_id=runtime_id, names=names)
    held = {row.kind + row.name: row.version for row in found}
    versions = [held.get(name, -1) for name in names]
    return Want(
        want=[place for place, item in enumerate(items) if versions[place] < item.version],
        newer=[place for place, item in enumerate(items) if versions[place] > item.version],
        absent=versions.count(-1),
    )


async def note(tx: TenantTx, runtime_id: RuntimeId, found: Found) -> None:
    """Keep what a comparison came to, and ask for no other."""
    await tx.load(NOTE, runtime_id=runtime_id, now=tx.now, wanted=found.wanted, newer=found.newer)


async def _sums(tx: TenantTx, runtime_id: RuntimeId) -> list[Bucket]:
    rows = await tx.query(_Sum, SUMS, tenant_id=tx.tenant_id, runtime_id=runtime_id)
    return [Bucket(kind=row.kind, bucket=row.bucket, count=row.count, xor=row.xor) for row in rows]


class _Sum(Struct, frozen=True):
    kind: Kind
    bucket: int
    count: int
    xor: str


class _Held(Struct, frozen=True):
    kind: Kind
    name: str
    version: int
