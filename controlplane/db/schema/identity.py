"""How people prove who they are, how they are invited, and the letters that go out about it."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
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
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.schema import SchemaItem

from controlplane.db.schema.shapes import metadata, tenant_table
from controlplane.db.types import Instant

totps = Table(
    "totps",
    metadata,
    Column("account_id", Uuid, ForeignKey("accounts.id", ondelete="CASCADE"), primary_key=True),
    Column("sealed_seed", LargeBinary, nullable=False),
    Column("last_step", BigInteger, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("confirmed_at", Instant),
)
"""Authenticator apps. ``last_step`` is the number of the last half minute whose code was used: none is taken twice.
One that was not confirmed yet is asked for by nothing."""

recovery_codes = Table(
    "recovery_codes",
    metadata,
    Column("account_id", Uuid, ForeignKey("accounts.id", ondelete="CASCADE"), nullable=False),
    Column("code_hash", LargeBinary, nullable=False),
    Column("created_at", Instant, nullable=False),
    PrimaryKeyConstraint("account_id", "code_hash"),
)
"""Those that are left: a used one is deleted."""

passkeys = Table(
    "passkeys",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("account_id", Uuid, ForeignKey("accounts.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("credential_id", LargeBinary, nullable=False, unique=True),
    Column("public_key", LargeBinary, nullable=False),
    Column("sign_count", BigInteger, nullable=False),
    Column("aaguid", Text, nullable=False),
    Column("transports", ARRAY(Text), nullable=False),
    Column("backed_up", Boolean, nullable=False),
    Column("name", Text, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("last_used_at", Instant),
)

ceremonies = Table(
    "ceremonies",
    metadata,
    Column("token_hash", LargeBinary, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("account_id", Uuid, ForeignKey("accounts.id", ondelete="CASCADE")),
    Column("session_id", Uuid, ForeignKey("browser_sessions.id", ondelete="CASCADE")),
    Column("challenge", LargeBinary),
    Column("password_hash", Text),
    Column("tries", Integer, nullable=False),
    Column("expires_at", Instant, nullable=False),
)
"""What stands between two halves of a proof, for minutes: the second factor after a password, a passkey's challenge.
``password_hash`` is a new password that counts once the second half has succeeded."""

password_requests = Table(
    "password_requests",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("sealed_email", LargeBinary, nullable=False),
    Column("created_at", Instant, nullable=False),
)
"""Somebody who asked for a new password, known or not: looked up later, so that asking takes as long for both."""

invitations = tenant_table(
    "invitations",
    Column("id", Uuid, nullable=False),
    Column("email", Text, nullable=False),
    Column("email_norm", Text, nullable=False),
    Column("role", Text, nullable=False),
    Column("token_hash", LargeBinary, nullable=False),
    Column("invited_by", Text, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("sent_at", Instant, nullable=False),
    Column("expires_at", Instant, nullable=False),
    Column("accepted_at", Instant),
    Column("revoked_at", Instant),
    UniqueConstraint("tenant_id", "token_hash"),
    Index(
        "uq_invitations_pending",
        "tenant_id",
        "email_norm",
        unique=True,
        postgresql_where=text("accepted_at IS NULL AND revoked_at IS NULL"),
    ),
)
"""An address has one open invitation at most; expired ones are open until they are sent again or revoked."""


def _mail() -> tuple[SchemaItem, ...]:
    """A letter: the tenant's and the platform's are the same. What it says is sealed, and gone once it is sent."""
    return (
        Column("id", Uuid, nullable=False),
        Column("kind", Text, nullable=False),
        Column("sealed", LargeBinary),
        Column("created_at", Instant, nullable=False),
        Column("due_at", Instant, nullable=False),
        Column("attempts", Integer, nullable=False),
        Column("sent_at", Instant),
        Column("failed_at", Instant),
        Column("error", Text, nullable=False),
    )


_OPEN = text("sent_at IS NULL AND failed_at IS NULL")

mails = tenant_table("mails", *_mail(), Index("ix_mails_due", "due_at", postgresql_where=_OPEN))

platform_mails = Table(
    "platform_mails",
    metadata,
    *_mail(),
    PrimaryKeyConstraint("id"),
    Index("ix_platform_mails_due", "due_at", postgresql_where=_OPEN),
)
