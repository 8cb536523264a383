"""The vault: apps at providers, connections to accounts there, and browsers that are away to make one.

A column that ends in ``_blob`` holds an envelope. ``access_blob`` is of the class that leases open; the others are of
the class that only refreshes open. What stands beside a connection (orphans, revocations) is sealed for the
connection's own row, so that it can move there and back as it is.
"""

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    PrimaryKeyConstraint,
    Table,
    Text,
    Uuid,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.schema import SchemaItem

from controlplane.db.schema.shapes import metadata, tenant_table
from controlplane.db.types import Instant


def _app() -> tuple[SchemaItem, ...]:
    return (
        Column("id", Uuid, nullable=False),
        Column("provider", Text, nullable=False),
        Column("name", Text, nullable=False),
        Column("client_id", Text, nullable=False),
        Column("secret_blob", LargeBinary),
        Column("secret_version", Integer, nullable=False),
        Column("key_id", Text, nullable=False),
        Column("client_auth", Text),
        Column("variables", JSONB, nullable=False),
        Column("scopes", ARRAY(Text), nullable=False),
        Column("state", Text, nullable=False),
        Column("state_reason", Text, nullable=False),
        Column("failures", Integer, nullable=False),
        Column("paused_until", Instant),
        Column("version", Integer, nullable=False),
        Column("created_by", Text, nullable=False),
        Column("created_at", Instant, nullable=False),
        Column("changed_at", Instant, nullable=False),
        CheckConstraint("state IN ('ok', 'broken')", name="state"),
    )


oauth_apps = tenant_table("oauth_apps", *_app(), Column("overrides", JSONB, nullable=False))
"""A tenant's own apps. ``overrides`` are addresses instead of the catalogue's: only here, so that no platform secret
goes where a tenant says. ``failures`` and ``paused_until`` are the circuit breaker's."""

platform_oauth_apps = Table("platform_oauth_apps", metadata, *_app(), PrimaryKeyConstraint("id"))
"""Apps of the installation, which every tenant may connect through. Without addresses of its own."""


def _through() -> tuple[SchemaItem, ...]:
    """Through which app: the tenant's or the platform's, never both."""
    return (
        Column("app_id", Uuid),
        Column("platform_app_id", Uuid),
        ForeignKeyConstraint(["tenant_id", "app_id"], ["oauth_apps.tenant_id", "oauth_apps.id"]),
        ForeignKeyConstraint(["platform_app_id"], ["platform_oauth_apps.id"]),
        CheckConstraint("num_nonnulls(app_id, platform_app_id) <= 1", name="one_app"),
    )


connections = tenant_table(
    "connections",
    Column("id", Uuid, nullable=False),
    Column("provider", Text, nullable=False),
    Column("auth", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("project_id", Uuid),
    Column("owner_ref", Text, nullable=False),
    Column("labels", JSONB, nullable=False),
    Column("account_key", Text),
    Column("account_name", Text, nullable=False),
    Column("account_email", Text, nullable=False),
    Column("requested_scopes", ARRAY(Text), nullable=False),
    Column("granted_scopes", ARRAY(Text), nullable=False),
    Column("endpoints", JSONB, nullable=False),
    Column("facts", JSONB, nullable=False),
    Column("minting", JSONB),
    Column("state", Text, nullable=False),
    Column("state_reason", Text, nullable=False),
    Column("state_at", Instant, nullable=False),
    Column("confirm_until", Instant),
    Column("replaces_id", Uuid),
    Column("cred_version", Integer, nullable=False),
    Column("access_blob", LargeBinary),
    Column("refresh_blob", LargeBinary),
    Column("prev_refresh_blob", LargeBinary),
    Column("access_exp", Instant),
    Column("refresh_exp", Instant),
    Column("next_refresh_at", Instant),
    Column("fence", BigInteger, nullable=False),
    Column("rstate", Text, nullable=False),
    Column("rdeadline", Instant),
    Column("rowner", Text),
    Column("fail_class", Text),
    Column("fail_count", Integer, nullable=False),
    Column("refreshed_at", Instant),
    Column("last_used_at", Instant),
    Column("created_by", Text, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("changed_at", Instant, nullable=False),
    *_through(),
    ForeignKeyConstraint(["tenant_id", "project_id"], ["projects.tenant_id", "projects.id"]),
    CheckConstraint(
        "state IN ('pending_confirm', 'active', 'refresh_failing', 'needs_reauth', 'disabled', 'revoking', 'deleted')",
        name="state",
    ),
    ForeignKeyConstraint(["tenant_id", "replaces_id"], ["connections.tenant_id", "connections.id"], ondelete="CASCADE"),
    CheckConstraint("rstate IN ('idle', 'in_flight')", name="rstate"),
    CheckConstraint("(state = 'pending_confirm') = (confirm_until IS NOT NULL)", name="confirm_until"),
    Index(None, "tenant_id", "provider", "account_key"),
    Index("ix_connections_unconfirmed", "confirm_until", postgresql_where=text("confirm_until IS NOT NULL")),
    Index("ix_connections_due", "next_refresh_at", postgresql_where=text("next_refresh_at IS NOT NULL")),
)
"""``cred_version`` is bound into ``access_blob`` and ``refresh_blob``; ``prev_refresh_blob`` has the one before.
``endpoints`` are the addresses it was connected by, which a change of the catalogue does not change.
``minting``: what an app asks for by itself, without a person; null: it does not.
``replaces_id``: what somebody has connected anew and not confirmed yet waits in a row of its own.
``fence``, ``rstate``, ``rdeadline`` and ``rowner`` are the intent to refresh, written before the provider is called."""

refresh_orphans = tenant_table(
    "refresh_orphans",
    Column("id", Uuid, nullable=False),
    Column("connection_id", Uuid, nullable=False),
    Column("from_version", Integer, nullable=False),
    Column("fence", BigInteger, nullable=False),
    Column("access_blob", LargeBinary, nullable=False),
    Column("refresh_blob", LargeBinary),
    Column("access_exp", Instant),
    Column("refresh_exp", Instant),
    Column("granted_scopes", ARRAY(Text), nullable=False),
    Column("taken", Boolean, nullable=False),
    Column("created_at", Instant, nullable=False),
    ForeignKeyConstraint(
        ["tenant_id", "connection_id"], ["connections.tenant_id", "connections.id"], ondelete="CASCADE"
    ),
    Index(None, "tenant_id", "connection_id", "from_version"),
)
"""Rotated tokens that lost the race to their row. Sealed for version ``from_version`` + 1, which adoption gives them."""

connection_events = tenant_table(
    "connection_events",
    Column("id", Uuid, nullable=False),
    Column("connection_id", Uuid, nullable=False),
    Column("type", Text, nullable=False),
    Column("actor_kind", Text, nullable=False),
    Column("actor_id", Text, nullable=False),
    Column("cred_version", Integer, nullable=False),
    Column("facts", JSONB, nullable=False),
    Column("occurred_at", Instant, nullable=False),
    ForeignKeyConstraint(
        ["tenant_id", "connection_id"], ["connections.tenant_id", "connections.id"], ondelete="CASCADE"
    ),
    Index(None, "tenant_id", "connection_id", "id"),
)
"""What became of each connection, for people to read; the proof is in the audit log."""

connect_sessions = tenant_table(
    "connect_sessions",
    Column("id", Uuid, nullable=False),
    Column("token_hash", LargeBinary, nullable=False),
    Column("provider", Text, nullable=False),
    Column("variables", JSONB, nullable=False),
    Column("scopes", ARRAY(Text), nullable=False),
    Column("name", Text, nullable=False),
    Column("project_id", Uuid),
    Column("owner_ref", Text, nullable=False),
    Column("labels", JSONB, nullable=False),
    Column("return_url", Text, nullable=False),
    Column("connection_id", Uuid),
    Column("other_account", Boolean, nullable=False),
    Column("person_id", Uuid),
    Column("state", Text, nullable=False),
    Column("failure", Text, nullable=False),
    Column("made_id", Uuid),
    Column("created_by", Text, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("expires_at", Instant, nullable=False),
    Column("used_at", Instant),
    *_through(),
    ForeignKeyConstraint(["tenant_id", "project_id"], ["projects.tenant_id", "projects.id"]),
    ForeignKeyConstraint(
        ["tenant_id", "connection_id"], ["connections.tenant_id", "connections.id"], ondelete="CASCADE"
    ),
    CheckConstraint("state IN ('open', 'away', 'connected', 'failed')", name="state"),
)
"""One attempt to connect. ``connection_id`` is what is connected anew; ``person_id`` the signed-in account that has to
confirm; without one the tenant's program does. ``made_id`` is what came of it."""

login_transactions = tenant_table(
    "login_transactions",
    Column("id", Uuid, nullable=False),
    Column("state_hash", LargeBinary, nullable=False),
    Column("session_id", Uuid, nullable=False),
    Column("pkce_blob", LargeBinary),
    Column("issuer", Text),
    Column("endpoints", JSONB, nullable=False),
    Column("redirect_uri", Text, nullable=False),
    Column("cookie_hash", LargeBinary, nullable=False),
    Column("begun_at", Instant, nullable=False),
    Column("expires_at", Instant, nullable=False),
    Column("consumed_at", Instant),
    ForeignKeyConstraint(
        ["tenant_id", "session_id"], ["connect_sessions.tenant_id", "connect_sessions.id"], ondelete="CASCADE"
    ),
    Index(None, "tenant_id", "state_hash", unique=True),
    Index("ix_login_transactions_expires_at", "expires_at"),
)
"""Browsers that are away at a provider. ``issuer`` and ``endpoints`` are what they were sent off with."""

device_transactions = tenant_table(
    "device_transactions",
    Column("id", Uuid, nullable=False),
    Column("session_id", Uuid, nullable=False),
    Column("code_blob", LargeBinary),
    Column("user_code", Text, nullable=False),
    Column("address", Text, nullable=False),
    Column("endpoints", JSONB, nullable=False),
    Column("interval_s", Integer, nullable=False),
    Column("polls", Integer, nullable=False),
    Column("next_poll_at", Instant, nullable=False),
    Column("begun_at", Instant, nullable=False),
    Column("expires_at", Instant, nullable=False),
    Column("ended_at", Instant),
    ForeignKeyConstraint(
        ["tenant_id", "session_id"], ["connect_sessions.tenant_id", "connect_sessions.id"], ondelete="CASCADE"
    ),
    Index(None, "tenant_id", "session_id", unique=True),
)
"""Persons who consent on another device. The code that is asked with goes as soon as it has ended, however it did."""

connection_revocations = tenant_table(
    "connection_revocations",
    Column("id", Uuid, nullable=False),
    Column("connection_id", Uuid, nullable=False),
    Column("provider", Text, nullable=False),
    Column("endpoints", JSONB, nullable=False),
    Column("cred_version", Integer, nullable=False),
    Column("access_blob", LargeBinary),
    Column("refresh_blob", LargeBinary),
    Column("reason", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("next_at", Instant),
    Column("last_error", Text, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("ended_at", Instant),
    *_through(),
    CheckConstraint("state IN ('pending', 'done', 'failed', 'unsupported')", name="state"),
    CheckConstraint("(state = 'pending') = (next_at IS NOT NULL)", name="next_at"),
    Index("ix_connection_revocations_due", "next_at", postgresql_where=text("next_at IS NOT NULL")),
)
"""What is still to be taken back at providers. Blobs go as soon as it has ended, however it did."""

return_urls = tenant_table(
    "return_urls",
    Column("url", Text, nullable=False),
    Column("created_by", Text, nullable=False),
    Column("created_at", Instant, nullable=False),
    key=("url",),
)
"""Where browsers may be sent after connecting: exactly these addresses."""
