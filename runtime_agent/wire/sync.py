"""The log lane: hello, append, diff."""

from typing import Annotated, Literal
from uuid import UUID

from msgspec import Meta, Struct

from runtime_agent.wire.content import ContentPolicy
from runtime_agent.wire.leases import Notice
from runtime_agent.wire.types import Count, Epoch, Head, Seq

MAX_RECORDS = 500
MAX_COMPRESSED_BYTES = 1 << 20
MAX_INFLATED_BYTES = 8 << 20
MAX_DIFF_IDS = 5000

STORE = "Sync-Store"
EPOCH = "Sync-Epoch"
FIRST = "Sync-First"
PREV = "Sync-Prev"
COUNT = "Sync-Count"
PROTOCOL_HEADER = "Sync-Protocol"
"""Names of the request headers of an append; ``Sync-Protocol`` goes with every call."""


class Limits(Struct, frozen=True, kw_only=True):
    max_records: Annotated[int, Meta(ge=1)] = MAX_RECORDS
    max_compressed_bytes: Annotated[int, Meta(ge=1)] = MAX_COMPRESSED_BYTES
    max_inflated_bytes: Annotated[int, Meta(ge=1)] = MAX_INFLATED_BYTES
    max_record_bytes: Annotated[int, Meta(ge=1)] = 256 * 1024
    max_diff_ids: Annotated[int, Meta(ge=1)] = MAX_DIFF_IDS


class Credit(Struct, frozen=True, kw_only=True):
    """How much, and how often, the server wants to be sent right now."""

    max_records: Annotated[int, Meta(ge=1)] = MAX_RECORDS
    max_bytes: Annotated[int, Meta(ge=1)] = MAX_COMPRESSED_BYTES
    min_interval_ms: Count = 0


class Durable(Struct, frozen=True, kw_only=True):
    """How far a finished backup covers the log."""

    epoch: Epoch
    seq: Count
    head: Head


class Hello(Struct, frozen=True, kw_only=True):
    """Where the agent stands, at start and whenever a check has failed."""

    epoch: Epoch
    first_retained: Seq
    """The first record that the agent could still send; ``last_seq + 1`` if there is none."""
    last_seq: Count
    acked: Count
    head: Head
    """Chain head at ``last_seq``."""
    boot_id: UUID
    caps: Annotated[list[str], Meta(max_length=50)] = []
    diverged: bool = False
    """The agent compared heads after a ``resume`` and they differ: it needs a new epoch."""


class Welcome(Struct, frozen=True, kw_only=True):
    store_id: UUID
    mode: Literal["resume", "new_epoch"]
    epoch: Epoch
    from_seq: Seq
    """The next record the server wants."""
    head: Head
    """Chain head at ``from_seq - 1``. After ``resume`` the agent compares it with its own and, where they differ, says
    hello again with ``diverged``."""
    durable: Durable | None = None
    limits: Limits = Limits()
    credit: Credit = Credit()
    leases: list[Notice] = []
    """As in the answer to a heartbeat."""
    content: ContentPolicy = ContentPolicy()
    """What the project wants of checkpoints."""


class Ack(Struct, frozen=True, kw_only=True):
    acked: Count
    head: Head
    """Chain head at ``acked``; one that differs from the agent's own means hello."""
    durable: Durable | None = None
    credit: Credit = Credit()


class Diff(Struct, frozen=True, kw_only=True):
    record_ids: Annotated[list[UUID], Meta(max_length=MAX_DIFF_IDS)]


class Missing(Struct, frozen=True, kw_only=True):
    missing: list[UUID]
    """Those of the ids asked about that the server does not hold, in the order asked."""
