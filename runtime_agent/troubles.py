"""What the agent cannot mend itself, with the time since when, told in status, doctor and every heartbeat."""

from datetime import datetime
from typing import Final

import msgspec

from runtime_agent.wire.heartbeat import Trouble

MOST: Final = 20


class Troubles:
    """Grouped by who found them; whoever finds a trouble says so again, or says that it is over."""

    def __init__(self) -> None:
        self._found: dict[str, list[Trouble]] = {}

    def report(self, area: str, troubles: list[Trouble], now: datetime) -> None:
        """These, and no others, are what *area* finds now."""
        since = {(old.code, old.line): old.since for old in self._found.get(area, [])}
        self._found[area] = [
            trouble
            if trouble.since
            else msgspec.structs.replace(trouble, since=since.get((trouble.code, trouble.line)) or now)
            for trouble in troubles
        ]

    def all(self) -> list[Trouble]:
        """Each once, at most 20."""
        every = [trouble for found in self._found.values() for trouble in found]
        return list({(trouble.code, trouble.line): trouble for trouble in every}.values())[:MOST]
