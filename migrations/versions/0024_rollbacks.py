"""Commands that bring a session back to a checkpoint, and those that take that back."""

from alembic import op

revision = "0024"
down_revision = "0022"


def upgrade() -> None:
    op.execute("""
        ALTER TABLE commands
            ADD COLUMN checkpoint_id uuid,
            ADD COLUMN checkpoint text,
            ADD COLUMN checkpoint_made_at timestamptz,
            ADD COLUMN undoes uuid
    """)
