"""Deleting a session's folder behind the agent's back, and what must then be known of the session for ever."""

from datetime import UTC, datetime

from runtime_agent.sources.engine.home import EngineHome
from runtime_agent.wire.records import SessionState
from tests.faults.items import shown, state
from tests.faults.processes import TookTooLong, until

PATIENCE_S = 6.0


def vanish(writer, server, dice):
    """Delete one folder all of which the server has; None if nothing was delivered for too long.

    What had ended stays as it was; what ran is lost. The writer must be paused.
    """
    running = [story for story in writer.under_way() if story.is_there()]
    ended = [story for story in writer.stories.values() if story.ended and story.key not in writer.gone]
    choice = dice.choice(running if running and dice.random() < 0.5 else ended)
    said = _state(writer, choice)
    wanted = {said, *choice.items()}
    try:
        until(lambda: wanted <= set(shown(server.ask)), "all of it is delivered", PATIENCE_S)
    except (TookTooLong, OSError):
        return None
    writer.gone[choice.key] = (*said[:2], "lost" if said[2] == "running" else said[2], *said[3:])
    writer.vanish(choice)
    return choice


def _state(writer, story):
    source = EngineHome(writer.home, UTC)
    reading = source.read(story.key, now=datetime.now(UTC), seen=None)
    [record] = [draft.record for draft in reading.records if isinstance(draft.record, SessionState)]
    return state(story.key, record)
