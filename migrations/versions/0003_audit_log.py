"""The audit log complete: sealed personal data, checkpoints, verdicts, streams, and retention by a role of its own."""

from pathlib import Path

from alembic import op

revision = "0003"
down_revision = "0002"

MINE = "tenant_id = (SELECT current_setting('app.tenant_id')::uuid)"

TENANTS = ("audit_checkpoints", "audit_verdicts", "audit_retention", "audit_streams")
CHAINS = ("audit_events", "platform_audit_events")

NEEDS_THE_ROLE = """
DO $$ BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'cp_audit_pruner') THEN
        RAISE EXCEPTION 'the role cp_audit_pruner is missing: run controlplane db init first';
    END IF;
END $$
"""

ONLY_THE_PRUNER = """
CREATE FUNCTION refuse_deletion() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF current_user <> 'cp_audit_pruner' THEN
        RAISE EXCEPTION 'audit events are deleted by retention only';
    END IF;
    RETURN NULL;
END $$
"""


def upgrade() -> None:
    op.execute(NEEDS_THE_ROLE)
    tables = Path(__file__).with_suffix(".sql").read_text()
    for statement in tables.split(";\n"):
        if statement.strip():
            op.execute(statement)
    op.execute(ONLY_THE_PRUNER)
    for table in CHAINS:
        op.execute(f"CREATE TRIGGER kept AFTER DELETE ON {table} EXECUTE FUNCTION refuse_deletion()")
    for table in TENANTS:
        op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
        op.execute(f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY")
        op.execute(f"CREATE POLICY tenant ON {table} TO cp_app USING ({MINE}) WITH CHECK ({MINE})")
        op.execute(f"GRANT SELECT, INSERT, UPDATE ON {table} TO cp_app")
        op.execute(f"GRANT SELECT ON {table} TO cp_operator")
    op.execute("REVOKE UPDATE ON audit_checkpoints FROM cp_app")
    op.execute("GRANT DELETE ON audit_checkpoints TO cp_app")  # the folder in the home has them all
    op.execute("GRANT SELECT, INSERT, DELETE ON platform_audit_checkpoints TO cp_app")
    op.execute("GRANT SELECT, INSERT, UPDATE ON platform_audit_streams TO cp_app")
    op.execute("ALTER POLICY tenant ON audit_events TO cp_app, cp_audit_pruner")
    op.execute("GRANT SELECT (tenant_id, seq), DELETE ON audit_events TO cp_audit_pruner")
