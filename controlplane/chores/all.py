"""Which chores there are, and how often each is done."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Protocol

from controlplane.chores import audit_logs, keys, lifecycle, vault, webhooks
from controlplane.chores.check_domains import check_domains
from controlplane.chores.commands import expire_commands
from controlplane.chores.content import collect_content
from controlplane.chores.impersonations import end_impersonations
from controlplane.chores.loop import Chore
from controlplane.chores.rollouts import advance_rollouts
from controlplane.chores.send_mails import send_mails
from controlplane.chores.webhooks import Courier
from controlplane.db.database import Database
from controlplane.db.partitions import Partitions
from controlplane.domain import ceremonies, idempotency, key_uses, reports, sign_ins, silences
from controlplane.domain.audit.denials import Denials
from controlplane.domain.key_uses import KeyUses
from controlplane.domain.keys import Keyring
from controlplane.domain.letters import Letterhead
from controlplane.domain.sso import flows
from controlplane.domain.vault.catalogue import Catalogue
from controlplane.kit.blobs import Blobs
from controlplane.kit.mailing import Post
from controlplane.kit.oauth.calling import Caller
from controlplane.kit.presence import Presence
from controlplane.kit.txt_records import TxtRecords
from controlplane.kit.wakeups import Wakeups

AT_ONCE = 5000
"""Last words written in one go."""


class Crowd(Protocol):
    """Who may come back at once."""

    talking: int

    @property
    def window_ms(self) -> int:
        """In which they are asked to."""
        ...


def chores(
    db: Database,
    partitions: Partitions,
    uses: Sequence[KeyUses],
    post: Post,
    letterhead: Letterhead,
) -> Sequence[Chore]:
    """What this process sees to at any time."""

    async def keep_key_uses() -> int:
        return sum([await each.keep(db) for each in uses])

    async def forget_ended_sign_ins() -> int:
        async with db.platform() as tx:
            return await sign_ins.forget_ended(tx) + await ceremonies.forget_ended(tx)

    async def send_letters() -> int:
        return await send_mails(db, post, letterhead)

    async def forget_kept_answers() -> int:
        return await idempotency.forget_expired(db)

    return (
        Chore(name="forget-ended-sign-ins", every=timedelta(minutes=10), run=forget_ended_sign_ins),
        Chore(name="end-impersonations", every=timedelta(seconds=10), run=partial(end_impersonations, db)),
        Chore(name="expire-commands", every=timedelta(seconds=5), run=partial(expire_commands, db)),
        Chore(name="forget-kept-answers", every=timedelta(minutes=10), run=forget_kept_answers),
        Chore(name="keep-key-uses", every=key_uses.EVERY, run=keep_key_uses, everywhere=True),
        Chore(name="send-mails", every=timedelta(seconds=5), run=send_letters),
        Chore(name="make-partitions", every=timedelta(hours=1), run=partitions.make_ahead),
    )


def of_presence(db: Database, presence: Presence, crowd: Crowd) -> Sequence[Chore]:
    """What is to be known and written of who is there."""
    listening_since = db.clock()

    async def keep_reports() -> int:
        kept = 0
        while words := await presence.take(AT_ONCE):
            kept += await reports.keep(db, map(reports.REMEMBERED.decode, words))
        return kept

    async def mark_silent_runtimes() -> int:
        remembers_since = await presence.since(db.clock().timestamp())
        if remembers_since is None:
            return 0  # who is there is not known
        since = max(listening_since, datetime.fromtimestamp(remembers_since, UTC))
        return await silences.mark_silent(db, presence, since + timedelta(milliseconds=crowd.window_ms))

    async def count_runtimes() -> int:
        crowd.talking = await silences.talking(db)
        return crowd.talking

    return (
        Chore(name="count-runtimes", every=timedelta(seconds=30), run=count_runtimes, everywhere=True),
        Chore(name="keep-reports", every=timedelta(seconds=10), run=keep_reports, everywhere=True),
        Chore(name="mark-silent-runtimes", every=timedelta(seconds=10), run=mark_silent_runtimes),
    )


def of_webhooks(db: Database, courier: Courier) -> Sequence[Chore]:
    """What brings events to those who wait for them."""
    return (
        Chore(name="deliver-webhooks", every=timedelta(seconds=1), run=courier.run, everywhere=True),
        Chore(name="prune-events", every=timedelta(hours=1), run=partial(webhooks.prune, db)),
    )


def of_vault(db: Database, catalogue: Catalogue, caller: Caller) -> Sequence[Chore]:
    """What connections to accounts elsewhere leave to be done."""
    revoke = partial(vault.revoke, db, catalogue, caller)
    return (
        Chore(name="end-unconfirmed-connections", every=timedelta(seconds=10), run=partial(vault.end_unconfirmed, db)),
        Chore(name="revoke-at-providers", every=timedelta(seconds=5), run=revoke, longest=timedelta(minutes=10)),
        Chore(name="forget-connecting", every=timedelta(hours=1), run=partial(vault.forget, db)),
    )


def of_keys(db: Database, wakeups: Wakeups, rest: timedelta) -> Sequence[Chore]:
    """What is done with the keys that secrets are kept under.

    Args:
        rest: How long replaced data keys are kept after nothing names them.
    """
    rotate = partial(keys.rotate, db, rest, wakeups)
    return (
        Chore(name="rotate-keys", every=timedelta(seconds=5), run=rotate, longest=timedelta(hours=1)),
        Chore(
            name="forget-keys",
            every=timedelta(milliseconds=100),
            run=partial(keys.forget, db, wakeups),
            everywhere=True,
        ),
    )


def of_audit_logs(
    db: Database, keyring: Keyring, denials: Denials, folder: Path | None, syslog: str | None
) -> Sequence[Chore]:
    """What keeps the audit logs provable.

    Args:
        folder: Where signed checkpoints leave the database for; None: nowhere.
        syslog: Where every event is sent; None: nowhere.
    """
    sign, verify = partial(audit_logs.sign, db, keyring, folder), partial(audit_logs.verify, db, keyring)
    always = (
        Chore(name="sign-audit-logs", every=timedelta(seconds=10), run=sign),
        Chore(name="seal-vault-reads", every=timedelta(seconds=1), run=partial(audit_logs.seal_reads, db)),
        Chore(name="verify-audit-logs", every=timedelta(hours=1), run=verify),
        Chore(name="prune-audit-logs", every=timedelta(hours=1), run=partial(audit_logs.prune, db)),
        Chore(name="sum-up-denials", every=timedelta(seconds=15), run=denials.sum_up, everywhere=True),
    )
    if syslog is None:
        return always
    stream = partial(audit_logs.stream, db, syslog)
    return (*always, Chore(name="stream-audit-logs", every=timedelta(seconds=5), run=stream))


def of_sign_on(db: Database, records: TxtRecords) -> Sequence[Chore]:
    """What single sign-on leaves to be done."""

    async def look_at_domains() -> int:
        return await check_domains(db, records)

    async def forget_flows() -> int:
        async with db.platform() as tx:
            return await flows.forget_ended(tx)

    return (
        Chore(name="check-domains", every=timedelta(hours=1), run=look_at_domains),
        Chore(name="forget-sign-on-flows", every=timedelta(minutes=10), run=forget_flows),
    )


def of_content(db: Database, blobs: Blobs) -> Sequence[Chore]:
    """What checkpoint content leaves to be done."""
    return (Chore(name="collect-content", every=timedelta(minutes=10), run=partial(collect_content, db, blobs)),)


def of_configs(db: Database, wakeups: Wakeups) -> Sequence[Chore]:
    """What brings configuration to runtimes."""
    advance = partial(advance_rollouts, db, wakeups)
    return (Chore(name="advance-rollouts", every=timedelta(seconds=1), run=advance),)


def of_lifecycles(db: Database, keyring: Keyring, folder: Path | None, blobs: Blobs) -> Sequence[Chore]:
    """What becomes of tenants: their archives, their end, and what they have of what they may have.

    Args:
        folder: Where certificates of purges are kept beside the database; None: nowhere.
    """

    async def keep_tombstones() -> int:
        return await lifecycle.keep_tombstones(db, folder) if folder else 0

    purge, write = partial(lifecycle.purge_tenants, db, keyring, folder, blobs), partial(lifecycle.write_exports, db)
    return (
        Chore(name="expire-exports", every=timedelta(hours=1), run=partial(lifecycle.expire_exports, db)),
        Chore(name="keep-tombstones", every=timedelta(minutes=10), run=keep_tombstones, everywhere=True),
        Chore(name="purge-tenants", every=timedelta(minutes=1), run=purge),
        Chore(name="recount-quotas", every=timedelta(days=1), run=partial(lifecycle.recount, db)),
        Chore(name="write-exports", every=timedelta(seconds=5), run=write, longest=timedelta(hours=1)),
    )
