"""An impersonation as it is shown: to the tenant whose people it is about, and to operators."""

from collections.abc import Sequence
from datetime import datetime

from msgspec import Struct

from controlplane.db.database import PlatformTx
from controlplane.domain import people
from controlplane.domain.impersonation.requests import Impersonation, State
from controlplane.domain.masks import Mode
from controlplane.domain.people import Account
from controlplane.http.instants import Moment, moment
from controlplane.kit.ids import AccountId, text_id


class OperatorNamed(Struct, frozen=True, kw_only=True):
    id: str
    """Of the account."""
    name: str
    email: str


class ImpersonationView(Struct, frozen=True, kw_only=True):
    id: str
    tenant: str
    user: str
    """As whom: `usr_…`."""
    operator: OperatorNamed
    reason: str
    ticket: str
    mode: Mode
    minutes: int
    """From its start on."""
    state: State
    requested_at: Moment
    expires_at: Moment
    """Until when it can be agreed to; once it is, until when it can begin."""
    consented_at: Moment | None
    consented_by: str
    """`policy` where the tenant allows it without asking."""
    started_at: Moment | None
    ends_at: Moment | None
    ended_at: Moment | None
    ended_by: str
    outcome: str
    """How it ended; empty while it has not: `refused`, `expired`, `operator`, `owner`, `time`, `policy`, `person`, `tenant`
    or `signed-out`."""


async def operators_of(tx: PlatformTx, rows: Sequence[Impersonation]) -> dict[AccountId, Account]:
    """Who is behind *rows*; an account that was deleted meanwhile is not among them."""
    return await people.accounts(tx, [row.operator_id for row in rows])


def impersonation_view(row: Impersonation, operators: dict[AccountId, Account], now: datetime) -> ImpersonationView:
    operator = operators.get(row.operator_id)
    return ImpersonationView(
        id=text_id("imp", row.id),
        tenant=text_id("ten", row.tenant_id),
        user=text_id("usr", row.user_id),
        operator=OperatorNamed(
            id=text_id("acc", row.operator_id),
            name=operator.name if operator else "",
            email=operator.email if operator else "",
        ),
        reason=row.reason,
        ticket=row.ticket,
        mode=row.mode,
        minutes=row.minutes,
        state=row.state(now),
        requested_at=moment(row.requested_at),
        expires_at=moment(row.expires_at),
        consented_at=moment(row.consented_at),
        consented_by=row.consented_by,
        started_at=moment(row.started_at),
        ends_at=moment(row.ends_at),
        ended_at=moment(row.ended_at),
        ended_by=row.ended_by,
        outcome=row.outcome,
    )
