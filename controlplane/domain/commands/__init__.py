"""Commands: what a runtime is asked to do, once, and the receipt of every one."""

from controlplane.domain.commands.creating import (
    DECISIONS,
    FITTING,
    LONGEST,
    CommandUnderWay,
    NotAfterUnfit,
    SessionUnfit,
    TooManyCommands,
    Wanted,
    create,
    fits,
    withdraw,
)
from controlplane.domain.commands.handing_out import accept, addressed, topic, waiting
from controlplane.domain.commands.receipts import Command, State, get, listing, newest_of_sessions
from controlplane.domain.commands.reports import expire, report

__all__ = [
    "DECISIONS",
    "FITTING",
    "LONGEST",
    "Command",
    "CommandUnderWay",
    "NotAfterUnfit",
    "SessionUnfit",
    "State",
    "TooManyCommands",
    "Wanted",
    "accept",
    "addressed",
    "create",
    "expire",
    "fits",
    "get",
    "listing",
    "newest_of_sessions",
    "report",
    "topic",
    "waiting",
    "withdraw",
]
