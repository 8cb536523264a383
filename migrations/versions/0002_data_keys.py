"""Data keys: what personal data and secrets are sealed with, wrapped under a master key that is not here."""

from pathlib import Path

from alembic import op

revision = "0002"
down_revision = "0001"

MINE = "tenant_id = (SELECT current_setting('app.tenant_id')::uuid)"

READABLE = "id, kind, subject, master, state, created_at, destroyed_at"
"""What those who look across tenants see: everything but the wrapped key."""


def upgrade() -> None:
    tables = Path(__file__).with_suffix(".sql").read_text()
    for statement in tables.split(";\n"):
        if statement.strip():
            op.execute(statement)
    op.execute("ALTER TABLE data_keys ENABLE ROW LEVEL SECURITY")
    op.execute("ALTER TABLE data_keys FORCE ROW LEVEL SECURITY")
    op.execute(f"CREATE POLICY tenant ON data_keys TO cp_app USING ({MINE}) WITH CHECK ({MINE})")
    op.execute(f"GRANT SELECT (tenant_id, {READABLE}) ON data_keys TO cp_operator")
    for table in ("data_keys", "platform_data_keys"):
        op.execute(f"GRANT SELECT, INSERT, UPDATE ON {table} TO cp_app")
