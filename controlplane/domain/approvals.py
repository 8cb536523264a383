"""Approvals: the sessions that go on only once a human has decided, and what was decided of each.

There is no table of them: a session that waits for approval is one, under the same number. A decision is a command to the
session's runtime.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Final, Literal, TypeAlias
from uuid import UUID

from msgspec import Struct

from controlplane.db import schema as t
from controlplane.db.database import TenantTx
from controlplane.domain import audit, commands, newest, outcomes, runtimes, sessions
from controlplane.domain.audit import Actor
from controlplane.domain.commands import DECISIONS, Command, Wanted
from controlplane.domain.newest import Reading
from controlplane.domain.outcomes import Filters
from controlplane.domain.sessions import Session
from controlplane.kit.ids import RuntimeId, text_id
from controlplane.kit.problems import NotFound, Refusal

Decision: TypeAlias = Literal["approve", "reject"]
State: TypeAlias = Literal["waiting", "decided", "over"]

PAST: Final = {"approve": "approval.approved", "reject": "approval.rejected"}

IN_FORCE: Final = frozenset({"queued", "delivered", "running", "succeeded"})
"""States of a decision that counts: one that failed or ran out leaves the question open."""


class ApprovalDecided(Refusal):
    """Somebody was quicker."""

    code, status, title = "approval-decided", 409, "This was decided already"
    hint = "Look who decided, and what came of it. A decision that fails leaves the question open again."

    def __init__(self, decision: Command) -> None:
        super().__init__(f"{decision.kind} by {decision.created_by}")
        self.decision = decision

    def facts(self) -> dict[str, object]:
        return {"decision": self.decision.kind, "command": text_id("cmd", self.decision.id)}


class Approval(Struct, frozen=True, kw_only=True):
    """A question, and the last decision on it, if there is one."""

    session: Session
    decision: Command | None

    @property
    def id(self) -> UUID:
        return self.session.id

    @property
    def since(self) -> datetime:
        """Since when it waits."""
        return self.session.changed_at

    @property
    def state(self) -> State:
        if not _waits(self.session):
            return "over"
        return "decided" if self.decision is not None and self.decision.state in IN_FORCE else "waiting"


async def listing(tx: Reading, filters: Filters, *, before: UUID | None = None, limit: int = 50) -> list[Approval]:
    """What waits now, newest session first, from the first one older than *before*.

    Args:
        filters: ``status`` in it does not count.
    """
    narrowed = await outcomes.search(tx, t.sessions, filters)
    waiting = narrowed.and_(t.sessions.c.status == "waiting", t.sessions.c.waiting_for == "human_approval")
    found = await newest.page(tx, Session, t.sessions, waiting, before=before, limit=limit)
    return await _with_decisions(tx, found)


async def get(tx: Reading, approval_id: UUID) -> Approval:
    """
    Raises:
        NotFound: If no session that *tx* can see waits under this number, nor was one decided on.
    """
    [found] = await _with_decisions(tx, [await sessions.get(tx, approval_id)])
    if found.state == "over" and found.decision is None:
        raise NotFound
    return found


async def decide(tx: TenantTx, actor: Actor, approval_id: UUID, decision: Decision, comment: str) -> Approval:
    """Approve or reject: the session's runtime is told, and says what came of it.

    Until it was delivered a decision can be turned round.

    Raises:
        NotFound: If nothing waits under this number, nor did.
        ApprovalDecided: If somebody has decided.
        SessionUnfit, RuntimeGone, TooManyCommands: If nothing could come of it.
    """
    session = await sessions.get(tx, approval_id)
    await runtimes.identify(tx, RuntimeId(session.runtime_id))  # of two at the same moment one is the first
    found = await get(tx, approval_id)
    before = found.decision
    if before is not None and found.state == "decided" and (before.state != "queued" or before.kind == decision):
        raise ApprovalDecided(before)
    command = await commands.create(tx, actor, Wanted(kind=decision, session_id=approval_id, comment=comment))
    own = {"comment": comment} if comment else {}
    action, target = PAST[decision], ("session", text_id("ses", approval_id))
    audit.record(tx, actor, action, target, own=own, command=text_id("cmd", command.id))
    return await get(tx, approval_id)


async def _with_decisions(tx: Reading, found: Sequence[Session]) -> list[Approval]:
    tenants = {session.tenant_id for session in found}
    last = await commands.newest_of_sessions(tx, list(tenants), [session.id for session in found], DECISIONS)
    return [Approval(session=session, decision=_on(session, last.get(session.id))) for session in found]


def _on(session: Session, decision: Command | None) -> Command | None:
    """The decision, unless it was on something that the session asked before."""
    if decision is None or not _waits(session):
        return decision
    return decision if decision.session_changed_at == session.changed_at else None


def _waits(session: Session) -> bool:
    return session.status == "waiting" and session.waiting_for == "human_approval"
