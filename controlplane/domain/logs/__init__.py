"""Logs on demand: what a session logs where it runs, passed on while somebody looks, and kept nowhere."""

from controlplane.domain.logs.desk import CreditExceeded, Desk
from controlplane.domain.logs.looks import Look
from controlplane.domain.logs.tails import (
    LEASE,
    LOGS,
    LogPathUnfit,
    RuntimeUnreachable,
    TailEnded,
    TooManyTails,
    Wanted,
    asked,
    close,
    live,
    open_tail,
    renew,
)
from runtime_agent.wire.logs import CHUNK_BYTES, LONGEST_PATH, Chunk, Gap, Log

__all__ = [
    "CHUNK_BYTES",
    "LEASE",
    "LOGS",
    "LONGEST_PATH",
    "Chunk",
    "CreditExceeded",
    "Desk",
    "Gap",
    "Log",
    "LogPathUnfit",
    "Look",
    "RuntimeUnreachable",
    "TailEnded",
    "TooManyTails",
    "Wanted",
    "asked",
    "close",
    "live",
    "open_tail",
    "renew",
]
