"""What connections are minted with, whose app gets tokens by itself."""

from alembic import op

revision = "0020"
down_revision = "0017"


def upgrade() -> None:
    op.execute("ALTER TABLE connections ADD COLUMN minting jsonb")
