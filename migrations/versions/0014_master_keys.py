"""Which master keys there are, with a proof of each, and rotations of keys."""

from pathlib import Path

from alembic import op

revision = "0014"
down_revision = "0013"

READABLE = "name, state, created_at, retired_at"
"""What those who look across tenants see: not the proof, which has no use but to guess against."""


def upgrade() -> None:
    tables = Path(__file__).with_suffix(".sql").read_text()
    for statement in tables.split(";\n"):
        if statement.strip():
            op.execute(statement)
    op.execute("GRANT SELECT, INSERT, UPDATE ON master_keys TO cp_app")
    op.execute("GRANT SELECT, INSERT, UPDATE, DELETE ON key_rotations TO cp_app")
    op.execute(f"GRANT SELECT ({READABLE}) ON master_keys TO cp_operator")
    op.execute("GRANT SELECT ON key_rotations TO cp_operator")
    op.execute(
        "GRANT SELECT (id, kind, subject, master, state, created_at, destroyed_at) ON platform_data_keys TO cp_operator"
    )
