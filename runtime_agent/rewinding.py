"""What brings a session back to one of its checkpoints, lets it go on from there, and takes that back."""

import asyncio
from contextlib import suppress
from typing import NamedTuple

from runtime_agent.clock import Clock
from runtime_agent.content import bringing_back
from runtime_agent.doing import Doer, Look
from runtime_agent.outbox import Outbox, cursor
from runtime_agent.server import Server
from runtime_agent.sources import Source
from runtime_agent.sources.acting import Acting, Failed
from runtime_agent.sources.engine.rewinding import EngineRewinding, Sight
from runtime_agent.wire.commands import Command, Place


class Means(NamedTuple):
    """With what it is done."""

    outbox: Outbox
    source: Source
    """Where the sessions are."""
    acting: Acting
    """The runtime's own interface."""
    rewinding: EngineRewinding
    server: Server


def of_checkpoints(means: Means, look: Look, clock: Clock) -> dict[str, Doer]:
    """What concerns checkpoints, by kind; each may be begun anew, and ends the same.

    Args:
        look: Looks at everything once more, so that the control plane sees what has become of the session.
    """

    async def rollback(command: Command) -> str:
        place, whose = _place(command), (command.agent, command.session)
        if not await asyncio.to_thread(means.rewinding.done, *whose, command.command):
            content = await _in_home(means, command, clock) or await bringing_back.held(
                means.server, means.outbox, place
            )
            checkpoint, seen = (place.checkpoint, content), await _sight(means, command, clock)
            await asyncio.to_thread(means.rewinding.roll_back, *whose, checkpoint, command.command, seen)
        await _looked(look)
        return f"the session is back at {place.checkpoint}; what it was is kept"

    async def undo(command: Command) -> str:
        whose = command.agent, command.session
        if not await asyncio.to_thread(means.rewinding.done, *whose, command.command):
            seen = await _sight(means, command, clock)
            await asyncio.to_thread(means.rewinding.undo, *whose, command.undoes, command.command, seen)
        await _looked(look)
        return "the session is what it was before"

    async def resume(command: Command) -> str:
        if command.place is None:
            return await means.acting.resume(command.session)
        if await _in_home(means, command, clock) is None:
            raise Failed("checkpoint-gone", "the checkpoint is not in the home any more; roll back to it first")
        await asyncio.to_thread(
            means.rewinding.check, command.agent, command.session, await _sight(means, command, clock)
        )
        return await means.acting.resume_from(command.agent, command.session, command.place.checkpoint)

    return {"rollback": rollback, "undo": undo, "resume": resume}


async def _sight(means: Means, command: Command, clock: Clock) -> Sight:
    """
    Raises:
        Failed: If it was said to have ended, and EngineX's own server knows better.
    """
    if command.though_lost and await means.acting.runs(command.session):
        raise Failed("session-running", "EngineX's server runs the session; pause it first")
    key = f"{command.agent}/{command.session}"
    return Sight(clock(), cursor.seen(means.outbox, means.source.kind, key), command.though_lost)


async def _in_home(means: Means, command: Command, clock: Clock) -> bytes | None:
    place = _place(command)
    return await asyncio.to_thread(bringing_back.in_home, means.outbox, means.source, command, place, clock())


def _place(command: Command) -> Place:
    """
    Raises:
        Failed: If it names none, or none that can be a file in the session's folder.
    """
    place = command.place
    if place is None or "/" in place.checkpoint or "\0" in place.checkpoint or not place.checkpoint.startswith("cp_"):
        raise Failed("path-outside-home", "what it names is no checkpoint of a session")
    return place


async def _looked(look: Look) -> None:
    """It is done, whether or not it can be looked at."""
    with suppress(Failed):
        await look()
