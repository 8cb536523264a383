"""Alive, how far behind, and in what shape; and whether the server still stands where we think it does."""

import os
from datetime import datetime
from pathlib import Path
from typing import Protocol
from uuid import UUID

from runtime_agent.clock import from_ms, to_ms
from runtime_agent.outbox import Outbox, cursor, inbox, log, quarantine
from runtime_agent.outbox.position import Position, position, same_history
from runtime_agent.version import version
from runtime_agent.wire.heartbeat import Backlog, Heartbeat, Pulse, Trouble

DEFAULT_S = 30.0
MOST_TROUBLES = 20


class Standing(Protocol):
    """What the sync loop knows of the server."""

    boot_id: UUID
    store_id: UUID | None


def backlog(outbox: Outbox, now: datetime) -> Backlog:
    """What waits to be acknowledged, and for how long."""
    waiting = log.backlog(outbox)
    age_s = 0 if waiting.oldest_ms is None else int((now - from_ms(waiting.oldest_ms)).total_seconds())
    return Backlog(records=waiting.records, bytes=waiting.bytes, oldest_age_s=max(0, age_s))


def compose(
    outbox: Outbox, standing: Standing, now: datetime, *, interval_s: float, sources: list[str], troubles: list[Trouble]
) -> tuple[Heartbeat, Position]:
    """The heartbeat, and the position it speaks of."""
    where = position(outbox)
    heartbeat = Heartbeat(
        boot_id=standing.boot_id,
        store_id=standing.store_id,
        epoch=where.epoch,
        last_seq=where.last_seq,
        head=where.head.hex(),
        acked=where.acked,
        backlog=backlog(outbox, now),
        wall_ms=to_ms(now),
        interval_ms=round(min(max(interval_s, 0.1), 3600.0) * 1000),
        agent_version=version(),
        sources=sources,
        sessions_seen=cursor.units_known(outbox),
        quarantined=quarantine.count(outbox),
        disk_free_bytes=disk_free_bytes(outbox.path.parent),
        troubles=troubles[:MOST_TROUBLES],
        draining=inbox.draining(outbox),
        tip=cursor.tip(outbox),
    )
    return heartbeat, where


def disk_free_bytes(folder: Path) -> int | None:
    """What is left for accounts other than root; None where the system does not say."""
    try:
        found = os.statvfs(folder)
    except OSError:
        return None
    return found.f_bavail * found.f_frsize


def fits(outbox: Outbox, before: Position, store_id: UUID | None, pulse: Pulse) -> bool:
    """Whether the server's cursor is one that our own log explains.

    Args:
        outbox: Our log, now.
        before: Its position when the heartbeat left: what was acknowledged since may not be in the pulse yet.
        store_id: The store that the sync loop talks to; None: a hello is due anyway.
        pulse: The answer.
    """
    if store_id is None or position(outbox).epoch != before.epoch:
        return True  # a hello is on its way, or was made meanwhile
    if pulse.store_id != store_id or pulse.epoch != before.epoch or pulse.acked < before.acked:
        return False
    return same_history(outbox, pulse.epoch, pulse.acked, pulse.head)
