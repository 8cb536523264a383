"""Keys of runtimes that speak the protocol of the existing client, and whether the tenant lets them."""

from pathlib import Path

from alembic import op

revision = "0018"
down_revision = "0017"

MINE = "tenant_id = (SELECT current_setting('app.tenant_id')::uuid)"


def upgrade() -> None:
    for statement in Path(__file__).with_suffix(".sql").read_text().split(";\n"):
        op.execute(statement)
    op.execute("ALTER TABLE runtime_keys ENABLE ROW LEVEL SECURITY")
    op.execute("ALTER TABLE runtime_keys FORCE ROW LEVEL SECURITY")
    op.execute(f"CREATE POLICY tenant ON runtime_keys TO cp_app USING ({MINE}) WITH CHECK ({MINE})")
    op.execute("GRANT SELECT, INSERT, UPDATE, DELETE ON runtime_keys TO cp_app")
    op.execute("GRANT SELECT ON runtime_keys TO cp_operator")
