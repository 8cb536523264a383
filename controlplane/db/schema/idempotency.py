"""Answers that are kept for a day, so that a request that is sent again is answered and not done again."""

from sqlalchemy import Column, Index, LargeBinary, PrimaryKeyConstraint, SmallInteger, Table, Text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.schema import SchemaItem

from controlplane.db.schema.shapes import metadata, tenant_table
from controlplane.db.types import Instant

KEY = ("principal", "operation", "key")


def _kept() -> tuple[SchemaItem, ...]:
    """Who asked for what under which key, and what the answer was: never with a secret in it."""
    return (
        Column("principal", Text, nullable=False),
        Column("operation", Text, nullable=False),
        Column("key", Text, nullable=False),
        Column("fingerprint", LargeBinary, nullable=False),
        Column("status", SmallInteger, nullable=False),
        Column("headers", JSONB, nullable=False),
        Column("body", LargeBinary, nullable=False),
        Column("created_at", Instant, nullable=False),
        Column("expires_at", Instant, nullable=False),
    )


idempotency_records = tenant_table("idempotency_records", *_kept(), Index(None, "expires_at"), key=KEY)

platform_idempotency_records = Table(
    "platform_idempotency_records", metadata, *_kept(), PrimaryKeyConstraint(*KEY), Index(None, "expires_at")
)
