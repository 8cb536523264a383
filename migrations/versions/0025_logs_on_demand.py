"""Logs on demand: which logs are being looked at right now."""

from pathlib import Path

from alembic import op

revision = "0025"
down_revision = "0024"

MINE = "tenant_id = (SELECT current_setting('app.tenant_id')::uuid)"


def upgrade() -> None:
    tables = Path(__file__).with_suffix(".sql").read_text()
    for statement in tables.split(";\n"):
        if statement.strip():
            op.execute(statement)
    op.execute("ALTER TABLE log_tails ENABLE ROW LEVEL SECURITY")
    op.execute("ALTER TABLE log_tails FORCE ROW LEVEL SECURITY")
    op.execute(f"CREATE POLICY tenant ON log_tails TO cp_app USING ({MINE}) WITH CHECK ({MINE})")
    op.execute("GRANT SELECT, INSERT, UPDATE, DELETE ON log_tails TO cp_app")
    op.execute("GRANT SELECT ON log_tails TO cp_operator")
