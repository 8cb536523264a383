"""Operators who work as somebody of a tenant: what was asked for and agreed, and the sessions in which it is done."""

from sqlalchemy import CheckConstraint, Column, ForeignKey, Index, LargeBinary, SmallInteger, Table, Text, Uuid, text

from controlplane.db.schema.shapes import metadata, tenant_table
from controlplane.db.types import Instant

impersonations = tenant_table(
    "impersonations",
    Column("id", Uuid, nullable=False),
    Column("user_id", Uuid, nullable=False),
    Column("operator_id", Uuid, nullable=False),
    Column("reason", Text, nullable=False),
    Column("ticket", Text, nullable=False),
    Column("mode", Text, nullable=False),
    Column("minutes", SmallInteger, nullable=False),
    Column("requested_at", Instant, nullable=False),
    Column("expires_at", Instant, nullable=False),
    Column("consented_at", Instant),
    Column("consented_by", Text, nullable=False),
    Column("started_at", Instant),
    Column("ends_at", Instant),
    Column("ended_at", Instant),
    Column("ended_by", Text, nullable=False),
    Column("outcome", Text, nullable=False),
    CheckConstraint("minutes BETWEEN 1 AND 60", name="minutes"),
    CheckConstraint("mode IN ('read_only', 'full')", name="mode"),
    CheckConstraint("(started_at IS NULL) = (ends_at IS NULL)", name="time_box"),
    Index("ix_impersonations_open", "tenant_id", postgresql_where=text("ended_at IS NULL")),
)
"""``expires_at``: until when it can be consented to, and once it is, begun. The rows outlive whom they are about."""

impersonation_sessions = Table(
    "impersonation_sessions",
    metadata,
    Column("session_id", Uuid, ForeignKey("browser_sessions.id", ondelete="CASCADE"), primary_key=True),
    Column("token_hash", LargeBinary, nullable=False, unique=True),
    Column("tenant", Uuid, nullable=False, index=True),
    Column("impersonation_id", Uuid, nullable=False, index=True),
    Column("ends_at", Instant, nullable=False),
)
"""What an operator's own session wears: worth nothing without it, one at a time, and gone with it."""
