"""A runtime's identity over its whole life, how far backups cover its log, and what a comparison of both sides found."""

from alembic import op

revision = "0022"
down_revision = "0021"


def upgrade() -> None:
    op.execute("""
        ALTER TABLE runtimes
            ADD COLUMN previous_key bytea,
            ADD COLUMN previous_key_until timestamptz,
            ADD COLUMN key_since timestamptz,
            ADD COLUMN key_wanted_at timestamptz,
            ADD COLUMN locked_at timestamptz,
            ADD COLUMN released boolean NOT NULL DEFAULT false,
            ADD COLUMN recoveries integer NOT NULL DEFAULT 0,
            ADD COLUMN leave_wanted_at timestamptz,
            ADD COLUMN compare_wanted_at timestamptz
    """)
    op.execute("""
        ALTER TABLE sync_cursors
            ADD COLUMN durable_epoch bigint,
            ADD COLUMN durable_seq bigint,
            ADD COLUMN durable_head bytea,
            ADD COLUMN durable_at timestamptz,
            ADD COLUMN compared_at timestamptz,
            ADD COLUMN compared_wanted bigint NOT NULL DEFAULT 0,
            ADD COLUMN compared_newer bigint NOT NULL DEFAULT 0
    """)
    op.execute("ALTER TABLE sync_losses ADD COLUMN first_at timestamptz, ADD COLUMN last_at timestamptz")
    op.execute("ALTER TABLE store ADD COLUMN restored_to timestamptz")
