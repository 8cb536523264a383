"""Data keys, wrapped under a master key that is not in the database."""

from sqlalchemy import CheckConstraint, Column, Index, LargeBinary, PrimaryKeyConstraint, Table, Text, Uuid, text
from sqlalchemy.schema import SchemaItem

from controlplane.db.schema.shapes import metadata, tenant_table
from controlplane.db.types import Instant


def _data_key() -> tuple[SchemaItem, ...]:
    return (
        Column("id", Uuid, nullable=False),
        Column("kind", Text, nullable=False),
        Column("subject", Text, nullable=False),
        Column("master", Text, nullable=False),
        Column("wrapped", LargeBinary),
        Column("state", Text, nullable=False),
        Column("created_at", Instant, nullable=False),
        Column("destroyed_at", Instant),
        CheckConstraint("(state = 'destroyed') = (wrapped IS NULL)", name="wrapped"),
    )


_PRIMARY = text("state = 'primary'")

data_keys = tenant_table(
    "data_keys",
    *_data_key(),
    Index(None, "tenant_id", "kind", "subject", unique=True, postgresql_where=_PRIMARY),
)
"""``state``: ``primary`` seals, at most one for each kind and subject; ``decrypt`` still opens; ``destroyed`` is gone."""

platform_data_keys = Table(
    "platform_data_keys",
    metadata,
    *_data_key(),
    PrimaryKeyConstraint("id"),
    Index(None, "kind", "subject", unique=True, postgresql_where=_PRIMARY),
)
