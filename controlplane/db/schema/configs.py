"""Desired configuration: documents with their versions, roll-outs, and what each runtime is to have and says it has."""

from sqlalchemy import (
    ARRAY,
    BigInteger,
    CheckConstraint,
    Column,
    ForeignKeyConstraint,
    Index,
    Integer,
    Text,
    UniqueConstraint,
    Uuid,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from controlplane.db.schema.shapes import tenant_table
from controlplane.db.types import Instant

configs = tenant_table(
    "configs",
    Column("id", Uuid, nullable=False),
    Column("level", Text, nullable=False),
    Column("scope", Text, nullable=False),
    Column("project_id", Uuid),
    Column("runtime_id", Uuid),
    Column("label", Text, nullable=False),
    Column("value", Text, nullable=False),
    Column("rank", Integer, nullable=False),
    Column("version", Integer, nullable=False),
    Column("stable", Integer, nullable=False),
    Column("created_by", Text, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("changed_at", Instant, nullable=False),
    CheckConstraint("level IN ('tenant', 'project', 'label', 'runtime')", name="level"),
    CheckConstraint("stable <= version", name="stable"),
    ForeignKeyConstraint(["tenant_id", "project_id"], ["projects.tenant_id", "projects.id"], ondelete="CASCADE"),
    ForeignKeyConstraint(["tenant_id", "runtime_id"], ["runtimes.tenant_id", "runtimes.id"], ondelete="CASCADE"),
    UniqueConstraint("tenant_id", "scope"),
)
"""One for each scope. ``version`` is the newest, ``stable`` the one that runtimes have without a roll-out; 0: none."""

config_versions = tenant_table(
    "config_versions",
    Column("config_id", Uuid, nullable=False),
    Column("version", Integer, nullable=False),
    Column("document", Text, nullable=False),
    Column("note", Text, nullable=False),
    Column("created_by", Text, nullable=False),
    Column("created_at", Instant, nullable=False),
    ForeignKeyConstraint(["tenant_id", "config_id"], ["configs.tenant_id", "configs.id"], ondelete="CASCADE"),
    key=("config_id", "version"),
)

config_texts = tenant_table(
    "config_texts",
    Column("config_id", Uuid, nullable=False),
    Column("kind", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("version", Integer, nullable=False),
    Column("text", Text, nullable=False),
    Column("config_version", Integer, nullable=False),
    Column("created_by", Text, nullable=False),
    Column("created_at", Instant, nullable=False),
    CheckConstraint("kind IN ('prompts', 'skills')", name="kind"),
    ForeignKeyConstraint(["tenant_id", "config_id"], ["configs.tenant_id", "configs.id"], ondelete="CASCADE"),
    key=("config_id", "kind", "name", "version"),
)
"""Each text of each prompt and skill. ``config_version`` is the document's version that it came with."""

rollouts = tenant_table(
    "rollouts",
    Column("config_id", Uuid, nullable=False),
    Column("version", Integer, nullable=False),
    Column("from_version", Integer, nullable=False),
    Column("state", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("plan", JSONB, nullable=False),
    Column("wave", Integer, nullable=False),
    Column("waves", Integer, nullable=False),
    Column("waved_through", Integer, nullable=False),
    Column("answered_at", Instant),
    Column("created_by", Text, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("ended_at", Instant),
    CheckConstraint("state IN ('running', 'paused', 'finished', 'failed', 'cancelled')", name="state"),
    ForeignKeyConstraint(
        ["tenant_id", "config_id", "version"],
        ["config_versions.tenant_id", "config_versions.config_id", "config_versions.version"],
        ondelete="CASCADE",
    ),
    Index(
        "ix_rollouts_open",
        "tenant_id",
        "config_id",
        unique=True,
        postgresql_where=text("state IN ('running', 'paused')"),
    ),
    key=("config_id", "version"),
)
"""``wave`` is the last that was let go; 0: none yet. ``answered_at`` is when all of it had answered; ``waved_through`` the
last wave that somebody let pass though nobody of it had taken the document."""

rollout_targets = tenant_table(
    "rollout_targets",
    Column("config_id", Uuid, nullable=False),
    Column("version", Integer, nullable=False),
    Column("runtime_id", Uuid, nullable=False),
    Column("wave", Integer, nullable=False),
    Column("outcome", Text, nullable=False),
    Column("generation", BigInteger),
    Column("error", Text, nullable=False),
    Column("at", Instant, nullable=False),
    CheckConstraint("outcome IN ('planned', 'released', 'fetched', 'applied', 'failed', 'missed')", name="outcome"),
    ForeignKeyConstraint(
        ["tenant_id", "config_id", "version"],
        ["rollouts.tenant_id", "rollouts.config_id", "rollouts.version"],
        ondelete="CASCADE",
    ),
    ForeignKeyConstraint(["tenant_id", "runtime_id"], ["runtimes.tenant_id", "runtimes.id"], ondelete="CASCADE"),
    Index(None, "tenant_id", "runtime_id"),
    key=("config_id", "version", "runtime_id"),
)
"""``generation`` is the runtime's first document with this version in it."""

config_heads = tenant_table(
    "config_heads",
    Column("revision", BigInteger, nullable=False),
    key=(),
)
"""Moves whenever what some runtime is to have may have become something else."""

runtime_configs = tenant_table(
    "runtime_configs",
    Column("runtime_id", Uuid, nullable=False),
    Column("revision", BigInteger, nullable=False),
    Column("generation", BigInteger, nullable=False),
    Column("hash", Text, nullable=False),
    Column("document", Text, nullable=False),
    Column("parts", JSONB, nullable=False),
    Column("problem", Text, nullable=False),
    Column("made_at", Instant, nullable=False),
    Column("fetched_at", Instant),
    Column("status", Text, nullable=False),
    Column("said_generation", BigInteger, nullable=False),
    Column("applied", BigInteger, nullable=False),
    Column("applied_hash", Text, nullable=False),
    Column("error", Text, nullable=False),
    Column("drift", ARRAY(Text), nullable=False),
    Column("said_at", Instant),
    CheckConstraint("status IN ('none', 'applying', 'applied', 'failed')", name="status"),
    ForeignKeyConstraint(["tenant_id", "runtime_id"], ["runtimes.tenant_id", "runtimes.id"], ondelete="CASCADE"),
    key=("runtime_id",),
)
"""What a runtime is to have, as of ``revision``, and from ``status`` on what it says that it has. ``parts`` are the documents
and versions it was made of; ``problem`` says why they do not come to one, and then the last that was whole stays."""
