"""What connections are minted with, whose app gets tokens by itself; and consent on other devices."""

from alembic import op

revision = "0019"
down_revision = "0018"

MINE = "tenant_id = (SELECT current_setting('app.tenant_id')::uuid)"

SEEN = "tenant_id, id, session_id, interval_s, polls, next_poll_at, begun_at, expires_at, ended_at"
"""What those who look across tenants see."""


def upgrade() -> None:
    op.execute("ALTER TABLE connections ADD COLUMN minting jsonb")
    op.execute("ALTER TABLE tenants ADD COLUMN device_flow boolean DEFAULT false NOT NULL")
    op.execute("""
        CREATE TABLE device_transactions (
            tenant_id uuid NOT NULL,
            id uuid NOT NULL,
            session_id uuid NOT NULL,
            code_blob bytea,
            user_code text NOT NULL,
            address text NOT NULL,
            endpoints jsonb NOT NULL,
            interval_s integer NOT NULL,
            polls integer NOT NULL,
            next_poll_at timestamptz NOT NULL,
            begun_at timestamptz NOT NULL,
            expires_at timestamptz NOT NULL,
            ended_at timestamptz,
            CONSTRAINT pk_device_transactions PRIMARY KEY (tenant_id, id),
            CONSTRAINT fk_device_transactions_tenant_id_session_id FOREIGN KEY (tenant_id, session_id)
                REFERENCES connect_sessions (tenant_id, id) ON DELETE CASCADE,
            CONSTRAINT fk_device_transactions_tenant_id FOREIGN KEY (tenant_id)
                REFERENCES tenants (tenant_id) ON DELETE CASCADE
        )
    """)
    op.execute(
        "CREATE UNIQUE INDEX ix_device_transactions_tenant_id_session_id ON device_transactions (tenant_id, session_id)"
    )
    op.execute("ALTER TABLE device_transactions ENABLE ROW LEVEL SECURITY")
    op.execute("ALTER TABLE device_transactions FORCE ROW LEVEL SECURITY")
    op.execute(f"CREATE POLICY tenant ON device_transactions TO cp_app USING ({MINE}) WITH CHECK ({MINE})")
    op.execute(f"GRANT SELECT ({SEEN}) ON device_transactions TO cp_operator")
    op.execute("GRANT SELECT, INSERT, UPDATE, DELETE ON device_transactions TO cp_app")
