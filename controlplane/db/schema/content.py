"""Checkpoint content: what projects let leave, the chunks that came, and which checkpoint is made of which."""

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    Text,
    Uuid,
)

from controlplane.db.schema.shapes import tenant_table
from controlplane.db.types import Instant

content_policies = tenant_table(
    "content_policies",
    Column("project_id", Uuid, nullable=False),
    Column("policy", Text, nullable=False),
    Column("suite", Integer, nullable=False),
    Column("public_key", LargeBinary),
    Column("keep_days", Integer, nullable=False),
    Column("changed_at", Instant, nullable=False),
    CheckConstraint("policy IN ('metadata', 'sealed', 'plain')", name="policy"),
    CheckConstraint("policy <> 'sealed' OR public_key IS NOT NULL", name="key"),
    CheckConstraint("keep_days BETWEEN 1 AND 3650", name="keep"),
    ForeignKeyConstraint(["tenant_id", "project_id"], ["projects.tenant_id", "projects.id"], ondelete="CASCADE"),
    key=("project_id",),
)
"""A project without a row lets nothing but metadata leave."""

contents = tenant_table(
    "contents",
    Column("checkpoint_id", Uuid, nullable=False),
    Column("runtime_id", Uuid, nullable=False),
    Column("project_id", Uuid, nullable=False),
    Column("session_id", Uuid, nullable=False),
    Column("policy", Text, nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("digest", LargeBinary, nullable=False),
    Column("suite", Integer, nullable=False),
    Column("kid", Text, nullable=False),
    Column("sealed_key", LargeBinary, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("received_at", Instant, nullable=False),
    Column("pruned_at", Instant),
    CheckConstraint("policy IN ('sealed', 'plain')", name="policy"),
    Index(None, "tenant_id", "session_id", "created_at"),
    key=("checkpoint_id",),
)
"""What a checkpoint held. The row of a pruned one stays and has no chunks: that it is told again brings nothing back."""

content_chunks = tenant_table(
    "content_chunks",
    Column("checkpoint_id", Uuid, nullable=False),
    Column("position", Integer, nullable=False),
    Column("sha256", LargeBinary, nullable=False),
    Column("size", Integer, nullable=False),
    ForeignKeyConstraint(
        ["tenant_id", "checkpoint_id"], ["contents.tenant_id", "contents.checkpoint_id"], ondelete="CASCADE"
    ),
    Index(None, "tenant_id", "sha256"),
    key=("checkpoint_id", "position"),
)
"""The references. They come with the log, before the chunks: so these have no key to point to."""

chunks = tenant_table(
    "chunks",
    Column("sha256", LargeBinary, nullable=False),
    Column("size", Integer, nullable=False),
    Column("state", Text, nullable=False),
    Column("touched_at", Instant, nullable=False),
    CheckConstraint("state IN ('offered', 'stored', 'committed', 'condemned')", name="state"),
    CheckConstraint("length(sha256) = 32", name="sha256"),
    Index(None, "tenant_id", "touched_at"),
    key=("sha256",),
)
"""What lies in the object store, or was asked for and may. A condemned one is being deleted there."""
