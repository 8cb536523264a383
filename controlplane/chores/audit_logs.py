"""What the audit logs need from time to time: checkpoints that leave the database, verification, pruning, streams."""

import asyncio
import os
import re
import socket
from pathlib import Path
from typing import Final

import structlog
from msgspec import Struct
from sqlalchemy import TextClause, text

from controlplane.db.database import Database
from controlplane.domain.audit import checkpoints, reads, retention, stored, streams
from controlplane.domain.audit.verifying import Verdict
from controlplane.domain.keys import Keyring
from controlplane.kit import syslog
from controlplane.kit.ids import TenantId, text_id

log = structlog.get_logger("controlplane.audit")

PROGRAM: Final = "engine-cloud"

TAIL_BYTES: Final = 4096
SIZES: Final = re.compile(r"\n([0-9]+)\n[A-Za-z0-9+/]{43}=\n\n— ")
"""Of the checkpoints in a text."""

UNSIGNED: Final = text("""
    SELECT h.tenant_id
    FROM audit_heads h LEFT JOIN LATERAL (
        SELECT size, made_at FROM audit_checkpoints c WHERE c.tenant_id = h.tenant_id ORDER BY size DESC LIMIT 1
    ) c ON true
    WHERE c.size IS NULL OR h.seq - c.size >= 1000 OR (h.seq > c.size AND c.made_at <= CAST(:now AS timestamptz) - interval '5 minutes')
    LIMIT 500
""")
"""Tenants with a thousand events that no checkpoint covers, or with one for five minutes."""

UNVERIFIED: Final = text("""
    SELECT h.tenant_id FROM audit_heads h LEFT JOIN audit_verdicts v ON v.tenant_id = h.tenant_id
    WHERE v.whole_at IS NULL OR v.whole_at <= CAST(:now AS timestamptz) - interval '1 day'
    ORDER BY v.whole_at NULLS FIRST LIMIT 50
""")

OLD: Final = text("""
    SELECT h.tenant_id
    FROM audit_heads h
    JOIN LATERAL (
        SELECT occurred_us FROM audit_events e WHERE e.tenant_id = h.tenant_id ORDER BY seq LIMIT 1
    ) oldest ON true
    LEFT JOIN audit_retention r ON r.tenant_id = h.tenant_id
    WHERE r.held IS NULL
      AND to_timestamp(oldest.occurred_us / 1e6) <= CAST(:now AS timestamptz) - make_interval(days => coalesce(r.days, :default_days))
    LIMIT 500
""")

UNSEALED: Final = text("""
    SELECT h.tenant_id FROM audit_heads h
    WHERE EXISTS (SELECT FROM vault_reads r WHERE r.tenant_id = h.tenant_id AND r.sealed_by IS NULL) LIMIT 500
""")

UNSENT: Final = text("""
    SELECT h.tenant_id FROM audit_heads h
    LEFT JOIN audit_streams s ON s.tenant_id = h.tenant_id AND s.sink = :sink
    WHERE s.seq IS NULL OR s.seq < h.seq LIMIT 500
""")


class _Tenant(Struct, frozen=True):
    tenant_id: TenantId


async def sign(db: Database, keyring: Keyring, folder: Path | None) -> int:
    """Sign what no checkpoint covers yet, put the checkpoints into *folder*, and return how many were made."""
    made = 0
    for chain in (None, *await _tenants(db, UNSIGNED)):
        async with db.scoped(chain) as tx:
            verdict = await checkpoints.make(tx, keyring) if chain or await checkpoints.is_due(tx) else None
        if verdict is not None:
            _tell(chain, verdict)
            made += verdict.unbroken
        if folder is not None:
            await _take_out(db, chain, folder)
    return made


async def seal_reads(db: Database) -> int:
    """Put the reads of credentials that no event covers yet under one, and return how many that were."""
    sealed = 0
    for tenant_id in await _tenants(db, UNSEALED):
        async with db.tenant(tenant_id) as tx:
            sealed += await reads.seal(tx)
    return sealed


async def verify(db: Database, keyring: Keyring) -> int:
    """Verify whole logs, those first that were not for longest, and return how many."""
    due = await _tenants(db, UNVERIFIED)
    for chain in due:
        _tell(chain, await stored.verify(db, keyring, chain))
    return len(due)


async def prune(db: Database) -> int:
    """Delete what is older than it need be kept, and return how many events that were."""
    pruned = 0
    for tenant_id in await _tenants(db, OLD, default_days=retention.DEFAULT_DAYS):
        async with db.tenant(tenant_id) as tx:
            pruned += await retention.prune(tx)
    return pruned


async def stream(db: Database, address: str) -> int:
    """Send the syslog receiver at *address* what it has not been sent, and return how many events.

    At least once: the cursor moves after the receiver has taken a batch, so a failure between repeats that batch.
    """
    host, total = socket.gethostname(), 0
    for chain in (None, *await _tenants(db, UNSENT, sink=address)):
        while True:
            async with db.scoped(chain) as tx:
                batch = await streams.waiting(tx, address)
            if batch is None:
                break
            await syslog.send(address, (syslog.encoded(each, host, PROGRAM) for each in batch.messages))
            async with db.scoped(chain) as tx:
                await streams.sent(tx, address, batch.through)
            total += len(batch.messages)
    return total


async def _take_out(db: Database, chain: TenantId | None, folder: Path) -> None:
    """Append to the log's file in *folder* what it does not have of the checkpoints."""
    path = folder / f"{_named(chain)}.notes"
    newest = await asyncio.to_thread(_newest_in, path)
    async with db.scoped(chain) as tx:
        missing = await checkpoints.listing(tx, behind=newest, limit=1_000)
    if missing:
        await asyncio.to_thread(_append, path, "".join(each.note for each in reversed(missing)))


def _append(path: Path, text: str) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "a", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


def _newest_in(path: Path) -> int:
    """The size of the last checkpoint in the file; 0 where there is none."""
    try:
        with path.open("rb") as file:
            file.seek(-min(path.stat().st_size, TAIL_BYTES), os.SEEK_END)
            sizes = SIZES.findall(file.read().decode(errors="replace"))
    except FileNotFoundError:
        return 0
    return int(sizes[-1]) if sizes else 0


def _tell(chain: TenantId | None, verdict: Verdict) -> None:
    for damage in verdict.damages:
        log.error("audit.damaged", chain=_named(chain), seq=damage.seq, kind=damage.kind, detail=damage.detail)


def _named(chain: TenantId | None) -> str:
    return "platform" if chain is None else text_id("ten", chain)


async def _tenants(db: Database, which: TextClause, **values: object) -> list[TenantId]:
    async with db.operator() as tx:
        now = {"now": tx.now} if ":now" in which.text else {}
        return [row.tenant_id for row in await tx.query(_Tenant, which, **now, **values)]
