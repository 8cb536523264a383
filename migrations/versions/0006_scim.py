"""What a tenant's directory keeps: its tokens, its people and groups, what was refused."""

from pathlib import Path

from alembic import op

revision = "0006"
down_revision = "0005"

TABLES = ("scim_tokens", "scim_errors")

MINE = "tenant_id = (SELECT current_setting('app.tenant_id')::uuid)"


def upgrade() -> None:
    for statement in Path(__file__).with_suffix(".sql").read_text().split(";\n"):
        if statement.strip():
            op.execute(statement)
    for table in TABLES:
        op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
        op.execute(f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY")
        op.execute(f"CREATE POLICY tenant ON {table} TO cp_app USING ({MINE}) WITH CHECK ({MINE})")
        op.execute(f"GRANT SELECT, INSERT, UPDATE, DELETE ON {table} TO cp_app")
        op.execute(f"GRANT SELECT ON {table} TO cp_operator")
