"""What each kind of command does here."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Final, TypeAlias

from runtime_agent.clock import Clock, to_ms
from runtime_agent.outbox import Outbox, cursor
from runtime_agent.outbox.position import position
from runtime_agent.sources import Source
from runtime_agent.sources.acting import Acting, Failed
from runtime_agent.wire.commands import Bundle, Command
from runtime_agent.wire.records import SessionState

Doer: TypeAlias = Callable[[Command], Awaitable[str | Bundle]]
"""Returns what came of it, for people, or a bundle of logs; raises :class:`Failed`."""

Look: TypeAlias = Callable[[], Awaitable[None]]
"""Looks at everything once more."""

DRAINED_S: Final = 0.2
"""Between looks at how far the log has got."""


def of_the_agent(outbox: Outbox, look: Look) -> dict[str, Doer]:
    """What concerns the agent alone, by kind. Another kind of that sort, such as making another key, goes in here."""

    async def rescan(command: Command) -> str:
        await look()
        return "looked at everything"

    async def drain(command: Command) -> str:
        await look()
        return f"the control plane holds all {await _everything_sent(outbox)} records of this epoch"

    return {"rescan": rescan, "drain": drain}


def of_sessions(outbox: Outbox, source: Source, acting: Acting, clock: Clock) -> dict[str, Doer]:
    """What concerns sessions, by kind.

    Args:
        source: Where they are.
        acting: The runtime's own interface.
    """

    async def pause(command: Command) -> str:
        return await acting.pause(command.session)

    async def cancel(command: Command) -> str:
        return await acting.cancel(command.session)

    async def decide(command: Command) -> str:
        await asyncio.to_thread(_check_still_asks, outbox, source, command, clock())
        words = f"{command.kind}: {command.comment}" if command.comment else command.kind
        return await acting.say(command.session, words)

    return {"pause": pause, "cancel": cancel, "approve": decide, "reject": decide}


async def _everything_sent(outbox: Outbox) -> int:
    """Until the control plane holds everything that is in the log now; returns how many records that is."""
    target = position(outbox)
    while (where := position(outbox)).acked < target.last_seq:
        if where.epoch != target.epoch:
            target = where
        await asyncio.sleep(DRAINED_S)
    return target.last_seq


def _check_still_asks(outbox: Outbox, source: Source, command: Command, now: datetime) -> None:
    """
    Raises:
        Failed: If the session does not wait for approval any more, or asks something else by now.
    """
    key = f"{command.agent}/{command.session}"
    try:
        reading = source.read(key, now=now, seen=cursor.seen(outbox, source.kind, key))
    except FileNotFoundError:
        raise Failed("session-gone", "the session's folder is not there any more") from None
    states = [draft.record for draft in reading.records if isinstance(draft.record, SessionState)]
    asks = any(state.waiting_for == "human_approval" for state in states)
    later = any(to_ms(state.changed_at) > to_ms(datetime.fromisoformat(command.changed_at)) for state in states)
    if not asks or later:
        raise Failed("session-moved-on", "the session does not ask any more what was decided on")
