"""The audit chains: the platform's, and one for each tenant."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    LargeBinary,
    PrimaryKeyConstraint,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.schema import SchemaItem

from controlplane.db.schema.shapes import metadata, tenant_table


def chain() -> tuple[SchemaItem, ...]:
    """The columns of an audit event: the platform's chain and each tenant's are the same."""
    return (
        Column("seq", BigInteger, nullable=False),
        Column("id", Uuid, nullable=False),
        Column("occurred_us", BigInteger, nullable=False),
        Column("action", Text, nullable=False),
        Column("outcome", Text, nullable=False),
        Column("actor_kind", Text, nullable=False),
        Column("actor_id", Text, nullable=False),
        Column("target_kind", Text, nullable=False),
        Column("target_id", Text, nullable=False),
        Column("facts", JSONB, nullable=False),
        Column("request_id", Text, nullable=False),
        Column("prev_hash", LargeBinary, nullable=False),
        Column("hash", LargeBinary, nullable=False),
    )


platform_audit_events = Table(
    "platform_audit_events",
    metadata,
    *chain(),
    PrimaryKeyConstraint("seq"),
    UniqueConstraint("prev_hash"),
)

platform_audit_heads = Table(
    "platform_audit_heads",
    metadata,
    Column("single", Boolean, primary_key=True),
    Column("seq", BigInteger, nullable=False),
    Column("hash", LargeBinary, nullable=False),
    CheckConstraint("single", name="single"),
)

audit_events = tenant_table(
    "audit_events", *chain(), UniqueConstraint("tenant_id", "prev_hash"), key=("seq",), ondelete="RESTRICT"
)
"""Not partitioned: the fork guard needs the plain unique key."""

audit_heads = tenant_table(
    "audit_heads",
    Column("seq", BigInteger, nullable=False),
    Column("hash", LargeBinary, nullable=False),
    key=(),
)
