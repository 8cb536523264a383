"""The vault: apps at providers, connections to accounts there, and browsers that are away to make one."""

from pathlib import Path

from alembic import op

revision = "0013"
down_revision = "0012"

MINE = "tenant_id = (SELECT current_setting('app.tenant_id')::uuid)"

APP = (
    "id, provider, name, client_id, state, state_reason, failures, paused_until, version, created_by, created_at,"
    " changed_at"
)

SEEN = {
    "oauth_apps": f"tenant_id, {APP}",
    "connections": (
        "tenant_id, id, provider, auth, name, project_id, app_id, platform_app_id, requested_scopes, granted_scopes,"
        " state, state_reason, state_at, confirm_until, replaces_id, cred_version, access_exp, refresh_exp, next_refresh_at, fence,"
        " rstate, rdeadline, rowner, fail_class, fail_count, refreshed_at, last_used_at, created_by, created_at,"
        " changed_at"
    ),
    "refresh_orphans": "tenant_id, id, connection_id, from_version, fence, taken, created_at",
    "connection_events": None,
    "connect_sessions": (
        "tenant_id, id, provider, app_id, platform_app_id, connection_id, state, failure, made_id, created_by,"
        " created_at, expires_at, used_at"
    ),
    "login_transactions": "tenant_id, id, session_id, issuer, begun_at, expires_at, consumed_at",
    "connection_revocations": (
        "tenant_id, id, connection_id, provider, app_id, platform_app_id, cred_version, reason, state, attempts,"
        " next_at, last_error, created_at, ended_at"
    ),
    "return_urls": None,
}
"""What those who look across tenants see: never an envelope, a hash, or whose account it is. None: everything."""


def upgrade() -> None:
    tables = Path(__file__).with_suffix(".sql").read_text()
    for statement in tables.split(";\n"):
        if statement.strip():
            op.execute(statement)
    for table, seen in SEEN.items():
        op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
        op.execute(f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY")
        op.execute(f"CREATE POLICY tenant ON {table} TO cp_app USING ({MINE}) WITH CHECK ({MINE})")
        op.execute(f"GRANT SELECT{f' ({seen})' if seen else ''} ON {table} TO cp_operator")
        op.execute(f"GRANT SELECT, INSERT, UPDATE, DELETE ON {table} TO cp_app")
    op.execute("GRANT SELECT, INSERT, UPDATE, DELETE ON platform_oauth_apps TO cp_app")
