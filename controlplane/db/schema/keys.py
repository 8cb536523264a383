"""Data keys, wrapped under a master key that is not in the database; which master keys those are; and rotations."""

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    Index,
    LargeBinary,
    PrimaryKeyConstraint,
    Table,
    Text,
    Uuid,
    text,
)
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

master_keys = Table(
    "master_keys",
    metadata,
    Column("name", Text, primary_key=True),
    Column("proof", LargeBinary, nullable=False),
    Column("state", Text, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("retired_at", Instant),
    CheckConstraint("state IN ('current', 'former', 'retired')", name="state"),
    CheckConstraint("(state = 'retired') = (retired_at IS NOT NULL)", name="retired"),
    Index("uq_master_keys_current", "state", unique=True, postgresql_where=text("state = 'current'")),
)
"""``current`` wraps; ``former`` still unwraps; under a ``retired`` one nothing is wrapped here, backups apart.
``proof`` is what a key of that name has to open."""

key_rotations = Table(
    "key_rotations",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("tenant", Uuid),
    Column("step", Text, nullable=False),
    Column("asked_by", Text, nullable=False),
    Column("asked_at", Instant, nullable=False),
    Column("due_at", Instant),
    Column("rests_until", Instant),
    Column("ended_at", Instant),
    Column("total", BigInteger, nullable=False),
    Column("done", BigInteger, nullable=False),
    Column("problem", Text, nullable=False),
    CheckConstraint("kind IN ('master', 'rewrap', 'data', 'emergency')", name="kind"),
    CheckConstraint("(kind = 'data') OR tenant IS NULL", name="tenant"),
    CheckConstraint("(step = 'done') = (ended_at IS NOT NULL)", name="ended"),
    Index("ix_key_rotations_open", "asked_at", postgresql_where=text("ended_at IS NULL")),
)
"""``step``: what is being done. ``due_at``: when it has to be over, where somebody said so."""
