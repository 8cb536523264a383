"""Logging: events as ``noun.verb`` with ids; lines for people at a terminal, JSON for everything else."""

import logging
import sys
from typing import Any, Final, TextIO

import structlog
from structlog.typing import EventDict, Processor

HIDDEN: Final = ("authorization", "cookie", "password", "secret", "token", "body", "key")
"""What must never be logged under any name like it; a net below the rule that nobody tries."""


def configure(*, level: int = logging.INFO, stream: TextIO = sys.stderr) -> None:
    """Send structlog's events and the standard library's to *stream*, in one form. Once per process."""
    people = stream.isatty()
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        hide,
    ]
    last: list[Processor] = (
        [structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)]  # others show variables
        if people
        else [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
    )
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
    )
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *last],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for noisy in ("httpx", "httpcore", "asyncio", "alembic"):
        logging.getLogger(noisy).setLevel(logging.WARNING)


def hide(_logger: Any, _method: str, event: EventDict) -> EventDict:
    """Replace values whose names say that they are secrets."""
    for name in event:
        if name != "event" and any(part in name.lower() for part in HIDDEN):
            event[name] = "…"
    return event
