"""Tenants that demand a second factor of their people."""

from alembic import op

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    op.execute("ALTER TABLE tenants ADD COLUMN mfa_required boolean DEFAULT false NOT NULL")
