"""Second factors, passkeys, invitations and letters; what a session knows about how its person proved who they are."""

from pathlib import Path

from alembic import op

revision = "0005"
down_revision = "0004"

PLATFORM = ("totps", "recovery_codes", "passkeys", "ceremonies", "password_requests", "platform_mails")
TENANTS = ("mails", "invitations")

OF_MAILS = "tenant_id, id, kind, created_at, due_at, attempts, sent_at, failed_at, error"
"""What those who look across tenants see of letters: never what they say."""

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
        op.execute(f"GRANT SELECT {f'({OF_MAILS})' if table == 'mails' else ''} ON {table} TO cp_operator")
        op.execute(f"GRANT SELECT, INSERT, UPDATE, DELETE ON {table} TO cp_app")
