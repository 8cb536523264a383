"""Answers kept under an Idempotency-Key, each tenant's behind the policy of all its tables."""

from pathlib import Path

from alembic import op

revision = "0007"
down_revision = "0006"

MINE = "tenant_id = (SELECT current_setting('app.tenant_id')::uuid)"
"""As in 0001: evaluated once for the statement; without a tenant it raises."""


def upgrade() -> None:
    for statement in Path(__file__).with_suffix(".sql").read_text().split(";\n"):
        if statement.strip():
            op.execute(statement)
    op.execute("ALTER TABLE idempotency_records ENABLE ROW LEVEL SECURITY")
    op.execute("ALTER TABLE idempotency_records FORCE ROW LEVEL SECURITY")
    op.execute(f"CREATE POLICY tenant ON idempotency_records TO cp_app USING ({MINE}) WITH CHECK ({MINE})")
    op.execute("GRANT SELECT, INSERT, UPDATE, DELETE ON idempotency_records TO cp_app")
    op.execute("GRANT SELECT (tenant_id, expires_at) ON idempotency_records TO cp_operator")
    op.execute("GRANT SELECT, INSERT, UPDATE, DELETE ON platform_idempotency_records TO cp_app")
