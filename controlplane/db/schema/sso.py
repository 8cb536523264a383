"""Single sign-on: whose domain is whose, the connections to providers, who is who there, and sessions that came from it."""

from sqlalchemy import (
    Boolean,
    Column,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    PrimaryKeyConstraint,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
    text,
)

from controlplane.db.schema.shapes import metadata, tenant_table
from controlplane.db.types import Instant

domains = tenant_table(
    "domains",
    Column("id", Uuid, nullable=False),
    Column("name", Text, nullable=False),
    Column("challenge", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("created_by", Text, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("verified_at", Instant),
    Column("checked_at", Instant),
    Column("check_due_at", Instant),
    Column("failed_checks", Integer, nullable=False),
    Column("finding", Text, nullable=False),
    UniqueConstraint("tenant_id", "name"),
    Index("ix_domains_due", "check_due_at", postgresql_where=text("check_due_at IS NOT NULL")),
)
"""``check_due_at``: when the record in DNS is looked for again; only of those that are verified."""

sso_connections = tenant_table(
    "sso_connections",
    Column("id", Uuid, nullable=False),
    Column("name", Text, nullable=False),
    Column("issuer", Text, nullable=False),
    Column("client_id", Text, nullable=False),
    Column("sealed_secret", LargeBinary, nullable=False),
    Column("client_auth", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("enforced", Boolean, nullable=False),
    Column("default_role", Text),
    Column("trusts_addresses", Boolean, nullable=False),
    Column("created_by", Text, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("changed_at", Instant, nullable=False),
    Column("tested_at", Instant),
    Column("version", Integer, nullable=False),
    Index("uq_sso_connections_active", "tenant_id", unique=True, postgresql_where=text("status = 'active'")),
)
"""At most one is active. ``default_role``: what people who are new become; None: nobody new comes in this way."""

sso_identities = tenant_table(
    "sso_identities",
    Column("connection_id", Uuid, nullable=False),
    Column("subject", Text, nullable=False),
    Column("user_id", Uuid, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("last_at", Instant, nullable=False),
    ForeignKeyConstraint(
        ["tenant_id", "connection_id"], ["sso_connections.tenant_id", "sso_connections.id"], ondelete="CASCADE"
    ),
    ForeignKeyConstraint(["tenant_id", "user_id"], ["users.tenant_id", "users.id"], ondelete="CASCADE"),
    Index(None, "tenant_id", "user_id"),
    key=("connection_id", "subject"),
)
"""Who somebody is at a provider: the connection and the subject it names, never an address."""

operator_identities = Table(
    "operator_identities",
    metadata,
    Column("issuer", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("account_id", Uuid, ForeignKey("operators.account_id", ondelete="CASCADE"), nullable=False, index=True),
    Column("created_at", Instant, nullable=False),
    PrimaryKeyConstraint("issuer", "subject"),
)
"""Who of the operators is who at the platform's own provider."""

sso_flows = Table(
    "sso_flows",
    metadata,
    Column("state_hash", LargeBinary, primary_key=True),
    Column("browser_hash", LargeBinary, nullable=False),
    Column("purpose", Text, nullable=False),
    Column("connection_id", Uuid),
    Column("issuer", Text, nullable=False),
    Column("session_id", Uuid, ForeignKey("browser_sessions.id", ondelete="CASCADE")),
    Column("return_to", Text, nullable=False),
    Column("begun_at", Instant, nullable=False),
    Column("expires_at", Instant, nullable=False),
)
"""Browsers that are away at a provider, for minutes. Without a connection it is the platform's own provider."""

session_entries = Table(
    "session_entries",
    metadata,
    Column("session_id", Uuid, ForeignKey("browser_sessions.id", ondelete="CASCADE"), nullable=False),
    Column("tenant_id", Uuid, nullable=False),
    Column("connection_id", Uuid),
    Column("subject_hash", LargeBinary),
    Column("sid_hash", LargeBinary),
    Column("sealed_token", LargeBinary),
    Column("entered_at", Instant, nullable=False),
    PrimaryKeyConstraint("session_id", "tenant_id"),
    Index("ix_session_entries_connection_id", "connection_id"),
)
"""Tenants that a session has been let into by their provider. Without a connection: an owner who broke the glass."""

logout_tokens = Table(
    "logout_tokens",
    metadata,
    Column("token_hash", LargeBinary, primary_key=True),
    Column("expires_at", Instant, nullable=False),
)
"""Logout tokens that were used, until they would be too old anyway."""
