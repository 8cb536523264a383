"""Single sign-on: domains, connections to identity providers, who is who there, sessions that came from it."""

from pathlib import Path

from alembic import op

revision = "0008"
down_revision = "0007"

PLATFORM = ("operator_identities", "sso_flows", "session_entries", "logout_tokens")
TENANTS = ("domains", "sso_connections", "sso_identities")

OF_CONNECTIONS = "tenant_id, id, name, issuer, status, enforced, created_at, changed_at, tested_at"
"""What those who look across tenants see of connections: never what opens them."""

MINE = "tenant_id = (SELECT current_setting('app.tenant_id')::uuid)"


def upgrade() -> None:
    tables = Path(__file__).with_suffix(".sql").read_text()
    for statement in tables.split(";\n"):
        if statement.strip():
            op.execute(statement)
    for table in PLATFORM:
        op.execute(f"GRANT SELECT, INSERT, UPDATE, DELETE ON {table} TO cp_app")
    for table in TENANTS:
        op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
        op.execute(f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY")
        op.execute(f"CREATE POLICY tenant ON {table} TO cp_app USING ({MINE}) WITH CHECK ({MINE})")
        columns = f"({OF_CONNECTIONS})" if table == "sso_connections" else ""
        op.execute(f"GRANT SELECT {columns} ON {table} TO cp_operator")
        op.execute(f"GRANT SELECT, INSERT, UPDATE, DELETE ON {table} TO cp_app")
