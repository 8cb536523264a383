"""Which incarnation of the database may use refresh tokens: after a restore none does until somebody says so."""

from alembic import op

revision = "0016"
down_revision = "0015"


def upgrade() -> None:
    op.execute("ALTER TABLE store ADD COLUMN refreshing_as uuid, ADD COLUMN resumed_at timestamptz")
    op.execute("UPDATE store SET refreshing_as = store_id")
    op.execute("ALTER TABLE store ALTER COLUMN refreshing_as SET NOT NULL")
    op.execute("GRANT UPDATE (refreshing_as, resumed_at) ON store TO cp_app")
