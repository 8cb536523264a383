"""Two copies of one runtime's identity: how they are noticed, what becomes of them, and who lets one in again.

Each token call shows the join state that the last one was answered with. An older one comes from another copy, or from
a disk that went back; the two cannot be told apart, so neither gets in until a person has looked. One that was only long
on its way is known by its nonce.
"""

from datetime import datetime
from typing import Any, Final

import msgspec
from msgspec import Struct
from sqlalchemy import text

from controlplane.db import schema as t
from controlplane.db.database import TenantTx
from controlplane.domain import audit, runtimes
from controlplane.domain.audit import Actor
from controlplane.domain.join_calls import Book, Call
from controlplane.domain.runtimes import Identity
from controlplane.kit.ids import RuntimeId, text_id
from controlplane.kit.problems import Refusal

MOST_RECOVERIES: Final = 100


class RuntimeLocked(Refusal):
    """Two copies of this runtime's identity have been seen. Both are locked out, and keep their outboxes."""

    code, status, title = "runtime-locked", 403, "Two copies of this runtime's identity were seen"
    hint = (
        "Nothing is lost: the agent keeps its outbox. Stop the copy and have it join with a token of its own; "
        "then release the runtime (POST …/runtimes/{runtime}/release, or the console)."
    )


class TokenCallOvertaken(Refusal):
    """It was answered before, and others since; or it may have been, and our database knows no more."""

    code, status, title = "token-call-overtaken", 409, "Later calls for tokens of this runtime have been answered"
    hint = (
        "An agent hears this only if its disk went back or was copied. It asks once more by itself, and is told which; "
        "in the quarter of an hour after a restore of the control plane it goes on asking until then."
    )


class Turn(Struct, frozen=True, kw_only=True):
    """What a token call that was let in is answered with."""

    count: int
    """Of the join state."""
    generation: int


COUNT: Final = text("""
    UPDATE runtimes SET join_count = :count, join_nonce = :nonce, join_calls = CAST(:calls AS jsonb), released = false,
        recoveries = :recoveries, generation = :generation
    WHERE tenant_id = :tenant_id AND id = :id
""")


async def count_call(tx: TenantTx, runtime: Identity, shown: int | None, nonce: str) -> Turn | None:
    """Count a token call, or lock the runtime: then None, and the caller refuses once that is committed.

    The same nonce gets the same answer, so that a lost reply does no harm. After a release the first call that was never
    seen before is let in whatever it shows.

    Args:
        runtime: From :func:`runtimes.identify` in the same transaction.
        shown: The counter in the join state that was shown; None: it was not one of ours.

    Raises:
        TokenCallOvertaken: If it has been answered before the last one. That changes nothing.
    """
    calls = msgspec.convert(runtime.join_calls, list[Call])
    book = Book(count=runtime.join_count, nonce=runtime.join_nonce, calls=calls)
    kind = book.kind(shown, nonce, tx.now, released=runtime.released)
    if kind == "again":
        return Turn(count=runtime.join_count, generation=runtime.generation)
    if kind == "late":
        raise TokenCallOvertaken
    recoveries, generation = runtime.recoveries, runtime.generation
    if kind == "old":
        if not recoveries:
            await lock(tx, runtime.id, "join-state", shown=shown, expected=runtime.join_count)
            return None
        recoveries, generation = recoveries - 1, generation + 1
        _tell(tx, runtime.id, "runtime.recovered", shown=shown, expected=runtime.join_count, left=recoveries)
    after = book.after(shown, nonce, tx.now)
    its = {"count": after.count, "nonce": nonce, "calls": msgspec.json.encode(after.calls).decode()}
    await tx.load(COUNT, id=runtime.id, **its, recoveries=recoveries, generation=generation)
    return Turn(count=after.count, generation=generation)


async def lock(tx: TenantTx, runtime_id: RuntimeId, cause: str, **facts: int | None) -> None:
    """Let neither copy in: tokens already given end at their next call.

    Args:
        cause: ``join-state``: an old one was shown; ``boots``: two programs take turns in its heartbeats.
    """
    mine = tx.update(t.runtimes).where(t.runtimes.c.id == runtime_id, t.runtimes.c.locked_at.is_(None))
    locked = await tx.run(
        mine.values(
            locked_at=tx.now,
            generation=t.runtimes.c.generation + 1,
            state="locked",
            state_reason=_REASONS[cause],
            state_since=tx.now,
        )
    )
    if locked:
        _tell(tx, runtime_id, "runtime.locked", cause=cause, **facts)


async def release(tx: TenantTx, actor: Actor, runtime_id: RuntimeId, recoveries: int = 0) -> None:
    """Let the next call in, whichever copy makes it; whoever calls with an old join state after that locks it again.

    Also before a disk is put back on purpose: then nobody is locked.

    Args:
        recoveries: How many old join states are let through after that without a person, each told as it happens.

    Raises:
        NotFound: If this tenant has no such runtime.
        RuntimeGone: If it has been revoked or has left.
    """
    runtime = await runtimes.present(tx, runtime_id)
    changed: dict[str, object] = {"released": True, "recoveries": recoveries, "locked_at": None}
    if runtime.locked_at is not None:
        reason = f"released by {actor.kind} {actor.id}, not heard from since"
        changed |= {"state": "silent", "state_reason": reason, "state_since": tx.now}
    await tx.run(tx.update(t.runtimes).where(t.runtimes.c.id == runtime_id).values(**changed))
    locked_for = _seconds(runtime.locked_at, tx.now)
    target = ("runtime", text_id("rt", runtime_id))
    audit.record(tx, actor, "runtime.released", target, recoveries=recoveries, locked_for_s=locked_for)


_REASONS: Final = {
    "join-state": "two copies of its identity were seen: one asked for a token with an old join state",
    "boots": "two copies of its identity were seen: two programs take turns in its heartbeats",
}


def _tell(tx: TenantTx, runtime_id: RuntimeId, action: str, **facts: Any) -> None:
    name = text_id("rt", runtime_id)
    audit.record(tx, Actor(kind="runtime", id=name), action, ("runtime", name), **facts)


def _seconds(since: datetime | None, now: datetime) -> int | None:
    return None if since is None else int((now - since).total_seconds())
