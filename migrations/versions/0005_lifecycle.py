"""Life cycle of tenants: states, limits, exports, and what is left of one that was purged."""

from pathlib import Path

from alembic import op

revision = "0005"
down_revision = "0002"

MINE = "tenant_id = (SELECT current_setting('app.tenant_id')::uuid)"

TENANTS = ("limit_overrides", "usage_counters", "exports", "export_parts")
PLATFORM = ("plan_limits", "purge_steps")

UNTIL_PURGED = ("audit_events", "data_keys")
"""What the application may delete in a purge only."""

PURGED_ONLY = """
CREATE FUNCTION refuse_unless_purging() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
    IF current_user = 'cp_app' AND NOT EXISTS (
        SELECT FROM tenants
        WHERE tenant_id = (SELECT current_setting('app.tenant_id')::uuid) AND status = 'purging'
    ) THEN
        RAISE EXCEPTION '% goes when its tenant is purged, and not before', TG_TABLE_NAME;
    END IF;
    RETURN NULL;
END $$
"""


def upgrade() -> None:
    tables = Path(__file__).with_suffix(".sql").read_text()
    for statement in tables.split(";\n"):
        if statement.strip():
            op.execute(statement)
    for table in TENANTS:
        op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
        op.execute(f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY")
        op.execute(f"CREATE POLICY tenant ON {table} TO cp_app USING ({MINE}) WITH CHECK ({MINE})")
    for table in (*TENANTS, *PLATFORM):
        op.execute(f"GRANT SELECT, INSERT, UPDATE, DELETE ON {table} TO cp_app")
    for table in ("limit_overrides", "usage_counters", "exports", "plan_limits"):
        op.execute(f"GRANT SELECT ON {table} TO cp_operator")
    op.execute("GRANT SELECT (tenant_id, export_id, number) ON export_parts TO cp_operator")
    op.execute("GRANT SELECT, INSERT ON tombstones TO cp_app")
    op.execute(PURGED_ONLY)
    for table in UNTIL_PURGED:
        op.execute(f"GRANT DELETE ON {table} TO cp_app")
        op.execute(f"CREATE TRIGGER purged_only BEFORE DELETE ON {table} EXECUTE FUNCTION refuse_unless_purging()")
