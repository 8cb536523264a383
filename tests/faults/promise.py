"""Which items must be on the server: those on disk, and those that the agent or the server ever held.

The protocol promises nothing for what only two disks held that were both lost. So whenever one of them goes back to an
earlier state, what is in neither now, and not in the source's home either, is let off, by name, in the trace.
"""

from tests.faults.stored import stored_items


class Promise:
    def __init__(self, trace):
        self._trace = trace
        self._kept = set()
        """Items that agent or server held at some time, and that were never let off."""
        self._let_off = set()

    def note(self, items):
        """The agent's log, or the server, holds these."""
        self._kept |= set(items) - self._let_off

    def reckon(self, control_plane, agent, writer):
        """A disk went back to an earlier state: let off what nobody has any more. The server must be reachable."""
        held = stored_items(control_plane.ask) | agent.held()
        lost = {item for item in self._kept - held - on_disk(writer) if item[0] != "state"}
        lost |= set(writer.gone.values()) - held
        for item in sorted(lost - self._let_off):
            self._trace.say("lost", f"with both disks: {item}")
        self._let_off |= lost
        self._kept &= held  # what only the source still has is promised when it was read again

    def wanted(self, writer):
        kept = {item for item in self._kept if item[0] != "state"}
        gone = set(writer.gone.values()) - self._let_off
        return (kept | gone | on_disk(writer)) - self._let_off

    def allowed(self, writer):
        return {item for story in writer.stories.values() for item in story.written}


def on_disk(writer):
    """What a first look at the home would find."""
    return {item for story in writer.stories.values() if story.key not in writer.gone for item in story.items()}
