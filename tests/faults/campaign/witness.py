"""What must be true after every step, not only in the end: nobody lets go of anything before the other side has it.

In the end most of that would have healed: a rule that another one makes up for shows here, and nowhere else.
"""


class Witness:
    def __init__(self, ledger):
        self._ledger = ledger
        self._on_disk = self._seen = self._backed_up = frozenset()

    def backed_up(self, stored):
        """The last backup has these records, or they came back with one."""
        self._backed_up = frozenset(stored)

    def replaced(self, held):
        """The disk is another one: what is not on it was not dropped."""
        self._on_disk = frozenset(held.lines)

    def look(self, held, stored):
        """
        Args:
            held: The agent's outbox.
            stored: Asked for the ids of what is on the server.

        Raises:
            AssertionError: Something is promised that is not so.
        """
        dropped, self._on_disk = self._on_disk - held.lines.keys(), frozenset(held.lines)
        if not self._ledger.older and (bare := dropped - self._backed_up):
            raise AssertionError(f"I4 the agent dropped {len(bare)} records that no backup has")
        told = held.acknowledged - self._seen
        if self._ledger.went_back or not told:
            return
        if absent := told - stored():
            raise AssertionError(f"I3 {len(absent)} records were acknowledged, and are not stored")
        self._seen |= told
