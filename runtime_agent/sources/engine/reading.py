"""One session folder, read and put into words: what the source answers when it is asked about a unit."""

from datetime import UTC, datetime, timedelta, tzinfo

import msgspec
from msgspec import Struct

from runtime_agent.sources.engine import facts, session, status
from runtime_agent.sources.engine.folder import Folder, Reader
from runtime_agent.sources.engine.session import Session
from runtime_agent.sources.engine.shapes import StateFile
from runtime_agent.sources.engine.times import AHEAD, Times, compact
from runtime_agent.sources.engine.values import hexadecimal
from runtime_agent.sources.engine.visits import work
from runtime_agent.sources.source import STALE_AFTER, Draft, Reading, Seen
from runtime_agent.wire.heartbeat import Trouble
from runtime_agent.wire.records import CheckpointSeen

LINES: dict[str, str] = {
    "file-unreadable": "a file cannot be read with this account's rights",
    "file-not-regular": "a link, pipe or device stands in the place of a file",
    "file-too-large": "a document is larger than 16 MiB",
    "file-broken": "a document has been half written for more than ten minutes",
    "log-too-long": "a log is longer than 16 MiB; only its end is read",
    "session-without-time": "nothing tells when the session started",
}
"""Troubles of a session by code. They travel to the control plane, so they name the session and never a path."""

MOMENT = timedelta(milliseconds=1)


class Glance(Struct, frozen=True):
    """Under what circumstances a folder is read."""

    key: str
    """``<agent>/<session folder>``."""
    path: str
    zone: tzinfo | None
    now: datetime
    seen: Seen | None
    looked_at: datetime | None


def reading(at: Glance) -> Reading:
    """Everything to say about the session now."""
    folder = Reader(at.path, at.now, at.seen).read()
    seen = _observed(folder, at)
    it = None if folder.empty else _understood(folder, at, seen)
    if it is None:
        if not folder.empty and not folder.again:
            folder.codes.add("session-without-time")
        return Reading(seen=seen, again=folder.again, troubles=_troubles(folder.codes, at.key))
    started_at = it.moments.started_at
    assert started_at is not None
    states = [session.session_draft(it), session.run_draft(it)] if folder.complete else []
    running = folder.complete and it.standing.status == "running"
    costs = facts.costs(it.agent, it.name, folder.costs, it.times, _named_at(it) or started_at)
    return Reading(
        records=[
            *(draft for draft in states if draft is not None),
            *it.checkpoints,
            *costs,
        ],
        seen=seen,
        again=folder.again,
        open=running,
        due_at=_due_at(it.facts.touched_at if running else seen.broken_since if folder.again else None),
        touched_at=it.facts.touched_at,
        troubles=_troubles(folder.codes, at.key),
        spent=session.spent(it, costs),
    )


def _named_at(it: Session) -> datetime | None:
    """What the folder's name says, read as UTC: the same in every zone, and whatever state.json holds by now."""
    return Times(zone=UTC, latest=it.times.latest).named(compact(it.name))


def _due_at(since: datetime | None) -> datetime | None:
    """Just past the limit: at the limit itself a session still runs."""
    return since + STALE_AFTER + MOMENT if since is not None else None


def _observed(folder: Folder, at: Glance) -> Seen:
    """What the agent now knows by its own eyes. A copy with the same content is no change."""
    before = at.seen
    same = before is not None and before.content == folder.content
    changed_at = before.changed_at if before is not None else None
    if before is not None and not same and at.looked_at is not None:
        changed_at = at.looked_at
    broken_since = None
    if folder.broken:
        broken_since = before.broken_since if before is not None and same and before.broken_since else at.now
    return Seen(content=folder.content, changed_at=changed_at, broken_since=broken_since, held=folder.held)


def _understood(folder: Folder, at: Glance, seen: Seen) -> Session | None:
    """The session that the files tell of; None if nothing in them tells a time."""
    agent, _, name = at.key.partition("/")
    times = Times(zone=at.zone, latest=at.now + AHEAD)
    state, summary = folder.state or StateFile(), folder.summary
    found = session.moments(name, state, summary, times)
    checkpoints = facts.checkpoints(agent, name, folder.checkpoints, times, found.started_at)
    if found.started_at is None:
        if not checkpoints:
            return None
        found = msgspec.structs.replace(found, started_at=_created_at(checkpoints[0]))
    trace = hexadecimal(summary.trace_id) if summary else ""
    done = work(folder.details, folder.tools, trace=trace, times=times)
    told = session.facts(state, summary, found, session.touched_at(found, done, seen.changed_at), at.now)
    return Session(
        agent=agent,
        name=name,
        state=state,
        summary=summary,
        work=done,
        moments=found,
        facts=told,
        standing=status.standing(told),
        checkpoints=checkpoints,
        last_checkpoint_at=_created_at(checkpoints[-1]) if checkpoints else None,
        times=times,
    )


def _created_at(draft: Draft) -> datetime:
    assert isinstance(draft.record, CheckpointSeen)
    return draft.record.created_at


def _troubles(codes: set[str], key: str) -> list[Trouble]:
    return [Trouble(code=code, line=f"{LINES[code]}: {key}"[:500]) for code in sorted(codes)]
