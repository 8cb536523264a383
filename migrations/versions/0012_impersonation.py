"""Operators who work as somebody of a tenant, and who is behind an audit event of that."""

from pathlib import Path

from alembic import op

revision = "0012"
down_revision = "0011"

MINE = "tenant_id = (SELECT current_setting('app.tenant_id')::uuid)"


def upgrade() -> None:
    tables = Path(__file__).with_suffix(".sql").read_text()
    for statement in tables.split(";\n"):
        if statement.strip():
            op.execute(statement)
    op.execute("ALTER TABLE impersonations ENABLE ROW LEVEL SECURITY")
    op.execute("ALTER TABLE impersonations FORCE ROW LEVEL SECURITY")
    op.execute(f"CREATE POLICY tenant ON impersonations TO cp_app USING ({MINE}) WITH CHECK ({MINE})")
    op.execute("GRANT SELECT, INSERT, UPDATE, DELETE ON impersonations, impersonation_sessions TO cp_app")
    op.execute("GRANT SELECT ON impersonations TO cp_operator")
