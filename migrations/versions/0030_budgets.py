"""Budgets: what may be used, what of it was leased to whom, and what became of that."""

from pathlib import Path

from alembic import op

revision = "0030"
down_revision = "0029"

TABLES = ("budgets", "budget_heads", "budget_slices", "budget_talks", "budget_notices")

MINE = "tenant_id = (SELECT current_setting('app.tenant_id')::uuid)"


def upgrade() -> None:
    tables = Path(__file__).with_suffix(".sql").read_text()
    for statement in tables.split(";\n"):
        if statement.strip():
            op.execute(statement)
    for table in TABLES:
        op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
        op.execute(f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY")
        op.execute(f"CREATE POLICY tenant ON {table} TO cp_app USING ({MINE}) WITH CHECK ({MINE})")
        op.execute(f"GRANT SELECT, INSERT, UPDATE, DELETE ON {table} TO cp_app")
        op.execute(f"GRANT SELECT ON {table} TO cp_operator")
