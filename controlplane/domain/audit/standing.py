"""What is known of a tenant's log at a glance: how long it is, how far it is signed and verified, what was found."""

from datetime import datetime

import msgspec
from msgspec import Struct

from controlplane.db import schema as t
from controlplane.db.database import TenantTx
from controlplane.domain.audit import checkpoints
from controlplane.domain.audit.retention import DEFAULT_DAYS, retention
from controlplane.domain.audit.verifying import Damage


class Standing(Struct, frozen=True, kw_only=True):
    first_seq: int
    """The oldest event that was not pruned."""
    last_seq: int
    signed_through: int
    """0: no checkpoint yet."""
    signed_at: datetime | None
    verified_through: int
    """0: not verified yet. New events are verified when they are signed."""
    verified_at: datetime | None
    whole_at: datetime | None
    """When all events were verified together for the last time."""
    damages: list[Damage]
    """Empty: what was verified is what was written."""
    kept_days: int
    held: str | None
    """Why nothing is deleted, whatever its age."""

    @property
    def events(self) -> int:
        return self.last_seq - self.first_seq + 1


class _Verdict(Struct, frozen=True):
    through: int
    verified_at: datetime
    whole_at: datetime | None
    damages: list[dict[str, object]]


async def standing(tx: TenantTx) -> Standing:
    head, signed = await checkpoints.head(tx), await checkpoints.newest(tx)
    verdict = await tx.first(_Verdict, tx.select(t.audit_verdicts))
    kept = await retention(tx)
    return Standing(
        first_seq=(await checkpoints.start_of(tx)).head.seq + 1,
        last_seq=head.seq if head else 0,
        signed_through=signed.size if signed else 0,
        signed_at=signed.made_at if signed else None,
        verified_through=verdict.through if verdict else 0,
        verified_at=verdict.verified_at if verdict else None,
        whole_at=verdict.whole_at if verdict else None,
        damages=msgspec.convert(verdict.damages, list[Damage]) if verdict else [],
        kept_days=kept.days or DEFAULT_DAYS,
        held=kept.held,
    )
