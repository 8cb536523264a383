"""A progress bar for the first look at a large home, on a terminal and nowhere else."""

import shutil
from typing import TextIO

from runtime_agent.once import Progress
from runtime_agent.scan import Outcome

WIDTH = 30


class Bar(Progress):
    """Two lines after each other: what was read, then what was sent."""

    def __init__(self, out: TextIO, total: int) -> None:
        """Nothing is shown yet.

        Args:
            out: A terminal.
            total: Sessions to look at.
        """
        self._out = out
        self._total = max(total, 1)

    def looked(self, outcome: Outcome) -> None:
        self._show("reading", outcome.looked_at, self._total, "sessions")

    def sent(self, done: int, left: int) -> None:
        self._show("sending", done, max(done + left, 1), "records")

    def _show(self, verb: str, done: int, total: int, what: str) -> None:
        filled = WIDTH * min(done, total) // total
        line = f"{verb} [{'=' * filled}{' ' * (WIDTH - filled)}] {done:,} of {total:,} {what}"
        self._out.write("\r" + line[: shutil.get_terminal_size().columns - 1] + "\x1b[K")
        self._out.flush()

    def close(self) -> None:
        """Leave the line empty for what comes after."""
        self._out.write("\r\x1b[K")
        self._out.flush()
