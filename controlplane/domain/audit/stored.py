"""Verification of a whole log where it is kept: page by page, with every checkpoint, against the head's own word."""

from collections.abc import Callable
from typing import Any

from controlplane.db.database import Database
from controlplane.domain.audit import checkpoints
from controlplane.domain.audit.verifying import Verdict, Verifier
from controlplane.domain.keys import Keyring
from controlplane.kit.ids import TenantId


def unheard(_events: int, _of: int) -> None:
    """Nobody wants to know how far it is."""


async def verify(
    db: Database, keyring: Keyring, chain: TenantId | None, progress: Callable[[int, int], None] = unheard
) -> Verdict:
    """
    Args:
        chain: The tenant; None for the platform.
        progress: Told how many events of how many were verified.
    """
    async with _scope(db, chain) as tx:
        head = await checkpoints.head(tx)
        start = await checkpoints.start_of(tx)
        signed, unsigned = await checkpoints.signed(tx, keyring)
    verifier = Verifier(start, [each for each in signed if each.size >= start.head.seq])
    for damage in unsigned:
        verifier.damaged(damage.seq, damage.kind, damage.detail)
    through = head.seq if head else 0
    more = True
    while more:
        async with _scope(db, chain) as tx:
            more = await checkpoints.verify(tx, verifier, through)
        progress(verifier.events, through - start.head.seq)
    if head and head.seq > verifier.head.seq:
        verifier.damaged(
            verifier.head.seq + 1, "gap", f"{head.seq} events were written, the log ends at {verifier.head.seq}"
        )
    elif head and head.hash != verifier.head.hash:
        verifier.damaged(head.seq, "fork", f"event {head.seq} is not the one that was written last")
    verdict = verifier.finish()
    async with _scope(db, chain) as tx:
        await checkpoints.keep_verdict(tx, verdict, whole=True)
    return verdict


def _scope(db: Database, chain: TenantId | None) -> Any:
    return db.platform() if chain is None else db.tenant(chain)
