"""Leases, the policies that decide them, and the record of every read of a credential."""

from pathlib import Path

from alembic import op

revision = "0015"
down_revision = "0014"

MINE = "tenant_id = (SELECT current_setting('app.tenant_id')::uuid)"

TABLES = {
    "policies": "SELECT, INSERT, UPDATE, DELETE",
    "policy_heads": "SELECT, INSERT, UPDATE, DELETE",
    "credential_prints": "SELECT, INSERT, DELETE",
    "leases": "SELECT, INSERT, UPDATE, DELETE",
    "vault_reads": "SELECT, INSERT, UPDATE (sealed_by), DELETE",
}
"""What the application may do. A read is written once: of it only its place in the chain is filled in later."""

SEEN = {
    "policies": None,
    "policy_heads": None,
    "credential_prints": "tenant_id, connection_id, cred_version",
    "leases": None,
    "vault_reads": (
        "tenant_id, seq, writer, occurred_us, act, outcome, runtime_id, agent, run, tool, purpose, connection_id,"
        " cred_version, scopes, rule, policies_version, lease_id, kid, sealed_by"
    ),
}
"""What those who look across tenants see. None: everything."""

SEALED_ONCE = """
CREATE FUNCTION refuse_second_seal() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF OLD.sealed_by IS NOT NULL THEN
        RAISE EXCEPTION 'a read has one place in the chain';
    END IF;
    RETURN NEW;
END $$
"""


def upgrade() -> None:
    tables = Path(__file__).with_suffix(".sql").read_text()
    for statement in tables.split(";\n"):
        if statement.strip():
            op.execute(statement)
    for table, may in TABLES.items():
        seen = SEEN[table]
        op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
        op.execute(f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY")
        op.execute(f"CREATE POLICY tenant ON {table} TO cp_app USING ({MINE}) WITH CHECK ({MINE})")
        op.execute(f"GRANT {may} ON {table} TO cp_app")
        op.execute(f"GRANT SELECT{f' ({seen})' if seen else ''} ON {table} TO cp_operator")
    op.execute(SEALED_ONCE)
    op.execute(
        "CREATE TRIGGER sealed_once BEFORE UPDATE ON vault_reads FOR EACH ROW EXECUTE FUNCTION refuse_second_seal()"
    )
    op.execute("CREATE TRIGGER purged_only AFTER DELETE ON vault_reads EXECUTE FUNCTION refuse_unless_purging()")
    op.execute("ALTER POLICY tenant ON vault_reads TO cp_app, cp_audit_pruner")
    op.execute("GRANT SELECT (tenant_id, sealed_by), DELETE ON vault_reads TO cp_audit_pruner")
