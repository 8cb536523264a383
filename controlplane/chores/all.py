"""Which chores there are, and how often each is done."""

from collections.abc import Sequence
from datetime import timedelta

import msgspec

from controlplane.chores.check_domains import check_domains
from controlplane.chores.loop import Chore
from controlplane.chores.send_mails import send_mails
from controlplane.db.database import Database
from controlplane.db.partitions import Partitions
from controlplane.domain import ceremonies, reports, sign_ins
from controlplane.domain.letters import Letterhead
from controlplane.domain.reports import Report
from controlplane.domain.sso import flows
from controlplane.kit.mailing import Post
from controlplane.kit.presence import Presence
from controlplane.kit.txt_records import TxtRecords

AT_ONCE = 5000
"""Last words written in one go."""


def chores(
    db: Database,
    presence: Presence,
    partitions: Partitions,
    post: Post,
    letterhead: Letterhead,
    records: TxtRecords,
) -> Sequence[Chore]:
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
            sessions = await sign_ins.forget_ended(tx) + await ceremonies.forget_ended(tx)
            return sessions + await flows.forget_ended(tx)

    async def send_letters() -> int:
        return await send_mails(db, post, letterhead)

    async def look_at_domains() -> int:
        return await check_domains(db, records)

    return (
        Chore(name="check-domains", every=timedelta(hours=1), run=look_at_domains),
        Chore(name="forget-ended-sign-ins", every=timedelta(minutes=10), run=forget_ended_sign_ins),
        Chore(name="keep-reports", every=timedelta(seconds=10), run=keep_reports, everywhere=True),
        Chore(name="mark-silent-runtimes", every=timedelta(seconds=10), run=mark_silent_runtimes),
        Chore(name="send-mails", every=timedelta(seconds=5), run=send_letters),
        Chore(name="make-partitions", every=timedelta(hours=1), run=partitions.make_ahead),
    )
