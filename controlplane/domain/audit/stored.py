"""Verification of a whole log where it is kept: page by page, with every checkpoint, against the head's own word."""

from collections.abc import Callable

from controlplane.db.database import Database
from controlplane.domain.audit import checkpoints, reads
from controlplane.domain.audit.events import START, Head
from controlplane.domain.audit.reads_verifying import compare
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
    async with db.scoped(chain) as tx:
        start = await checkpoints.start_of(tx)
        signed, unsigned = await checkpoints.signed(tx, keyring)
        head = await checkpoints.head(tx) or Head(0, START)  # last: whatever was signed before is behind it
    verifier = Verifier(start, [each for each in signed if each.size >= start.head.seq])
    for damage in unsigned:
        verifier.damaged(damage.seq, damage.kind, damage.detail)
    more = True
    while more:
        async with db.scoped(chain) as tx:
            more = await checkpoints.verify(tx, verifier, head.seq)
        progress(verifier.events, head.seq - start.head.seq)
    _compare(verifier, head)
    if chain is not None:
        await _reads(db, chain, verifier, head.seq)
    verdict = verifier.finish()
    async with db.scoped(chain) as tx:
        pruned_meanwhile = (await checkpoints.start_of(tx)).head != start.head
        if not pruned_meanwhile:
            await checkpoints.keep_verdict(tx, verdict, whole=True)
    return await verify(db, keyring, chain, progress) if pruned_meanwhile else verdict


async def _reads(db: Database, chain: TenantId, verifier: Verifier, through: int) -> None:
    """The reads of credentials, against the roots over them."""
    last, more = 0, True
    while more:
        async with db.tenant(chain) as tx:
            sealing = await reads.sealing(tx, last, through)
            found = await reads.under(tx, [event.seq for event in sealing])
            stray = await reads.under_nothing(tx) if last == 0 else []
        for seq in stray:
            verifier.damaged(seq, "reads", f"reads are said to be sealed by event {seq}, which seals none")
        for event in sealing:
            compare(verifier, event.seq, event.facts, found[event.seq])
            last = event.seq
        more = bool(sealing)


def _compare(verifier: Verifier, head: Head) -> None:
    """What the lock row says the last event is, against the last event."""
    last = verifier.head
    if head.seq > last.seq:
        verifier.damaged(last.seq + 1, "gap", f"{head.seq} events were written, the log ends at {last.seq}")
    elif head != last:
        verifier.damaged(head.seq, "fork", f"event {head.seq} is not the one that was written last")
