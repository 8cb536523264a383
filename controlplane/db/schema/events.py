"""What a tenant may hear about itself: the events, who reads them from where, and whom they are sent to."""

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    Text,
    UniqueConstraint,
    Uuid,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

from controlplane.db.schema.shapes import tenant_table
from controlplane.db.types import Instant

events = tenant_table(
    "events",
    Column("seq", BigInteger, nullable=False),
    Column("id", Uuid, nullable=False),
    Column("type", Text(collation="C"), nullable=False),
    Column("occurred_at", Instant, nullable=False),
    Column("data", JSONB, nullable=False),
    UniqueConstraint("tenant_id", "id"),
    Index(None, "tenant_id", "occurred_at"),
    key=("seq",),
)
"""The outbox: written in the transaction of what they tell. Without gaps, and numbered in the order of the commits."""

event_heads = tenant_table(
    "event_heads",
    Column("seq", BigInteger, nullable=False),
    Column("pruned", BigInteger, nullable=False),
    key=(),
)
"""The lock behind which events are numbered; ``pruned`` is the last number that retention took away."""

event_consumers = tenant_table(
    "event_consumers",
    Column("name", Text, nullable=False),
    Column("types", ARRAY(Text), nullable=False),
    Column("acknowledged", BigInteger, nullable=False),
    Column("acknowledged_at", Instant),
    Column("created_by", Text, nullable=False),
    Column("created_at", Instant, nullable=False),
    key=("name",),
)

webhooks = tenant_table(
    "webhooks",
    Column("id", Uuid, nullable=False),
    Column("url", Text, nullable=False),
    Column("description", Text, nullable=False),
    Column("types", ARRAY(Text), nullable=False),
    Column("state", Text, nullable=False),
    Column("state_reason", Text, nullable=False),
    Column("from_seq", BigInteger, nullable=False),
    Column("failing_since", Instant),
    Column("secret", LargeBinary, nullable=False),
    Column("secret_version", Integer, nullable=False),
    Column("old_secret", LargeBinary),
    Column("old_secret_until", Instant),
    Column("version", Integer, nullable=False),
    Column("created_by", Text, nullable=False),
    Column("created_at", Instant, nullable=False),
    CheckConstraint("state IN ('enabled', 'disabled')", name="state"),
)
"""``secret`` is in an envelope; the old one has the version before."""

webhook_progress = tenant_table("webhook_progress", Column("through", BigInteger, nullable=False), key=())
"""How far a tenant's events have become deliveries."""

webhook_deliveries = tenant_table(
    "webhook_deliveries",
    Column("id", Uuid, nullable=False),
    Column("webhook_id", Uuid, nullable=False),
    Column("event_id", Uuid, nullable=False),
    Column("event_seq", BigInteger),
    Column("type", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("next_at", Instant),
    Column("tries", JSONB, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("ended_at", Instant),
    ForeignKeyConstraint(["tenant_id", "webhook_id"], ["webhooks.tenant_id", "webhooks.id"], ondelete="CASCADE"),
    CheckConstraint("(state = 'pending') = (next_at IS NOT NULL)", name="next_at"),
    Index(None, "tenant_id", "webhook_id", "id"),
    Index("ix_webhook_deliveries_due", "next_at", postgresql_where=text("state = 'pending'")),
)
"""``event_seq`` is None for a test, which is no event. ``next_at`` is also how long somebody at it may take."""
