"""What must be true in the end, known from the home and the agents' disks alone: the four properties of the model.

S1: no record is applied twice. L0: it comes to rest. L1: every record that was committed on the agent's disk, and did not
vanish with it, is on the server. L1b: every record that was ever acknowledged is, unless the server itself went back.
"""

import msgspec

from tests.faults.campaign import losses
from tests.faults.items import item_of_line, shown
from tests.faults.promise import on_disk
from tests.faults.stored import stretches
from tests.faults.verdict import CURSOR, applied_twice, broken_chains, items_astray, outcomes_astray

IDS = "SELECT record_ids FROM sync_batches"
LOSSES = "SELECT kind, epoch, first_seq, last_seq, records, reason FROM sync_losses ORDER BY noticed_at"


class Ledger:
    """Everything that one schedule ever wrote, and where it was."""

    def __init__(self):
        self.lines = {}
        """By record id, of every record that was ever committed."""
        self.disk = set()
        """Ids of those that the agent's disk held at some time of its present past."""
        self.excused = set()
        self.acknowledged = set()
        self.went_back = False
        """Whether the server was restored."""
        self.older = False
        """And from a backup that is not the last one."""
        self.disk_went_back = False
        """Or there were two of it."""

    def note(self, held):
        self.lines |= held.lines
        self.disk |= held.lines.keys()
        self.acknowledged |= held.acknowledged

    def roll_back(self, disk):
        """To when it had held *disk*, which may be more than it has held since."""
        self.excused = (self.excused | self.disk) - disk
        self.disk, self.disk_went_back = set(disk), True

    def missing(self, stored):
        """In words."""
        if self.older:
            return []
        lost = self.lines.keys() - self.excused - stored
        wrong = [f"L1 lost: {_named(self.lines[identity])}" for identity in lost]
        if not self.went_back:
            lost = (self.acknowledged & self.excused) - stored
            wrong += [f"L1b lost, and was acknowledged: {_named(self.lines[identity])}" for identity in lost]
        return wrong

    def carried(self, identities):
        """The items in these records, without states."""
        found = {item for identity in identities for item in item_of_line(self.lines[identity])}
        return {item for item in found if item[0] != "state"}


def verdict(ask, ledger, writer, held, heard):
    """What is wrong, in words; empty when everything is where it must be, once.

    Args:
        held: The agent's outbox, at rest.
        heard: As :func:`losses.must_be_named` wants it.
    """
    [cursor] = ask(CURSOR)
    stored, server = stretches(ask), shown(ask)
    identities = {identity.bytes for one in stored for identity in one.record_ids}
    theirs = (cursor["epoch"], cursor["last_seq"], cursor["last_seq"], cursor["head"])
    wrong = [] if held.where == theirs else [f"the agent stands at {held.where}, the server at {theirs}"]
    wrong += broken_chains(stored, cursor) + applied_twice(stored) + ledger.missing(identities)
    wanted = on_disk(writer) | ledger.carried(ledger.lines.keys() - ledger.excused)
    allowed = on_disk(writer) | ledger.carried(ledger.lines.keys())
    written = {item for story in writer.stories.values() for item in story.written}
    wrong += items_astray(server, wanted, allowed & written)
    wrong += outcomes_astray(server, writer)
    wrong += [f"put aside by the agent: {row}" for row in held.put_aside]
    return wrong + losses.astray(ask(LOSSES), stored, heard, ledger)


def stored_ids(ask):
    """Of every record that is on the server, 16 bytes each."""
    packed = b"".join(row["record_ids"] for row in ask(IDS))
    return {packed[at : at + 16] for at in range(0, len(packed), 16)}


def _named(line):
    told = msgspec.json.decode(line)
    return f"{told['kind']} {told['record_id']} {told.get('agent')}/{told.get('session')}"
