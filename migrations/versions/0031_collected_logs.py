"""Commands that have logs collected: which, of what time, and what is said of the file that came of it."""

from alembic import op

revision = "0031"
down_revision = "0030"


def upgrade() -> None:
    op.execute("""
        ALTER TABLE commands
            ADD COLUMN logs text[],
            ADD COLUMN logged_since timestamptz,
            ADD COLUMN logged_until timestamptz,
            ADD COLUMN bundle jsonb,
            ADD CONSTRAINT ck_commands_logs CHECK ((kind = 'collect-logs') = (logs IS NOT NULL))
    """)
