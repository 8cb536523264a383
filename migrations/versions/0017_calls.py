"""Calls that are made for runtimes: what was called stands with the read."""

from alembic import op

revision = "0017"
down_revision = "0016"


def upgrade() -> None:
    op.execute("ALTER TABLE vault_reads ADD COLUMN call text")
