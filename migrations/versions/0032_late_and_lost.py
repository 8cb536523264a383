"""The calls for tokens that were answered lately, and who has made sure that a session which looks lost has ended."""

from alembic import op

revision = "0032"
down_revision = "0031"


def upgrade() -> None:
    op.execute("ALTER TABLE runtimes ADD COLUMN join_calls jsonb NOT NULL DEFAULT '[]'::jsonb")
    op.execute("ALTER TABLE commands ADD COLUMN though_lost boolean NOT NULL DEFAULT false")
