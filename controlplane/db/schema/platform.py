"""Tables that belong to no tenant, reached through a ``PlatformTx`` only."""

from sqlalchemy import (
    Boolean,
    CheckConstraint,
    Column,
    ForeignKey,
    LargeBinary,
    PrimaryKeyConstraint,
    SmallInteger,
    Table,
    Text,
    Uuid,
    text,
)

from controlplane.db.schema.shapes import metadata
from controlplane.db.types import Instant

store = Table(
    "store",
    metadata,
    Column("single", Boolean, primary_key=True),
    Column("store_id", Uuid, nullable=False),
    Column("made_at", Instant, nullable=False),
    Column("refreshing_as", Uuid, nullable=False),
    Column("resumed_at", Instant),
    Column("restored_to", Instant),
    Column("restored_from", Text),
    CheckConstraint("single", name="single"),
)
"""One row: which incarnation of the database this is. A restore gives it a new id, so that agents notice.
``refreshing_as`` is the one that may use refresh tokens: another one until somebody says that the other is gone.
``restored_to`` is the time of the backup that it was made from, ``restored_from`` the name of that file."""

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
    Column("user_handle", LargeBinary, unique=True),
)
"""A human, once, however many tenants they work in. ``user_handle`` is what authenticators know them by: random."""

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
    Column("authenticated_at", Instant, nullable=False, server_default=text("now()")),
    Column("auth_level", SmallInteger, nullable=False, server_default=text("1")),
    Column("auth_method", Text, nullable=False, server_default=""),
    Column("scope", Text, nullable=False, server_default="account"),
)
"""``authenticated_at`` and ``auth_level`` say when, and by how many factors, the person last proved who they are.
``scope`` says to whom they proved it: ``account``, to us; ``tenants``, to the providers of the tenants that the session
was let into, and so to nobody else; ``operators``, to the platform's provider."""

sign_in_links = Table(
    "sign_in_links",
    metadata,
    Column("token_hash", LargeBinary, primary_key=True),
    Column("account_id", Uuid, ForeignKey("accounts.id", ondelete="CASCADE"), nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("expires_at", Instant, nullable=False),
    Column("purpose", Text, nullable=False, server_default="sign-in"),
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
