"""Asking a runtime to do something, and taking that back while it can be."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Final
from uuid import UUID

import msgspec
from msgspec import Struct
from sqlalchemy import text

from controlplane.db import schema as t
from controlplane.db.database import TenantTx
from controlplane.domain import audit, runtimes, sessions
from controlplane.domain.audit import Actor
from controlplane.domain.commands import receipts, travelling
from controlplane.domain.commands.receipts import Command, Turned
from controlplane.domain.runtimes import RuntimeGone
from controlplane.domain.sessions import Session
from controlplane.kit.clock import rfc3339
from controlplane.kit.ids import CommandId, RuntimeId, new_id, text_id
from controlplane.kit.problems import NotFound, Refusal
from runtime_agent.wire.logs import Log

LIFETIME: Final = timedelta(hours=1)
"""Until when it must have begun, where nobody says."""

LONGEST: Final = timedelta(days=30)

MOST_OPEN: Final = 100
"""Commands of one runtime that are not finished."""

AT_REST: Final = frozenset({"resume", "human_approval", "succeeded", "failed", "cancelled", "lost"})

FITTING: Final[Mapping[str, frozenset[str]]] = MappingProxyType(
    {
        "pause": frozenset({"running"}),
        "resume": frozenset({"resume"}),
        "cancel": frozenset({"running", "resume", "human_approval"}),
        "approve": frozenset({"human_approval"}),
        "reject": frozenset({"human_approval"}),
        "rollback": AT_REST,
        "undo": AT_REST,
    }
)
"""What a session has to do for a command to be of use to it: its status, or what it waits for. Other kinds are about
the runtime as a whole, but :data:`COLLECT`, which is about either, whatever it does."""

COLLECT: Final = "collect-logs"

WITHDRAWN: Final = "withdrawn"

DECISIONS: Final = ("approve", "reject")


class SessionUnfit(Refusal):
    """The command would come to nothing."""

    code, status, title = "session-unfit", 409, "The session is not in a state for this command"
    hint = "Pause what runs, resume what was paused, decide on what waits for approval; roll back what does not run."

    def __init__(self, standing: str) -> None:
        super().__init__(f"the session stands at {standing}")
        self.standing = standing

    def facts(self) -> dict[str, object]:
        return {"standing": self.standing}


class SessionMayRun(Refusal):
    """It was not touched for ten minutes, and never said that it ends."""

    code, status, title = "session-may-run", 409, "The session looks lost, and its process may still live"
    hint = "Make sure on its machine that nothing runs it any more, then say so: though_lost. Or cancel it there first."


class TooManyCommands(Refusal):
    code, status, title = "too-many-commands", 409, f"The runtime has {MOST_OPEN} commands that are not finished"
    hint = "Wait for it, or withdraw some."


class NotAfterUnfit(Refusal):
    code, status, title = "not-after-unfit", 400, "A command must be able to begin"
    hint = f"not_after lies in the future, and at most {LONGEST.days} days ahead."


class CommandUnderWay(Refusal):
    """The runtime has it."""

    code, status, title = "command-under-way", 409, "The command was delivered, or is finished already"
    hint = "What a runtime has on its disk it carries out. Ask for the opposite instead."


class RangeUnfit(Refusal):
    """No log was written in that time."""

    code, status, title = "range-unfit", 400, "There is no such time"
    hint = "since lies before until, and not in the future; of a whole runtime it says since when."


class Range(Struct, frozen=True, kw_only=True):
    """Which logs are to be collected."""

    logs: Sequence[Log]
    since: datetime | None = None
    until: datetime | None = None


class Wanted(Struct, frozen=True, kw_only=True):
    kind: str
    runtime_id: UUID | None = None
    session_id: UUID | None = None
    """For the kinds in :data:`FITTING`; says which runtime, too."""
    checkpoint_id: UUID | None = None
    """Of that session: where a rollback goes, and from where a resume may go on."""
    though_lost: bool = False
    """Whoever asks has made sure that a session which looks lost has ended."""
    comment: str = ""
    not_after: datetime | None = None
    collecting: Range | None = None
    """Of :data:`COLLECT`, and of no other kind."""


class _Newest(Struct, frozen=True):
    number: int
    unfinished: int


NUMBERED: Final = text("""
    SELECT coalesce(max(c.number), 0) AS number, count(*) FILTER (WHERE c.ended_at IS NULL) AS unfinished
    FROM commands c WHERE c.tenant_id = :tenant_id AND c.runtime_id = :runtime_id
""")


def fits(kind: str, session: Session, *, placed: bool = False) -> bool:
    """Whether a command of *kind* could come to something there.

    Args:
        placed: It says from which checkpoint.
    """
    return kind == COLLECT or _standing(session) in (AT_REST if placed else FITTING[kind])


async def create(tx: TenantTx, actor: Actor, wanted: Wanted) -> Command:
    """Ask a runtime to do something. What was asked of the same thing and not yet delivered is superseded.

    Raises:
        NotFound: If the tenant has no such runtime or session, or the session no such checkpoint.
        RuntimeGone, SessionUnfit, TooManyCommands, NotAfterUnfit, RangeUnfit, NothingToUndo: If nothing could come of it.
        SessionMayRun: If it could come to harm.
    """
    session = None if wanted.session_id is None else await sessions.get(tx, wanted.session_id)
    if session is not None and not fits(wanted.kind, session, placed=wanted.checkpoint_id is not None):
        raise SessionUnfit(_standing(session))
    if session is not None and session.status == "lost" and not wanted.though_lost:
        raise SessionMayRun
    place = await travelling.place(tx, wanted.kind, session, wanted.checkpoint_id)
    not_after = wanted.not_after or tx.now + LIFETIME
    if not tx.now < not_after <= tx.now + LONGEST:
        raise NotAfterUnfit
    _check_range(wanted, tx.now)
    runtime_id = RuntimeId(session.runtime_id) if session is not None else wanted.runtime_id
    if runtime_id is None or (wanted.runtime_id or runtime_id) != runtime_id:
        raise NotFound
    number = await _numbered(tx, RuntimeId(runtime_id))
    command_id = CommandId(new_id(tx.now))
    await _supersede(tx, RuntimeId(runtime_id), wanted, command_id)
    row = {
        "id": command_id,
        "runtime_id": runtime_id,
        "number": number,
        "kind": wanted.kind,
        "session_id": wanted.session_id,
        "agent": session.agent if session else "",
        "source_id": session.source_id if session else "",
        "session_changed_at": session.changed_at if session and wanted.kind in DECISIONS else None,
        "though_lost": wanted.though_lost,
        "comment": wanted.comment,
        "state": "queued",
        "code": "",
        "detail": "",
        "created_by": actor.id,
        "created_at": tx.now,
        "not_after": not_after,
        **msgspec.structs.asdict(place),
        **_columns(wanted.collecting),
    }
    await tx.run(tx.insert(t.commands).values(**row))
    _record(tx, actor, "command.created", await receipts.get(tx, command_id), not_after=rfc3339(not_after))
    return await receipts.get(tx, command_id)


async def withdraw(tx: TenantTx, actor: Actor, command_id: UUID) -> Command:
    """Take a command back that its runtime does not have yet. Doing it again changes nothing.

    Raises:
        NotFound: If the tenant has no such command.
        CommandUnderWay: If its runtime has it, or it is finished.
    """
    command = await receipts.get(tx, command_id)
    if command.code == WITHDRAWN:
        return command
    queued = tx.update(t.commands).where(t.commands.c.id == command_id, t.commands.c.state == "queued")
    ended = queued.values(state="superseded", code=WITHDRAWN, detail=f"withdrawn by {actor.id}", ended_at=tx.now)
    turned = await tx.take(Turned, ended) if command.state == "queued" else []
    if not turned:
        raise CommandUnderWay
    receipts.tell(tx, turned[0])
    _record(tx, actor, "command.withdrawn", command)
    return await receipts.get(tx, command_id)


async def _numbered(tx: TenantTx, runtime_id: RuntimeId) -> int:
    """The next number of the runtime's commands, its row locked: they are numbered one after the other.

    Raises:
        RuntimeGone, TooManyCommands: If it takes no more.
    """
    runtime = await runtimes.get(tx, runtime_id)
    if runtime.revoked_at is not None or await runtimes.identify(tx, runtime_id) is None:
        raise RuntimeGone
    [newest] = await tx.query(_Newest, NUMBERED, tenant_id=tx.tenant_id, runtime_id=runtime_id)
    if newest.unfinished >= MOST_OPEN:
        raise TooManyCommands
    return newest.number + 1


async def _supersede(tx: TenantTx, runtime_id: RuntimeId, wanted: Wanted, by: CommandId) -> None:
    its = t.commands.c
    older = tx.update(t.commands).where(its.runtime_id == runtime_id, its.state == "queued")
    older = older.where((its.kind == COLLECT) == (wanted.kind == COLLECT))
    if wanted.session_id is not None:
        older = older.where(its.session_id == wanted.session_id)
    else:
        older = older.where(its.session_id.is_(None), its.kind == wanted.kind)
    ended = older.values(state="superseded", code="superseded", detail="", superseded_by=by, ended_at=tx.now)
    for each in await tx.take(Turned, ended):
        receipts.tell(tx, each)


def _check_range(wanted: Wanted, now: datetime) -> None:
    """
    Raises:
        RangeUnfit: If nothing can have been written then.
    """
    asked = wanted.collecting
    assert (asked is not None) == (wanted.kind == COLLECT), "each kind takes what it is about"
    if asked is None:
        return
    if asked.since is None and wanted.session_id is None:
        raise RangeUnfit("of a whole runtime it says since when")
    if asked.since is not None and not asked.since < (asked.until or now):
        raise RangeUnfit("it ends before it begins")


def _columns(asked: Range | None) -> dict[str, object]:
    if asked is None:
        return {}
    return {"logs": list(asked.logs), "logged_since": asked.since, "logged_until": asked.until}


def _standing(session: Session) -> str:
    """The status, and of what waits what for."""
    return (session.waiting_for or session.status) if session.status == "waiting" else session.status


def _record(tx: TenantTx, actor: Actor, action: str, command: Command, **facts: object) -> None:
    about = {"runtime": text_id("rt", command.runtime_id), "kind": command.kind}
    if command.session_id is not None:
        about["session"] = text_id("ses", command.session_id)
    if command.checkpoint_id is not None:
        about["checkpoint"] = text_id("cp", command.checkpoint_id)
    if command.undoes is not None:
        about["undoes"] = text_id("cmd", command.undoes)
    if command.logs is not None:
        about["logs"] = ",".join(command.logs)
    own: dict[str, object] = {"comment": command.comment} if command.comment else {}
    if command.though_lost:
        own["though_lost"] = True
    audit.record(tx, actor, action, ("command", text_id("cmd", command.id)), own=own, **about, **facts)
