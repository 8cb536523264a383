"""Which chores there are, and how often each is done."""

from collections.abc import Sequence
from datetime import timedelta

import msgspec

from controlplane.chores.loop import Chore
from controlplane.db.database import Database
from controlplane.db.partitions import Partitions
from controlplane.domain import idempotency, reports, sign_ins
from controlplane.domain.reports import Report
from controlplane.kit.presence import Presence

AT_ONCE = 5000
"""Last words written in one go."""


def chores(db: Database, presence: Presence, partitions: Partitions) -> Sequence[Chore]:
    """Everything this process sees to."""
    listening_since = db.clock()

    async def keep_reports() -> int:
        kept = 0
        while words := await presence.take(AT_ONCE):
            kept += await reports.keep(db, (msgspec.json.decode(word, type=Report) for word in words))
        return kept

    async def mark_silent_runtimes() -> int:
        return await reports.mark_silent(db, listening_since)

    async def forget_ended_sign_ins() -> int:
        async with db.platform() as tx:
            return await sign_ins.forget_ended(tx)

    async def forget_kept_answers() -> int:
        return await idempotency.forget_expired(db)

    return (
        Chore(name="forget-ended-sign-ins", every=timedelta(minutes=10), run=forget_ended_sign_ins),
        Chore(name="forget-kept-answers", every=timedelta(minutes=10), run=forget_kept_answers),
        Chore(name="keep-reports", every=timedelta(seconds=10), run=keep_reports, everywhere=True),
        Chore(name="mark-silent-runtimes", every=timedelta(seconds=10), run=mark_silent_runtimes),
        Chore(name="make-partitions", every=timedelta(hours=1), run=partitions.make_ahead),
    )
