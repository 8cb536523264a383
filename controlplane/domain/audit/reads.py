"""Reads of credentials: too many for a chain with one head, so the chain has a root over each second's worth of them.

A read is a row, written by the statement that reads. Every second whatever is not sealed yet goes under the event
``vault.reads.sealed``, with its first and last number, how many they are, and the Merkle root over them in their order.
Numbers are given before the commit: what is sealed is what was written by transactions that have all ended.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from msgspec import Struct
from sqlalchemy import ARRAY, BigInteger, any_, bindparam, literal, text

from controlplane.db import schema as t
from controlplane.db.database import TenantTx
from controlplane.domain.audit.events import EPOCH, Actor, Event, chain_name
from controlplane.domain.audit.writing import record
from controlplane.kit.canonical import canonical, uncheckedly
from controlplane.kit.ids import text_id
from controlplane.kit.merkle import Tree

SEALED: Final = "vault.reads.sealed"

AT_ONCE: Final = 5_000
"""Under one event."""

EVENTS_AT_ONCE: Final = 100

STRAY: Final = text("""
    SELECT DISTINCT r.sealed_by FROM vault_reads r
    LEFT JOIN audit_events e ON e.tenant_id = r.tenant_id AND e.seq = r.sealed_by AND e.action = :action
    WHERE r.tenant_id = :tenant_id AND r.sealed_by IS NOT NULL AND e.seq IS NULL LIMIT 5
""")

CHORE: Final = Actor(kind="chore", id="seal-vault-reads")

ENDED: Final = text("""
    SELECT seq FROM vault_reads
    WHERE tenant_id = :tenant_id AND sealed_by IS NULL
      AND (writer < (pg_snapshot_xmin(pg_current_snapshot())::text)::bigint
           OR writer >= (pg_snapshot_xmax(pg_current_snapshot())::text)::bigint)
    ORDER BY seq LIMIT :most
""")
"""Behind the newest transaction there is nobody: what was written there was restored from elsewhere."""

UNDER: Final = text("""
    UPDATE vault_reads SET sealed_by = (SELECT seq FROM audit_heads WHERE tenant_id = :tenant_id)
    WHERE tenant_id = :tenant_id AND sealed_by IS NULL AND seq = ANY (:seqs)
""").bindparams(bindparam("seqs", type_=ARRAY(BigInteger)))

USED: Final = text("""
    UPDATE connections c SET last_used_at = r.at
    FROM (
        SELECT connection_id, to_timestamp(max(occurred_us) / 1e6) AS at FROM vault_reads
        WHERE tenant_id = :tenant_id AND seq = ANY (:seqs) AND outcome = 'success' AND act <> 'dry-run'
        GROUP BY connection_id
    ) r
    WHERE c.tenant_id = :tenant_id AND c.id = r.connection_id
      AND (c.last_used_at IS NULL OR c.last_used_at < r.at)
""").bindparams(bindparam("seqs", type_=ARRAY(BigInteger)))

BEHIND_CHAIN: Final = 1
"""Order before the commit: the event has its number by then."""


class Read(Struct, frozen=True, kw_only=True):
    seq: int
    occurred_us: int
    act: str
    outcome: str
    runtime_id: UUID
    agent: str
    run: str
    tool: str
    purpose: str
    connection_id: UUID | None
    cred_version: int | None
    scopes: list[str]
    rule: str
    policies_version: int
    lease_id: UUID | None
    kid: str
    nonce: bytes
    address: str
    prints: list[bytes]
    call: str | None
    sealed_by: int | None

    @property
    def occurred_at(self) -> datetime:
        return EPOCH + timedelta(microseconds=self.occurred_us)


class _Numbered(Struct, frozen=True):
    seq: int


class Root(Struct, frozen=True, kw_only=True):
    """Over reads in their order."""

    first: int
    last: int
    count: int
    root: str


def leaf(chain: UUID, read: Read) -> bytes:
    """What of a read is under the root, and what an export has of it besides the number of its event."""
    return canonical(_content(chain, read))


def line(chain: UUID, read: Read) -> bytes:
    """*read* as one line of an export."""
    return uncheckedly({**_content(chain, read), "sealed_by": read.sealed_by})


def root_of(leaves: Iterable[tuple[int, bytes]]) -> Root:
    """
    Args:
        leaves: Number and content of each, in their order.
    """
    tree, first, last = Tree(), 0, 0
    for seq, each in leaves:
        first, last = first or seq, seq
        tree.append(each)
    return Root(first=first, last=last, count=tree.size, root=tree.root().hex())


async def seal(tx: TenantTx) -> int:
    """Put what is not sealed yet under an event of the tenant's chain, and return how many reads that were."""
    await tx.alone(f"vault-reads {tx.tenant_id}")
    ended = await tx.query(_Numbered, ENDED, tenant_id=tx.tenant_id, most=AT_ONCE)
    if not ended:
        return 0
    seqs = [each.seq for each in ended]
    its = t.vault_reads.c
    rows = await tx.all(Read, tx.select(t.vault_reads).where(its.seq.in_(seqs)).order_by(its.seq))
    found = root_of((row.seq, leaf(tx.tenant_id, row)) for row in rows)
    target = ("tenant", text_id("ten", tx.tenant_id))
    record(tx, CHORE, SEALED, target, first=found.first, last=found.last, count=found.count, root=found.root)

    async def number() -> None:
        await tx.load(UNDER, seqs=seqs)
        await tx.load(USED, seqs=seqs)

    tx.before_commit(number, order=BEHIND_CHAIN)
    return len(rows)


async def under(tx: TenantTx, seqs: Sequence[int]) -> dict[int, Root]:
    """What is found now under each of these events."""
    found: dict[int, Root] = {}
    its = t.vault_reads.c
    for seq in seqs:
        rows = await tx.all(Read, tx.select(t.vault_reads).where(its.sealed_by == seq).order_by(its.seq))
        found[seq] = root_of((row.seq, leaf(tx.tenant_id, row)) for row in rows)
    return found


async def sealing(tx: TenantTx, seq: int, through: int) -> list[Event]:
    """The next events behind number *seq* that seal reads, oldest first."""
    its = t.audit_events.c
    wanted = tx.select(t.audit_events).where(its.action == SEALED, its.seq > seq, its.seq <= through)
    return await tx.all(Event, wanted.order_by(its.seq).limit(EVENTS_AT_ONCE))


async def under_nothing(tx: TenantTx) -> list[int]:
    """Numbers that reads say they are sealed by, of events that seal none; the first few."""
    return [row.seq for row in await tx.query(_Numbered, STRAY, tenant_id=tx.tenant_id, action=SEALED)]


async def listing(
    tx: TenantTx,
    runtime_id: UUID | None = None,
    connection_id: UUID | None = None,
    *,
    after: int | None = None,
    limit: int,
) -> list[Read]:
    """Newest first, from just before number *after* on."""
    its = t.vault_reads.c
    wanted = tx.select(t.vault_reads)
    for column, value in ((its.runtime_id, runtime_id), (its.connection_id, connection_id)):
        if value is not None:
            wanted = wanted.where(column == value)
    if after is not None:
        wanted = wanted.where(its.seq < after)
    return await tx.all(Read, wanted.order_by(its.seq.desc()).limit(limit))


async def recognized(tx: TenantTx, print_: bytes, *, limit: int) -> list[Read]:
    """Reads that gave somebody the secret that is recognized by this, newest first."""
    its = t.vault_reads.c
    known = tx.select(t.credential_prints).with_only_columns(t.credential_prints.c.connection_id)
    of_those = known.where(literal(print_) == any_(t.credential_prints.c.prints))  # few, and the reads have an index
    wanted = tx.select(t.vault_reads).where(its.connection_id.in_(of_those), literal(print_) == any_(its.prints))
    return await tx.all(Read, wanted.order_by(its.seq.desc()).limit(limit))


async def sealed_behind(tx: TenantTx, seq: int, limit: int) -> list[Read]:
    """Sealed reads in the order of an export, from behind the event number *seq* on, whole events only."""
    its = t.vault_reads.c
    numbers = tx.select(t.vault_reads).with_only_columns(its.sealed_by).where(its.sealed_by > seq)
    events = numbers.distinct().order_by(its.sealed_by).limit(limit)
    wanted = tx.select(t.vault_reads).where(its.sealed_by.in_(events)).order_by(its.sealed_by, its.seq)
    return await tx.all(Read, wanted)


def _content(chain: UUID, read: Read) -> dict[str, Any]:
    called = {"call": read.call} if read.call is not None else {}
    return {
        **called,
        "schema": 1,
        "chain": chain_name(chain),
        "seq": read.seq,
        "occurred_us": read.occurred_us,
        "act": read.act,
        "outcome": read.outcome,
        "runtime": text_id("rt", read.runtime_id),
        "agent": read.agent,
        "run": read.run,
        "tool": read.tool,
        "purpose": read.purpose,
        "connection": text_id("con", read.connection_id) if read.connection_id else None,
        "cred_version": read.cred_version,
        "scopes": list(read.scopes),
        "rule": read.rule,
        "policies_version": read.policies_version,
        "lease": text_id("lea", read.lease_id) if read.lease_id else None,
        "kid": read.kid,
        "nonce": read.nonce.hex(),
        "address": read.address,
        "prints": [each.hex() for each in read.prints],
    }
