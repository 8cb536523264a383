"""Commands, and how far each has got."""

from pathlib import Path

from alembic import op

revision = "0020"
down_revision = "0019"

MINE = "tenant_id = (SELECT current_setting('app.tenant_id')::uuid)"


def upgrade() -> None:
    tables = Path(__file__).with_suffix(".sql").read_text()
    for statement in tables.split(";\n"):
        if statement.strip():
            op.execute(statement)
    op.execute("ALTER TABLE commands ENABLE ROW LEVEL SECURITY")
    op.execute("ALTER TABLE commands FORCE ROW LEVEL SECURITY")
    op.execute(f"CREATE POLICY tenant ON commands TO cp_app USING ({MINE}) WITH CHECK ({MINE})")
    op.execute("GRANT SELECT, INSERT, UPDATE, DELETE ON commands TO cp_app")
    op.execute("GRANT SELECT ON commands TO cp_operator")
