"""The audit chains, the platform's and one for each tenant, and what is known of each: checkpoints, verdict, streams."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Index,
    Integer,
    LargeBinary,
    PrimaryKeyConstraint,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.schema import SchemaItem

from controlplane.db.schema.shapes import metadata, tenant_table
from controlplane.db.types import Instant


def _chain() -> tuple[SchemaItem, ...]:
    """The columns of an audit event: the platform's chain and each tenant's are the same."""
    return (
        Column("seq", BigInteger, nullable=False),
        Column("id", Uuid, nullable=False),
        Column("occurred_us", BigInteger, nullable=False),
        Column("action", Text(collation="C"), nullable=False),
        Column("outcome", Text, nullable=False),
        Column("actor_kind", Text, nullable=False),
        Column("actor_id", Text, nullable=False),
        Column("impersonator", Text),
        Column("target_kind", Text, nullable=False),
        Column("target_id", Text, nullable=False),
        Column("facts", JSONB, nullable=False),
        Column("request_id", Text, nullable=False),
        Column("sealed", LargeBinary),
        Column("prev_hash", LargeBinary, nullable=False),
        Column("hash", LargeBinary, nullable=False),
    )


def _head() -> tuple[SchemaItem, ...]:
    return (
        Column("seq", BigInteger, nullable=False),
        Column("hash", LargeBinary, nullable=False),
        Column("prev_hash", LargeBinary, nullable=False),
    )


def _checkpoint() -> tuple[SchemaItem, ...]:
    return (
        Column("size", BigInteger, nullable=False),
        Column("hash", LargeBinary, nullable=False),
        Column("edge", ARRAY(LargeBinary), nullable=False),
        Column("note", Text, nullable=False),
        Column("made_at", Instant, nullable=False),
    )


platform_audit_events = Table(
    "platform_audit_events",
    metadata,
    *_chain(),
    PrimaryKeyConstraint("seq"),
    UniqueConstraint("prev_hash"),
)

platform_audit_heads = Table(
    "platform_audit_heads",
    metadata,
    Column("single", Boolean, primary_key=True),
    *_head(),
    CheckConstraint("single", name="single"),
)

platform_audit_checkpoints = Table("platform_audit_checkpoints", metadata, *_checkpoint(), PrimaryKeyConstraint("size"))

audit_events = tenant_table(
    "audit_events",
    *_chain(),
    UniqueConstraint("tenant_id", "prev_hash"),
    Index(None, "tenant_id", "occurred_us"),
    Index(None, "tenant_id", "action", "seq"),
    Index(None, "tenant_id", "actor_id", "seq"),
    Index(None, "tenant_id", "target_id", "seq"),
    key=("seq",),
    ondelete="RESTRICT",
)
"""Not partitioned: the fork guard needs the plain unique key."""

audit_heads = tenant_table("audit_heads", *_head(), key=())
"""The lock behind which a chain grows."""

audit_checkpoints = tenant_table("audit_checkpoints", *_checkpoint(), key=("size",))
"""``hash`` is that of the last event covered, ``edge`` the right edge of the Merkle tree, from which it grows on."""

audit_verdicts = tenant_table(
    "audit_verdicts",
    Column("through", BigInteger, nullable=False),
    Column("verified_at", Instant, nullable=False),
    Column("whole_at", Instant),
    Column("damages", JSONB, nullable=False),
    key=(),
)
"""What verification of a tenant's chain has found: of new events as they are signed, of the whole at ``whole_at``."""

audit_retention = tenant_table(
    "audit_retention",
    Column("days", Integer),
    Column("held", Text),
    Column("changed_at", Instant, nullable=False),
    key=(),
)
"""How long a tenant's events are kept, where it is not the default, and why nothing is to be pruned, if so."""

audit_streams = tenant_table("audit_streams", Column("sink", Text, nullable=False), *_head()[:1], key=("sink",))
"""How far each sink has been sent a tenant's events."""

platform_audit_streams = Table("platform_audit_streams", metadata, Column("sink", Text, primary_key=True), *_head()[:1])
