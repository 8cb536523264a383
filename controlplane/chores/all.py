"""Which chores there are, and how often each is done."""

from collections.abc import Sequence
from datetime import timedelta
from functools import partial
from pathlib import Path

import msgspec

from controlplane.chores import lifecycle
from controlplane.chores.loop import Chore
from controlplane.db.database import Database
from controlplane.db.partitions import Partitions
from controlplane.domain import reports, sign_ins
from controlplane.domain.keys import Keyring
from controlplane.domain.reports import Report
from controlplane.kit.presence import Presence

AT_ONCE = 5000
"""Last words written in one go."""


def chores(
    db: Database, presence: Presence, partitions: Partitions, keyring: Keyring, folder: Path | None
) -> Sequence[Chore]:
    """Everything this process sees to.

    Args:
        folder: Where certificates of purges are kept beside the database; None: nowhere.
    """
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

    async def keep_tombstones() -> int:
        return await lifecycle.keep_tombstones(db, folder) if folder else 0

    return (
        Chore(name="expire-exports", every=timedelta(hours=1), run=partial(lifecycle.expire_exports, db)),
        Chore(name="keep-tombstones", every=timedelta(minutes=10), run=keep_tombstones, everywhere=True),
        Chore(
            name="purge-tenants", every=timedelta(minutes=1), run=partial(lifecycle.purge_tenants, db, keyring, folder)
        ),
        Chore(name="recount-quotas", every=timedelta(days=1), run=partial(lifecycle.recount, db)),
        Chore(
            name="write-exports",
            every=timedelta(seconds=5),
            run=partial(lifecycle.write_exports, db),
            longest=timedelta(hours=1),
        ),
        Chore(name="forget-ended-sign-ins", every=timedelta(minutes=10), run=forget_ended_sign_ins),
        Chore(name="keep-reports", every=timedelta(seconds=10), run=keep_reports, everywhere=True),
        Chore(name="mark-silent-runtimes", every=timedelta(seconds=10), run=mark_silent_runtimes),
        Chore(name="make-partitions", every=timedelta(hours=1), run=partitions.make_ahead),
    )
