"""What runtimes report, split by month of its time-ordered id; all but the batches can be made again from them."""

from sqlalchemy import BigInteger, Boolean, Column, Index, Integer, LargeBinary, Text, Uuid
from sqlalchemy.dialects.postgresql import JSON
from sqlalchemy.schema import SchemaItem

from controlplane.db.schema.shapes import projection
from controlplane.db.types import Instant

sync_batches = projection(
    "sync_batches",
    Column("epoch", BigInteger, nullable=False),
    Column("first_seq", BigInteger, nullable=False),
    Column("skip", Integer, nullable=False),
    Column("last_seq", BigInteger, nullable=False),
    Column("prev_head", LargeBinary, nullable=False),
    Column("head", LargeBinary, nullable=False),
    Column("record_ids", LargeBinary, nullable=False),
    Column("first_record", Uuid, nullable=False),
    Column("last_record", Uuid, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("protocol", Integer, nullable=False),
    Column("received_at", Instant, nullable=False),
    Index(None, "tenant_id", "runtime_id", "epoch", "last_seq"),
)
"""What runtimes sent, byte for byte. Of the lines in ``body``, those from ``skip`` on up to ``last_seq`` count."""


def _origin() -> tuple[SchemaItem, ...]:
    """Where a row came from, and which of two states is newer: by ``(changed_at, epoch, seq)``."""
    return (
        Column("project_id", Uuid, nullable=False),
        Column("agent", Text, nullable=False),
        Column("epoch", BigInteger, nullable=False),
        Column("seq", BigInteger, nullable=False),
        Column("received_at", Instant, nullable=False),
    )


def _outcome() -> tuple[SchemaItem, ...]:
    """What sessions and runs have in common: what is searched, sorted or added up, and in ``told`` the rest."""
    return (
        *_origin(),
        Column("changed_at", Instant, nullable=False),
        Column("status", Text, nullable=False),
        Column("waiting_for", Text),
        Column("started_at", Instant, nullable=False),
        Column("input_tokens", BigInteger, nullable=False),
        Column("output_tokens", BigInteger, nullable=False),
        Column("told", JSON, nullable=False),
    )


sessions = projection(
    "sessions",
    *_outcome(),
    Column("source_id", Text(collation="C"), nullable=False),
    Column("detail", JSON, nullable=False),
    Index(None, "tenant_id", "status", "id"),
    Index(None, "tenant_id", "runtime_id", "id"),
    Index(None, "tenant_id", "agent", "id"),
    Index(None, "source_id", postgresql_using="brin", postgresql_with={"autosummarize": "on"}),
    covering=("status", "started_at"),
)

runs = projection(
    "runs",
    *_outcome(),
    Column("session_id", Uuid, nullable=False),
    Column("source_id", Text, nullable=False),
    Index(None, "tenant_id", "status", "id"),
    Index(None, "received_at", postgresql_using="brin", postgresql_with={"autosummarize": "on"}),
)
"""No index by session: a run's id begins with the same 48 bits as its session's, so the key finds them.

A block range index costs next to nothing to keep. By ``received_at`` it finds new runs of old sessions among old runs;
by ``source_id`` of sessions it says quickly that no name starts like that."""

checkpoints = projection(
    "checkpoints",
    *_origin(),
    Column("system", Text, nullable=False),
    Column("session_id", Uuid, nullable=False),
    Column("source_id", Text, nullable=False),
    Column("type", Text, nullable=False),
    Column("node", Text),
    Column("next_node", Text),
    Column("clean", Boolean, nullable=False),
    Column("created_at", Instant, nullable=False),
    Index(None, "tenant_id", "session_id", "created_at"),
)

cost_entries = projection(
    "cost_entries",
    *_origin(),
    Column("system", Text, nullable=False),
    Column("session_id", Uuid, nullable=False),
    Column("source_id", Text, nullable=False),
    Column("spent_at", Instant, nullable=False),
    Column("node", Text),
    Column("attempt", BigInteger, nullable=False),
    Column("step", BigInteger, nullable=False),
    Column("type", Text, nullable=False),
    Column("model", Text),
    Column("tool", Text),
    Column("input_tokens", BigInteger, nullable=False),
    Column("output_tokens", BigInteger, nullable=False),
    Column("micro_usd", BigInteger, nullable=False),
    Column("duration_ms", BigInteger, nullable=False),
    Column("flags", JSON, nullable=False),
    Index(None, "tenant_id", "session_id"),
)
