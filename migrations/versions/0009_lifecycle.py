"""Life cycle of tenants: states, limits, exports, and what is left of one that was purged."""

from pathlib import Path

from alembic import op

revision = "0009"
down_revision = "0008"

MINE = "tenant_id = (SELECT current_setting('app.tenant_id')::uuid)"

TENANTS = ("limit_overrides", "usage_counters", "exports", "export_parts")
PLATFORM = ("plan_limits", "purge_steps")

PURGED_ONLY = """
CREATE FUNCTION refuse_unless_purging() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
    IF current_user = 'cp_audit_pruner' THEN -- apart from the next question: the pruner may not ask it
        RETURN NULL;
    END IF;
    IF EXISTS (
        SELECT FROM tenants
        WHERE tenant_id = nullif(current_setting('app.tenant_id', true), '')::uuid AND status = 'purging'
    ) THEN
        RETURN NULL;
    END IF;
    IF TG_TABLE_NAME = 'audit_events' THEN
        RAISE EXCEPTION 'audit events are deleted by retention only, and when their tenant is purged';
    END IF;
    RAISE EXCEPTION '% goes when its tenant is purged, and not before', TG_TABLE_NAME;
END $$
"""

FOR_THE_PURGE = """
DO $$
DECLARE
    name text;
BEGIN
    FOR name IN
        SELECT c.relname FROM pg_class c
        JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'tenant_id' AND NOT a.attisdropped
        WHERE c.relkind IN ('r', 'p') AND c.relnamespace = 'public'::regnamespace AND NOT c.relispartition
            AND c.relname <> 'tenants' AND NOT has_table_privilege('cp_app', c.oid, 'DELETE')
    LOOP
        EXECUTE format('DROP TRIGGER IF EXISTS kept ON %I', name);
        EXECUTE format('CREATE TRIGGER purged_only AFTER DELETE ON %I EXECUTE FUNCTION refuse_unless_purging()', name);
        EXECUTE format('GRANT DELETE ON %I TO cp_app', name);
    END LOOP;
END $$
"""
"""What the application could not delete so far it can delete in a purge, and only then."""


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
    op.execute(FOR_THE_PURGE)
