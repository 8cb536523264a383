"""Commands: what runtimes were asked to do, and how far each has got."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    ForeignKeyConstraint,
    Index,
    Text,
    UniqueConstraint,
    Uuid,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

from controlplane.db.schema.shapes import tenant_table
from controlplane.db.types import Instant

commands = tenant_table(
    "commands",
    Column("id", Uuid, nullable=False),
    Column("runtime_id", Uuid, nullable=False),
    Column("number", BigInteger, nullable=False),
    Column("kind", Text, nullable=False),
    Column("session_id", Uuid),
    Column("agent", Text, nullable=False),
    Column("source_id", Text, nullable=False),
    Column("session_changed_at", Instant),
    Column("comment", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("code", Text, nullable=False),
    Column("detail", Text, nullable=False),
    Column("created_by", Text, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("not_after", Instant, nullable=False),
    Column("delivered_at", Instant),
    Column("started_at", Instant),
    Column("ended_at", Instant),
    Column("superseded_by", Uuid),
    Column("checkpoint_id", Uuid),
    Column("checkpoint", Text),
    Column("checkpoint_made_at", Instant),
    Column("undoes", Uuid),
    Column("logs", ARRAY(Text)),
    Column("logged_since", Instant),
    Column("logged_until", Instant),
    Column("bundle", JSONB),
    Column("though_lost", Boolean, nullable=False, server_default=text("false")),
    CheckConstraint(
        "state IN ('queued', 'delivered', 'running', 'succeeded', 'failed', 'expired', 'superseded')", name="state"
    ),
    CheckConstraint("(kind = 'collect-logs') = (logs IS NOT NULL)", name="logs"),
    ForeignKeyConstraint(["tenant_id", "runtime_id"], ["runtimes.tenant_id", "runtimes.id"], ondelete="CASCADE"),
    UniqueConstraint("tenant_id", "runtime_id", "number"),
    Index(None, "tenant_id", "runtime_id", "id"),
    Index(None, "tenant_id", "session_id", "id"),
    Index("ix_commands_open", "tenant_id", "runtime_id", postgresql_where=text("ended_at IS NULL")),
    Index("ix_commands_queued", "not_after", postgresql_where=text("state = 'queued'")),
)
"""``session_id`` points into a projection, so there is no foreign key. ``agent`` and ``source_id`` are the source's own
names of that session; ``session_changed_at`` is of the state of it that a decision was made on. ``checkpoint`` is the
source's own name of the one that a rollback, or a resume, is about; ``undoes`` the command that an undo takes back.
``logs`` and the times say what is to be collected, ``bundle`` what the runtime says of the file that came of it; the
file itself is in its network. ``though_lost``: whoever asked has made sure that a session which looks lost has ended."""
