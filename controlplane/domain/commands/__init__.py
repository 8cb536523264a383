"""Commands: what a runtime is asked to do, once, and the receipt of every one."""

from controlplane.domain.commands.creating import (
    DECISIONS,
    FITTING,
    LONGEST,
    CommandUnderWay,
    NotAfterUnfit,
    SessionMayRun,
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
from controlplane.domain.commands.travelling import NothingToUndo, Undoable, undoable, wanted_by

__all__ = [
    "DECISIONS",
    "FITTING",
    "LONGEST",
    "Command",
    "CommandUnderWay",
    "NotAfterUnfit",
    "NothingToUndo",
    "SessionMayRun",
    "SessionUnfit",
    "State",
    "TooManyCommands",
    "Undoable",
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
    "undoable",
    "waiting",
    "wanted_by",
    "withdraw",
]
