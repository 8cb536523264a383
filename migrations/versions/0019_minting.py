"""What connections are minted with, whose app gets tokens by itself."""

from alembic import op

revision = "0019"
down_revision = "0018"


def upgrade() -> None:
    op.execute("ALTER TABLE connections ADD COLUMN minting jsonb")
