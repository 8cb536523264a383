"""Credentials that people look at: asked for by one, agreed to by another, read once."""

from sqlalchemy import CheckConstraint, Column, Index, Text, Uuid

from controlplane.db.schema.shapes import tenant_table
from controlplane.db.types import Instant

disclosures = tenant_table(
    "disclosures",
    Column("id", Uuid, nullable=False),
    Column("connection_id", Uuid, nullable=False),
    Column("reason", Text, nullable=False),
    Column("requested_by", Uuid, nullable=False),
    Column("requested_at", Instant, nullable=False),
    Column("approved_by", Uuid),
    Column("approved_at", Instant),
    Column("expires_at", Instant, nullable=False),
    Column("read_at", Instant),
    Column("ended_at", Instant),
    Column("ended_by", Text, nullable=False),
    Column("outcome", Text, nullable=False),
    CheckConstraint("approved_by <> requested_by", name="two_people"),
    CheckConstraint("(approved_by IS NULL) = (approved_at IS NULL)", name="approved"),
    CheckConstraint("read_at IS NULL OR approved_at IS NOT NULL", name="read"),
    Index(None, "tenant_id", "connection_id", "id"),
)
"""``requested_by`` and ``approved_by`` are accounts: nobody agrees with themselves by another membership. ``expires_at``:
until when it can be agreed to, and once it is, read. The rows outlive connection and people."""
