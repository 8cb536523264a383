"""Alive, how far behind, and in what shape."""

from typing import Annotated, Literal, TypeAlias
from uuid import UUID

from msgspec import Meta, Struct

from runtime_agent.wire.config import News, Standing
from runtime_agent.wire.content import ContentPolicy
from runtime_agent.wire.leases import Notice
from runtime_agent.wire.sync import Credit, Durable
from runtime_agent.wire.types import Count, Epoch, Head, Instant, Key, Line, Name, Status, WaitingFor

MOST_TIPS = 50

Flag: TypeAlias = Literal["FULL_STATE", "MANIFEST", "ROTATE_KEY", "DRAIN", "UPGRADE"]


class Backlog(Struct, frozen=True, kw_only=True):
    """What waits to be acknowledged."""

    records: Count = 0
    bytes: Count = 0
    oldest_age_s: Count = 0


class Trouble(Struct, frozen=True, kw_only=True):
    """Something the agent cannot mend itself: an unreadable home, a full disk."""

    code: Name
    line: Line = ""
    since: Instant | None = None


class Tip(Struct, frozen=True, kw_only=True):
    """A session that has not ended, as its runtime has it now, whatever of the log is still on its way."""

    agent: Name
    session: Key
    status: Status
    waiting_for: WaitingFor | None = None
    current_node: Name | None = None
    changed_at: Instant


class Heartbeat(Struct, frozen=True, kw_only=True):
    boot_id: UUID
    store_id: UUID | None = None
    epoch: Epoch
    last_seq: Count
    head: Head
    acked: Count
    backlog: Backlog = Backlog()
    wall_ms: Annotated[int, Meta(ge=0, le=4_102_444_800_000)]
    """The agent's clock, milliseconds since 1970."""
    interval_ms: Annotated[int, Meta(ge=100, le=3_600_000)] = 30_000
    """When the next one may be expected."""
    agent_version: Annotated[str, Meta(max_length=50)] = ""
    sources: Annotated[list[Name], Meta(max_length=20)] = []
    sessions_seen: Count = 0
    quarantined: Count = 0
    disk_free_bytes: Count | None = None
    troubles: Annotated[list[Trouble], Meta(max_length=20)] = []
    draining: bool = False
    config: Standing | None = None
    """None: the agent knows of no configuration."""
    tip: Annotated[list[Tip], Meta(max_length=MOST_TIPS)] = []
    """The sessions that changed last of those that have not ended."""


class Pulse(Struct, frozen=True, kw_only=True):
    """The server's answer: its own cursor, so that a regression shows by itself."""

    server_ms: Count
    store_id: UUID
    epoch: Epoch
    acked: Count
    head: Head
    durable: Durable | None = None
    next_ms: Count = 30_000
    reconnect_window_ms: Count = 5_000
    """After a lost connection, wait a random part of this first."""
    credit: Credit = Credit()
    flags: list[str] = []
    """Of :data:`Flag`; unknown ones are ignored."""
    leases: list[Notice] = []
    """What there is to know of leases that the runtime holds: revoked ones, and those whose credential is another now."""
    cmds_waiting: Count = 0
    """Commands that are not acknowledged: poll, if no poll is open."""
    content: ContentPolicy = ContentPolicy()
    """What the project wants of checkpoints."""
    config: News = News()
    """Which configuration there is for the runtime."""
    budgets: Count = 0
    """Revision of the tenant's budgets: another one than is held is asked for. 0: there have never been any."""


class Bye(Struct, frozen=True, kw_only=True):
    """``POST /v1/runtime/bye``: the last word of a runtime that leaves."""

    epoch: Epoch
    last_seq: Count
    head: Head
