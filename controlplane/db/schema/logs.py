"""Tails: which logs are being looked at right now, where they are. Never a line of them."""

from sqlalchemy import BigInteger, Boolean, Column, ForeignKeyConstraint, Index, Text, Uuid

from controlplane.db.schema.shapes import tenant_table
from controlplane.db.types import Instant

log_tails = tenant_table(
    "log_tails",
    Column("id", Uuid, nullable=False),
    Column("runtime_id", Uuid, nullable=False),
    Column("session_id", Uuid, nullable=False),
    Column("agent", Text, nullable=False),
    Column("source_id", Text, nullable=False),
    Column("log", Text, nullable=False),
    Column("path", Text, nullable=False),
    Column("first_byte", BigInteger, nullable=False),
    Column("follow", Boolean, nullable=False),
    Column("most", BigInteger, nullable=False),
    Column("opened_by", Text, nullable=False),
    Column("opened_at", Instant, nullable=False),
    Column("not_after", Instant, nullable=False),
    Column("until", Instant, nullable=False),
    ForeignKeyConstraint(["tenant_id", "runtime_id"], ["runtimes.tenant_id", "runtimes.id"], ondelete="CASCADE"),
    Index(None, "tenant_id", "runtime_id"),
)
"""``until`` moves on while somebody looks. ``session_id`` points into a projection, so there is no foreign key."""
