"""Every table, in one place: the platform's first, then the tenants' own.

A platform table belongs to no tenant and is reached through a ``PlatformTx`` only. A tenant table leads its key with
``tenant_id`` and stands behind row-level security. The partitioned ones are split by month of their time-ordered id.
"""

from typing import Final

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
)
from sqlalchemy.dialects.postgresql import JSON, JSONB
from sqlalchemy.schema import SchemaItem

from controlplane.db.types import Instant

metadata = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
    }
)

# ------------------------------------------------------------------------------------------------ the platform

store = Table(
    "store",
    metadata,
    Column("single", Boolean, primary_key=True),
    Column("store_id", Uuid, nullable=False),
    Column("made_at", Instant, nullable=False),
    CheckConstraint("single", name="single"),
)
"""One row: which incarnation of the database this is. A restore gives it a new id, so that agents notice."""

accounts = Table(
    "accounts",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("email", Text, nullable=False),
    Column("email_norm", Text, nullable=False, unique=True),
    Column("name", Text, nullable=False),
    Column("password_hash", Text),
    Column("status", Text, nullable=False),
    Column("created_at", Instant, nullable=False),
)
"""A human, once, however many tenants they work in."""

operators = Table(
    "operators",
    metadata,
    Column("account_id", Uuid, ForeignKey("accounts.id", ondelete="CASCADE"), primary_key=True),
    Column("role", Text, nullable=False),
    Column("created_at", Instant, nullable=False),
)

operator_keys = Table(
    "operator_keys",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("account_id", Uuid, ForeignKey("accounts.id", ondelete="CASCADE"), nullable=False),
    Column("name", Text, nullable=False),
    Column("key_hash", LargeBinary, nullable=False, unique=True),
    Column("hint", Text, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("expires_at", Instant),
    Column("last_used_at", Instant),
    Column("revoked_at", Instant),
)

browser_sessions = Table(
    "browser_sessions",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("token_hash", LargeBinary, nullable=False, unique=True),
    Column("account_id", Uuid, ForeignKey("accounts.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("created_at", Instant, nullable=False),
    Column("seen_at", Instant, nullable=False),
    Column("expires_at", Instant, nullable=False),
    Column("client", Text, nullable=False),
)

sign_in_links = Table(
    "sign_in_links",
    metadata,
    Column("token_hash", LargeBinary, primary_key=True),
    Column("account_id", Uuid, ForeignKey("accounts.id", ondelete="CASCADE"), nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("expires_at", Instant, nullable=False),
)

routes = Table(
    "routes",
    metadata,
    Column("kind", Text, nullable=False),
    Column("key", LargeBinary, nullable=False),
    Column("tenant_id", Uuid, nullable=False, index=True),
    PrimaryKeyConstraint("kind", "key"),
)
"""Whose slug, credential hash or runtime this is: asked before the tenant is known. It holds nothing worth stealing."""

account_tenants = Table(
    "account_tenants",
    metadata,
    Column("account_id", Uuid, ForeignKey("accounts.id", ondelete="CASCADE"), nullable=False),
    Column("tenant_id", Uuid, nullable=False, index=True),
    PrimaryKeyConstraint("account_id", "tenant_id"),
)
"""Where a person may knock. What they may do there is in the tenant's own ``users``."""

chore_leases = Table(
    "chore_leases",
    metadata,
    Column("name", Text, primary_key=True),
    Column("holder", Uuid, nullable=False),
    Column("until", Instant, nullable=False),
    Column("ran_at", Instant),
    Column("outcome", Text, nullable=False, server_default=""),
)


def _chain() -> tuple[SchemaItem, ...]:
    return (
        Column("seq", BigInteger, nullable=False),
        Column("id", Uuid, nullable=False),
        Column("occurred_us", BigInteger, nullable=False),
        Column("action", Text, nullable=False),
        Column("outcome", Text, nullable=False),
        Column("actor_kind", Text, nullable=False),
        Column("actor_id", Text, nullable=False),
        Column("target_kind", Text, nullable=False),
        Column("target_id", Text, nullable=False),
        Column("facts", JSONB, nullable=False),
        Column("request_id", Text, nullable=False),
        Column("prev_hash", LargeBinary, nullable=False),
        Column("hash", LargeBinary, nullable=False),
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
    Column("seq", BigInteger, nullable=False),
    Column("hash", LargeBinary, nullable=False),
    CheckConstraint("single", name="single"),
)

# ------------------------------------------------------------------------------------------------- tenants' own

tenants = Table(
    "tenants",
    metadata,
    Column("tenant_id", Uuid, primary_key=True),
    Column("slug", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("status_reason", Text, nullable=False),
    Column("created_at", Instant, nullable=False),
)


def tenant_table(name: str, *items: SchemaItem, key: tuple[str, ...] = ("id",), ondelete: str = "CASCADE") -> Table:
    """A table that belongs to tenants: ``tenant_id`` leads its primary key.

    Foreign keys between tenant tables include ``tenant_id``, so the database itself refuses a row that points
    into another tenant; row-level security does not look at foreign keys.
    """
    return Table(
        name,
        metadata,
        Column("tenant_id", Uuid, ForeignKey("tenants.tenant_id", ondelete=ondelete), nullable=False),
        *items,
        PrimaryKeyConstraint("tenant_id", *key),
    )


def projection(name: str, *items: SchemaItem, covering: tuple[str, ...] = ()) -> Table:
    """A partitioned table of rows that came from runtimes. No foreign keys: it can always be made again.

    Args:
        covering: Columns that ride along in the key's index, so that counting over time need not touch the rows.
    """
    return Table(
        name,
        metadata,
        Column("tenant_id", Uuid, nullable=False),
        Column("id", Uuid, nullable=False),
        Column("runtime_id", Uuid, nullable=False),
        *items,
        PrimaryKeyConstraint("tenant_id", "id", postgresql_include=covering),
        postgresql_partition_by="RANGE (id)",
    )


projects = tenant_table(
    "projects",
    Column("id", Uuid, nullable=False),
    Column("slug", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("environment", Text, nullable=False),
    Column("created_at", Instant, nullable=False),
    UniqueConstraint("tenant_id", "slug"),
)

users = tenant_table(
    "users",
    Column("id", Uuid, nullable=False),
    Column("account_id", Uuid, ForeignKey("accounts.id", ondelete="CASCADE"), nullable=False),
    Column("email_norm", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("role", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("created_at", Instant, nullable=False),
    UniqueConstraint("tenant_id", "account_id"),
    UniqueConstraint("tenant_id", "email_norm"),
)

api_keys = tenant_table(
    "api_keys",
    Column("id", Uuid, nullable=False),
    Column("name", Text, nullable=False),
    Column("role", Text, nullable=False),
    Column("key_hash", LargeBinary, nullable=False),
    Column("hint", Text, nullable=False),
    Column("created_by", Text, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("expires_at", Instant),
    Column("last_used_at", Instant),
    Column("revoked_at", Instant),
    UniqueConstraint("tenant_id", "key_hash"),
)

join_tokens = tenant_table(
    "join_tokens",
    Column("id", Uuid, nullable=False),
    Column("project_id", Uuid, nullable=False),
    Column("token_hash", LargeBinary, nullable=False),
    Column("hint", Text, nullable=False),
    Column("uses_allowed", Integer, nullable=False),
    Column("uses", Integer, nullable=False),
    Column("created_by", Text, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("expires_at", Instant, nullable=False),
    Column("revoked_at", Instant),
    UniqueConstraint("tenant_id", "token_hash"),
    ForeignKeyConstraint(["tenant_id", "project_id"], ["projects.tenant_id", "projects.id"], ondelete="CASCADE"),
)

runtimes = tenant_table(
    "runtimes",
    Column("id", Uuid, nullable=False),
    Column("project_id", Uuid, nullable=False),
    Column("name", Text, nullable=False),
    Column("public_key", LargeBinary, nullable=False),
    Column("sealing_key", LargeBinary, nullable=False),
    Column("generation", Integer, nullable=False),
    Column("join_count", BigInteger, nullable=False),
    Column("join_nonce", Text, nullable=False),
    Column("facts", JSONB, nullable=False),
    Column("labels", JSONB, nullable=False),
    Column("state", Text, nullable=False),
    Column("state_reason", Text, nullable=False),
    Column("state_since", Instant, nullable=False),
    Column("joined_at", Instant, nullable=False),
    Column("revoked_at", Instant),
    Column("left_at", Instant),
    UniqueConstraint("tenant_id", "name"),
    ForeignKeyConstraint(["tenant_id", "project_id"], ["projects.tenant_id", "projects.id"], ondelete="CASCADE"),
)

runtime_reports = tenant_table(
    "runtime_reports",
    Column("runtime_id", Uuid, nullable=False),
    Column("received_at", Instant, nullable=False),
    Column("epoch", BigInteger, nullable=False),
    Column("last_seq", BigInteger, nullable=False),
    Column("skew_ms", BigInteger, nullable=False),
    Column("report", JSONB, nullable=False),
    ForeignKeyConstraint(["tenant_id", "runtime_id"], ["runtimes.tenant_id", "runtimes.id"], ondelete="CASCADE"),
    key=("runtime_id",),
)
"""The last heartbeat of each runtime, written at most every half minute: what it said it had, whether we have it or not."""

sync_cursors = tenant_table(
    "sync_cursors",
    Column("runtime_id", Uuid, nullable=False),
    Column("epoch", BigInteger, nullable=False),
    Column("last_seq", BigInteger, nullable=False),
    Column("head", LargeBinary, nullable=False),
    Column("moved_at", Instant),
    ForeignKeyConstraint(["tenant_id", "runtime_id"], ["runtimes.tenant_id", "runtimes.id"], ondelete="CASCADE"),
    key=("runtime_id",),
)

sync_losses = tenant_table(
    "sync_losses",
    Column("id", Uuid, nullable=False),
    Column("runtime_id", Uuid, nullable=False),
    Column("kind", Text, nullable=False),
    Column("epoch", BigInteger, nullable=False),
    Column("first_seq", BigInteger, nullable=False),
    Column("last_seq", BigInteger, nullable=False),
    Column("records", BigInteger, nullable=False),
    Column("reason", Text, nullable=False),
    Column("detail", Text, nullable=False),
    Column("noticed_at", Instant, nullable=False),
    ForeignKeyConstraint(["tenant_id", "runtime_id"], ["runtimes.tenant_id", "runtimes.id"], ondelete="CASCADE"),
    Index(None, "tenant_id", "runtime_id", "id"),
)
"""What is known to be missing: ranges that vanished with an agent's disk (``lost``), what an agent says it could not
keep (``gap``), records that were refused (``quarantined``)."""

agents = tenant_table(
    "agents",
    Column("id", Uuid, nullable=False),
    Column("runtime_id", Uuid, nullable=False),
    Column("project_id", Uuid, nullable=False),
    Column("name", Text, nullable=False),
    Column("first_seen_at", Instant, nullable=False),
    ForeignKeyConstraint(["tenant_id", "runtime_id"], ["runtimes.tenant_id", "runtimes.id"], ondelete="CASCADE"),
    Index(None, "tenant_id", "runtime_id"),
)

sync_batches = projection(
    "sync_batches",
    Column("epoch", BigInteger, nullable=False),
    Column("first_seq", BigInteger, nullable=False),
    Column("skip", Integer, nullable=False),
    Column("last_seq", BigInteger, nullable=False),
    Column("prev_head", LargeBinary, nullable=False),
    Column("head", LargeBinary, nullable=False),
    Column("record_ids", LargeBinary, nullable=False),
    Column("first_record", Uuid, nullable=False),
    Column("last_record", Uuid, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("protocol", Integer, nullable=False),
    Column("received_at", Instant, nullable=False),
    Index(None, "tenant_id", "runtime_id", "epoch", "last_seq"),
)
"""What runtimes sent, byte for byte. Of the lines in ``body``, those from ``skip`` on up to ``last_seq`` count."""


def _origin() -> tuple[SchemaItem, ...]:
    """Where a row came from, and which of two states is newer: by ``(changed_at, epoch, seq)``."""
    return (
        Column("project_id", Uuid, nullable=False),
        Column("agent", Text, nullable=False),
        Column("system", Text, nullable=False),
        Column("epoch", BigInteger, nullable=False),
        Column("seq", BigInteger, nullable=False),
        Column("received_at", Instant, nullable=False),
    )


def _outcome() -> tuple[SchemaItem, ...]:
    """What sessions and runs have in common. JSON is kept as it came: nothing ever looks into it."""
    return (
        *_origin(),
        Column("changed_at", Instant, nullable=False),
        Column("source_status", Text, nullable=False),
        Column("status", Text, nullable=False),
        Column("waiting_for", Text),
        Column("quality", Text, nullable=False),
        Column("attention", JSON, nullable=False),
        Column("started_at", Instant, nullable=False),
        Column("ended_at", Instant),
        Column("duration_ms", BigInteger),
        Column("path", JSON, nullable=False),
        Column("steps", BigInteger, nullable=False),
        Column("retries", BigInteger, nullable=False),
        Column("input_tokens", BigInteger, nullable=False),
        Column("output_tokens", BigInteger, nullable=False),
        Column("error_name", Text),
        Column("error_line", Text),
    )


sessions = projection(
    "sessions",
    *_outcome(),
    Column("source_id", Text(collation="C"), nullable=False),
    Column("updated_at", Instant),
    Column("current_node", Text),
    Column("logged_input_tokens", BigInteger, nullable=False),
    Column("logged_output_tokens", BigInteger, nullable=False),
    Column("detail", JSON, nullable=False),
    Index(None, "tenant_id", "status", "id"),
    Index(None, "tenant_id", "runtime_id", "id"),
    Index(None, "tenant_id", "agent", "id"),
    Index(None, "source_id", postgresql_using="brin", postgresql_with={"autosummarize": "on"}),
    covering=("status", "started_at"),
)

runs = projection(
    "runs",
    *_outcome(),
    Column("session_id", Uuid, nullable=False),
    Column("source_id", Text, nullable=False),
    Column("trace", Text, nullable=False),
    Column("execution", Text, nullable=False),
    Index(None, "tenant_id", "status", "id"),
    Index(None, "received_at", postgresql_using="brin", postgresql_with={"autosummarize": "on"}),
)
"""No index by session: a run's id begins with the same 48 bits as its session's, so the key finds them.

A block range index costs next to nothing to keep. By ``received_at`` it finds new runs of old sessions among old runs;
by ``source_id`` of sessions it says quickly that no name starts like that."""

checkpoints = projection(
    "checkpoints",
    *_origin(),
    Column("session_id", Uuid, nullable=False),
    Column("source_id", Text, nullable=False),
    Column("type", Text, nullable=False),
    Column("node", Text),
    Column("next_node", Text),
    Column("clean", Boolean, nullable=False),
    Column("created_at", Instant, nullable=False),
    Index(None, "tenant_id", "session_id", "created_at"),
)

cost_entries = projection(
    "cost_entries",
    *_origin(),
    Column("session_id", Uuid, nullable=False),
    Column("source_id", Text, nullable=False),
    Column("spent_at", Instant, nullable=False),
    Column("node", Text),
    Column("attempt", BigInteger, nullable=False),
    Column("step", BigInteger, nullable=False),
    Column("type", Text, nullable=False),
    Column("model", Text),
    Column("tool", Text),
    Column("input_tokens", BigInteger, nullable=False),
    Column("output_tokens", BigInteger, nullable=False),
    Column("micro_usd", BigInteger, nullable=False),
    Column("duration_ms", BigInteger, nullable=False),
    Column("flags", JSON, nullable=False),
    Index(None, "tenant_id", "session_id"),
)

audit_events = tenant_table(
    "audit_events", *_chain(), UniqueConstraint("tenant_id", "prev_hash"), key=("seq",), ondelete="RESTRICT"
)
"""Not partitioned: the fork guard needs the plain unique key."""

audit_heads = tenant_table(
    "audit_heads",
    Column("seq", BigInteger, nullable=False),
    Column("hash", LargeBinary, nullable=False),
    key=(),
)

PARTITIONED: Final = (sessions, runs, checkpoints, cost_entries, sync_batches)

PLATFORM: Final = frozenset(
    table.name for table in metadata.tables.values() if "tenant_id" not in table.c or table in (routes, account_tenants)
)
"""The tables that a ``PlatformTx`` may name. The two with a tenant route to it and hold nothing else."""
