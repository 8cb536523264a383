"""What a tenant may use, what is exported of it, and what remains to be said of it once it is gone."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    PrimaryKeyConstraint,
    Table,
    Text,
    Uuid,
)
from sqlalchemy.dialects.postgresql import JSONB

from controlplane.db.schema.shapes import metadata, tenant_table
from controlplane.db.types import Instant

plan_limits = Table(
    "plan_limits",
    metadata,
    Column("plan", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("most", BigInteger),
    Column("is_default", Boolean, nullable=False),
    PrimaryKeyConstraint("plan", "kind"),
)
"""The plans as they are configured, written at the start of a server so that limits are kept in one statement."""

limit_overrides = tenant_table(
    "limit_overrides",
    Column("kind", Text, nullable=False),
    Column("most", BigInteger),
    key=("kind",),
)
"""What one tenant has instead of its plan's limit; ``most`` None is no limit."""

usage_counters = tenant_table(
    "usage_counters",
    Column("kind", Text, nullable=False),
    Column("used", BigInteger, nullable=False),
    key=("kind",),
)
"""How many there are, counted with every change; a row is made when the first is counted."""

exports = tenant_table(
    "exports",
    Column("id", Uuid, nullable=False),
    Column("state", Text, nullable=False),
    Column("requested_by", Text, nullable=False),
    Column("requested_at", Instant, nullable=False),
    Column("started_at", Instant),
    Column("finished_at", Instant),
    Column("expires_at", Instant),
    Column("rows", BigInteger, nullable=False),
    Column("size_bytes", BigInteger, nullable=False),
    Column("manifest_sha256", Text),
    Index(None, "state"),
)
"""``state``: ``waiting``, ``writing``, ``ready``, ``expired``."""

export_parts = tenant_table(
    "export_parts",
    Column("export_id", Uuid, nullable=False),
    Column("number", Integer, nullable=False),
    Column("body", LargeBinary, nullable=False),
    ForeignKeyConstraint(["tenant_id", "export_id"], ["exports.tenant_id", "exports.id"], ondelete="CASCADE"),
    key=("export_id", "number"),
)
"""The bytes of an archive, in order; they go when the export expires."""

purge_steps = Table(
    "purge_steps",
    metadata,
    Column("tenant", Uuid, nullable=False),
    Column("step", Text, nullable=False),
    Column("rows", BigInteger, nullable=False),
    Column("hash", LargeBinary, nullable=False),
    PrimaryKeyConstraint("tenant", "step"),
)
"""How far a purge is, written with each batch. Of one that is over only that it is."""

tombstones = Table(
    "tombstones",
    metadata,
    Column("tenant", Uuid, primary_key=True),
    Column("purged_at", Instant, nullable=False),
    Column("certificate", JSONB, nullable=False),
)
"""That a tenant was purged, and the signed proof. It names nobody."""
