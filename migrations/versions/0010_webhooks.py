"""Events, who reads them from where, and webhooks."""

from pathlib import Path

from alembic import op

revision = "0010"
down_revision = "0009"

MINE = "tenant_id = (SELECT current_setting('app.tenant_id')::uuid)"

GRANTS = {
    "events": "SELECT, INSERT, DELETE",
    "event_heads": "SELECT, INSERT, UPDATE",
    "event_consumers": "SELECT, INSERT, UPDATE, DELETE",
    "webhooks": "SELECT, INSERT, UPDATE, DELETE",
    "webhook_progress": "SELECT, INSERT, UPDATE",
    "webhook_deliveries": "SELECT, INSERT, UPDATE, DELETE",
}

UNTIL_THE_PURGE = ("event_heads", "webhook_progress")
"""What goes when its tenant is purged, and not before."""

SEALED = "webhooks"
"""The one of which those who look across tenants see not everything."""

READABLE = (
    "tenant_id, id, url, description, types, state, state_reason, from_seq, failing_since, secret_version,"
    " old_secret_until, version, created_by, created_at"
)


def upgrade() -> None:
    tables = Path(__file__).with_suffix(".sql").read_text()
    for statement in tables.split(";\n"):
        if statement.strip():
            op.execute(statement)
    for table, granted in GRANTS.items():
        op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
        op.execute(f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY")
        op.execute(f"CREATE POLICY tenant ON {table} TO cp_app USING ({MINE}) WITH CHECK ({MINE})")
        op.execute(f"GRANT {granted} ON {table} TO cp_app")
        columns = f" ({READABLE})" if table == SEALED else ""
        op.execute(f"GRANT SELECT{columns} ON {table} TO cp_operator")
    for table in UNTIL_THE_PURGE:
        op.execute(f"CREATE TRIGGER purged_only AFTER DELETE ON {table} EXECUTE FUNCTION refuse_unless_purging()")
        op.execute(f"GRANT DELETE ON {table} TO cp_app")
