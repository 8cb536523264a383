"""The first tables, who may touch them, and how partitions are made."""

from pathlib import Path

from alembic import op

revision = "0001"
down_revision = None

PLATFORM = (
    "store",
    "accounts",
    "operators",
    "operator_keys",
    "browser_sessions",
    "sign_in_links",
    "routes",
    "account_tenants",
    "chore_leases",
    "platform_audit_heads",
)
TENANTS = (
    "tenants",
    "projects",
    "users",
    "api_keys",
    "join_tokens",
    "runtimes",
    "runtime_reports",
    "sync_cursors",
    "sync_losses",
    "agents",
    "audit_heads",
)
PARTITIONED = ("sessions", "runs", "checkpoints", "cost_entries", "sync_batches")
FOR_EVER = ("audit_events", "platform_audit_events")
"""Written once: the application may add and read, and a trigger refuses the rest to everybody else as well."""

MINE = "tenant_id = (SELECT current_setting('app.tenant_id')::uuid)"
"""(SELECT …) is evaluated once for the statement, not once for the row. Without a tenant it raises."""

MAKE_PARTITION = """
CREATE FUNCTION make_partition(parent text, wanted date) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp SET lock_timeout = '4s' AS $$
DECLARE
    month date := date_trunc('month', wanted)::date;
    child text := parent || '_' || to_char(month, 'YYYYMM');
BEGIN
    IF parent NOT IN ('sessions', 'runs', 'checkpoints', 'cost_entries', 'sync_batches') THEN
        RAISE EXCEPTION 'not a partitioned table: %', parent;
    END IF;
    IF month < date '2000-01-01' OR month > (now() AT TIME ZONE 'UTC')::date + interval '4 months' THEN
        RAISE EXCEPTION 'no partition is made for %', month;
    END IF;
    IF month < date_trunc('month', now() AT TIME ZONE 'UTC')::date - interval '24 months' THEN
        RETURN false; -- what is older shares DEFAULT: every partition costs every query its locks
    END IF;
    IF to_regclass('public.' || child) IS NOT NULL THEN
        RETURN false;
    END IF;
    PERFORM pg_advisory_xact_lock(hashtextextended('make_partition', 0));
    -- to_regclass would answer from what this connection remembers; the catalog itself knows who was here meanwhile
    PERFORM FROM pg_class WHERE relname = child AND relnamespace = 'public'::regnamespace;
    IF FOUND THEN
        RETURN false;
    END IF;
    EXECUTE format('CREATE TABLE public.%I (LIKE public.%I INCLUDING ALL)', child, parent);
    EXECUTE format('ALTER TABLE public.%I ENABLE ROW LEVEL SECURITY', child);
    EXECUTE format('ALTER TABLE public.%I FORCE ROW LEVEL SECURITY', child);
    EXECUTE format('ALTER TABLE public.%I ATTACH PARTITION public.%I FOR VALUES FROM (%L) TO (%L)', parent, child,
        first_id_of(month), first_id_of((month + interval '1 month')::date));
    RETURN true;
END $$
"""

FIRST_ID = """
CREATE FUNCTION first_id_of(day date) RETURNS uuid
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, public, pg_temp AS $$
    SELECT (lpad(to_hex((extract(epoch FROM day::timestamp) * 1000)::bigint), 12, '0') || repeat('0', 20))::uuid
$$
"""

REFUSE = """
CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RAISE EXCEPTION 'audit events are written once';
END $$
"""


def upgrade() -> None:
    tables = Path(__file__).with_suffix(".sql").read_text()
    for statement in tables.split(";\n"):
        if statement.strip():
            op.execute(statement)
    for statement in (FIRST_ID, MAKE_PARTITION, REFUSE):
        op.execute(statement)
    for table in PARTITIONED:
        op.execute(f"CREATE TABLE {table}_default PARTITION OF {table} DEFAULT")
        op.execute(f"ALTER TABLE {table}_default ENABLE ROW LEVEL SECURITY")
        op.execute(f"ALTER TABLE {table}_default FORCE ROW LEVEL SECURITY")
    op.execute("ALTER TABLE sync_batches ALTER COLUMN body SET STORAGE EXTERNAL")  # compressed already
    op.execute("ALTER TABLE sync_cursors SET (fillfactor = 50)")
    op.execute("INSERT INTO store VALUES (true, gen_random_uuid(), now())")
    _permit()


def _permit() -> None:
    for table in PLATFORM:
        op.execute(f"GRANT SELECT, INSERT, UPDATE, DELETE ON {table} TO cp_app")
    for table in (*TENANTS, *PARTITIONED, "audit_events"):
        op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
        op.execute(f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY")
        op.execute(f"CREATE POLICY tenant ON {table} TO cp_app USING ({MINE}) WITH CHECK ({MINE})")
        op.execute(f"GRANT SELECT ON {table} TO cp_operator")
    for table in (*TENANTS, *PARTITIONED):
        op.execute(f"GRANT SELECT, INSERT, UPDATE, DELETE ON {table} TO cp_app")
    op.execute("REVOKE DELETE ON tenants FROM cp_app")  # with a tenant would go what is written for ever
    for table in FOR_EVER:
        op.execute(f"GRANT SELECT, INSERT ON {table} TO cp_app")
        op.execute(f"CREATE TRIGGER written_once BEFORE UPDATE OR TRUNCATE ON {table} EXECUTE FUNCTION refuse_change()")
    op.execute("GRANT SELECT ON alembic_version TO cp_app")
    op.execute("REVOKE ALL ON FUNCTION make_partition(text, date) FROM PUBLIC")
    op.execute("GRANT EXECUTE ON FUNCTION make_partition(text, date) TO cp_app")
