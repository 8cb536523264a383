"""Commands: what a runtime is asked to do, once, and the receipt of every one."""

from controlplane.domain.commands.creating import (
    COLLECT,
    DECISIONS,
    FITTING,
    LONGEST,
    CommandUnderWay,
    NotAfterUnfit,
    Range,
    RangeUnfit,
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
from runtime_agent.wire.commands import Bundle

__all__ = [
    "COLLECT",
    "DECISIONS",
    "FITTING",
    "LONGEST",
    "Bundle",
    "Command",
    "CommandUnderWay",
    "NotAfterUnfit",
    "NothingToUndo",
    "Range",
    "RangeUnfit",
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
