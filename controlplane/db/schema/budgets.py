"""Budgets: what may be used, what of it was leased to whom, and what became of that."""

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    ForeignKeyConstraint,
    Index,
    Integer,
    Text,
    Uuid,
    text,
)

from controlplane.db.schema.shapes import tenant_table
from controlplane.db.types import Instant

budgets = tenant_table(
    "budgets",
    Column("id", Uuid, nullable=False),
    Column("name", Text, nullable=False),
    Column("level", Text, nullable=False),
    Column("project_id", Uuid),
    Column("runtime_id", Uuid),
    Column("unit", Text, nullable=False),
    Column("amount", BigInteger, nullable=False),
    Column("period", Text, nullable=False),
    Column("zone", Text, nullable=False),
    Column("warn_at", ARRAY(Integer), nullable=False),
    Column("action", Text, nullable=False),
    Column("created_by", Text, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("changed_at", Instant, nullable=False),
    CheckConstraint("level IN ('tenant', 'project', 'runtime')", name="level"),
    CheckConstraint("unit IN ('tokens', 'micro_usd')", name="unit"),
    CheckConstraint("period IN ('day', 'week', 'month', 'total')", name="period"),
    CheckConstraint("action IN ('warn', 'pause')", name="action"),
    CheckConstraint("amount >= 0", name="amount"),
    ForeignKeyConstraint(["tenant_id", "project_id"], ["projects.tenant_id", "projects.id"], ondelete="CASCADE"),
    ForeignKeyConstraint(["tenant_id", "runtime_id"], ["runtimes.tenant_id", "runtimes.id"], ondelete="CASCADE"),
)
"""Whoever leases of one holds its row locked."""

budget_heads = tenant_table(
    "budget_heads",
    Column("revision", BigInteger, nullable=False),
    key=(),
)
"""Moves whenever some budget of the tenant is another than before."""

budget_slices = tenant_table(
    "budget_slices",
    Column("budget_id", Uuid, nullable=False),
    Column("starts_at", Instant, nullable=False),
    Column("runtime_id", Uuid, nullable=False),
    Column("ends_at", Instant, nullable=False),
    Column("amount", BigInteger, nullable=False),
    Column("used", BigInteger, nullable=False),
    Column("counted", Boolean, nullable=False),
    Column("leased_at", Instant, nullable=False),
    Column("said_at", Instant, nullable=False),
    CheckConstraint("amount >= 0 AND used >= 0", name="amount"),
    ForeignKeyConstraint(["tenant_id", "budget_id"], ["budgets.tenant_id", "budgets.id"], ondelete="CASCADE"),
    ForeignKeyConstraint(["tenant_id", "runtime_id"], ["runtimes.tenant_id", "runtimes.id"], ondelete="CASCADE"),
    key=("budget_id", "starts_at", "runtime_id"),
)
"""What one runtime may use in one period, which only grows, and the most that it has ever said to have used."""

budget_talks = tenant_table(
    "budget_talks",
    Column("runtime_id", Uuid, nullable=False),
    Column("store_id", Uuid, nullable=False),
    Column("number", BigInteger, nullable=False),
    Column("at", Instant, nullable=False),
    ForeignKeyConstraint(["tenant_id", "runtime_id"], ["runtimes.tenant_id", "runtimes.id"], ondelete="CASCADE"),
    key=("runtime_id",),
)
"""With which incarnation of the database each runtime has spoken of its slices; ``number`` is that of the last answer."""

budget_notices = tenant_table(
    "budget_notices",
    Column("id", Uuid, nullable=False),
    Column("budget_id", Uuid, nullable=False),
    Column("starts_at", Instant, nullable=False),
    Column("runtime_id", Uuid),
    Column("state", Text, nullable=False),
    Column("percent", Integer, nullable=False),
    Column("used", BigInteger, nullable=False),
    Column("amount", BigInteger, nullable=False),
    Column("code", Text, nullable=False),
    Column("line", Text, nullable=False),
    Column("at", Instant, nullable=False),
    CheckConstraint("state IN ('warned', 'exhausted', 'unenforced', 'released')", name="state"),
    ForeignKeyConstraint(["tenant_id", "budget_id"], ["budgets.tenant_id", "budgets.id"], ondelete="CASCADE"),
    ForeignKeyConstraint(["tenant_id", "runtime_id"], ["runtimes.tenant_id", "runtimes.id"], ondelete="CASCADE"),
    Index(None, "tenant_id", "budget_id", "id"),
    Index(
        "ix_budget_notices_warned",
        "tenant_id",
        "budget_id",
        "starts_at",
        "percent",
        unique=True,
        postgresql_where=text("state = 'warned'"),
    ),
)
"""What has become of budgets: of a warning, ``used`` and ``amount`` are the whole budget's where no runtime said it."""
