"""What a tenant has: people, keys, projects, runtimes and how far each has synced."""

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Computed,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
    text,
)
from sqlalchemy.dialects.postgresql import JSON, JSONB

from controlplane.db.schema.shapes import directory_columns, metadata, tenant_table
from controlplane.db.types import Instant

tenants = Table(
    "tenants",
    metadata,
    Column("tenant_id", Uuid, primary_key=True),
    Column("slug", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("status_reason", Text, nullable=False),
    Column("status_message", Text, nullable=False, server_default=""),
    Column("status_before", Text, nullable=False, server_default=""),
    Column("status_by", Text, nullable=False, server_default=""),
    Column("status_since", Instant),
    Column("purge_at", Instant),
    Column("plan", Text),
    Column("created_at", Instant, nullable=False),
    Column("sso_enforced", Boolean, nullable=False, server_default=text("false")),
    Column("mfa_required", Boolean, nullable=False, server_default=text("false")),
    Column("impersonation_policy", Text, nullable=False, server_default=text("'ask'")),
    Column("disclosure_policy", Text, nullable=False, server_default=text("'never'")),
    CheckConstraint("disclosure_policy IN ('never', 'two_people')", name="disclosure_policy"),
    Column("unsealed_reads", Boolean, nullable=False, server_default=text("false")),
    Column("device_flow", Boolean, nullable=False, server_default=text("false")),
    CheckConstraint("impersonation_policy IN ('never', 'ask', 'allow')", name="impersonation_policy"),
)
"""``status_reason`` is for operators, ``status_message`` for the tenant's people; ``plan`` None is the default plan.
``sso_enforced``: who enters must come from the tenant's provider; kept here, because it is asked with every request.
``mfa_required``: who enters must have shown two factors; here for the same reason.
``unsealed_reads``: whether runtimes may have credentials that are not sealed to them.
``device_flow``: whether accounts may be connected by a code that is typed in elsewhere."""

projects = tenant_table(
    "projects",
    Column("id", Uuid, nullable=False),
    Column("slug", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("environment", Text, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("archived_at", Instant),
    UniqueConstraint("tenant_id", "slug"),
)

users = tenant_table(
    "users",
    Column("id", Uuid, nullable=False),
    Column("account_id", Uuid, ForeignKey("accounts.id", ondelete="CASCADE")),
    Column("email_norm", Text(collation="C"), nullable=False),
    Column("name", Text, nullable=False),
    Column("name_norm", Text(collation="C"), Computed("lower(name)", persisted=True), nullable=False),
    Column("status", Text, nullable=False),
    Column("created_at", Instant, nullable=False),
    *directory_columns(),
    Column("user_name", Text),
    Column("user_name_norm", Text(collation="C")),
    Column(
        "login_norm",
        Text(collation="C"),
        Computed("coalesce(user_name_norm, email_norm)", persisted=True),
        nullable=False,
    ),
    Column("directory", JSON),
    UniqueConstraint("tenant_id", "account_id"),
    UniqueConstraint("tenant_id", "email_norm"),
    UniqueConstraint("tenant_id", "login_norm"),
    Index(None, "tenant_id", "name_norm"),
    Index(None, "tenant_id", "external_id"),
)
"""Their roles are in ``role_assignments``. In the collation "C" a prefix is a range, which an index finds. Somebody whom
a directory has announced has no account before they come in themselves; what it says of them is kept as it came."""

api_keys = tenant_table(
    "api_keys",
    Column("id", Uuid, nullable=False),
    Column("name", Text, nullable=False),
    Column("user_id", Uuid),
    Column("service_account_id", Uuid),
    Column("scopes", ARRAY(Text)),
    Column("networks", ARRAY(Text), nullable=False, server_default=text("'{}'")),
    Column("key_hash", LargeBinary, nullable=False),
    Column("hint", Text, nullable=False),
    Column("rotated_from", Uuid),
    Column("created_by", Text, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("expires_at", Instant),
    Column("last_used_at", Instant),
    Column("last_used_from", Text),
    Column("revoked_at", Instant),
    CheckConstraint("num_nonnulls(user_id, service_account_id) = 1", name="one_owner"),
    UniqueConstraint("tenant_id", "key_hash"),
    ForeignKeyConstraint(["tenant_id", "user_id"], ["users.tenant_id", "users.id"], ondelete="CASCADE"),
    ForeignKeyConstraint(
        ["tenant_id", "service_account_id"], ["service_accounts.tenant_id", "service_accounts.id"], ondelete="CASCADE"
    ),
    Index(None, "tenant_id", "user_id"),
    Index(None, "tenant_id", "service_account_id"),
)
"""A key can do what its owner can, or of that only its ``scopes``; from everywhere, or from ``networks`` only."""

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
    Column("sealing_suite", Integer, nullable=False, server_default=text("1")),
    Column("generation", Integer, nullable=False),
    Column("join_count", BigInteger, nullable=False),
    Column("join_nonce", Text, nullable=False),
    Column("join_calls", JSONB, nullable=False, server_default=text("'[]'::jsonb")),
    Column("previous_key", LargeBinary),
    Column("previous_key_until", Instant),
    Column("key_since", Instant),
    Column("key_wanted_at", Instant),
    Column("locked_at", Instant),
    Column("released", Boolean, nullable=False, server_default=text("false")),
    Column("recoveries", Integer, nullable=False, server_default=text("0")),
    Column("leave_wanted_at", Instant),
    Column("compare_wanted_at", Instant),
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
    Column("durable_epoch", BigInteger),
    Column("durable_seq", BigInteger),
    Column("durable_head", LargeBinary),
    Column("durable_at", Instant),
    Column("compared_at", Instant),
    Column("compared_wanted", BigInteger, nullable=False, server_default=text("0")),
    Column("compared_newer", BigInteger, nullable=False, server_default=text("0")),
    ForeignKeyConstraint(["tenant_id", "runtime_id"], ["runtimes.tenant_id", "runtimes.id"], ondelete="CASCADE"),
    key=("runtime_id",),
)
"""How far each log is held, how far a finished backup covers it, and what the last comparison with the runtime found."""

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
    Column("first_at", Instant),
    Column("last_at", Instant),
    ForeignKeyConstraint(["tenant_id", "runtime_id"], ["runtimes.tenant_id", "runtimes.id"], ondelete="CASCADE"),
    Index(None, "tenant_id", "runtime_id", "id"),
)
"""What is known to be missing: ranges that vanished with an agent's disk (``lost``), what an agent says it could not
keep (``gap``), records that were refused (``quarantined``)."""

sync_refills = tenant_table(
    "sync_refills",
    Column("runtime_id", Uuid, nullable=False),
    Column("store_id", Uuid, nullable=False),
    Column("mode", Text, nullable=False),
    Column("epoch", BigInteger, nullable=False),
    Column("first_seq", BigInteger, nullable=False),
    Column("last_seq", BigInteger, nullable=False),
    Column("kept", BigInteger, nullable=False),
    Column("missing", BigInteger, nullable=False),
    Column("noticed_at", Instant, nullable=False),
    Column("compared_at", Instant),
    Column("anew", BigInteger, nullable=False),
    CheckConstraint("mode IN ('resume', 'new_epoch')", name="mode"),
    ForeignKeyConstraint(["tenant_id", "runtime_id"], ["runtimes.tenant_id", "runtimes.id"], ondelete="CASCADE"),
    key=("runtime_id", "store_id"),
)
"""What a runtime brought again once it had noticed that the database was restored."""

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
