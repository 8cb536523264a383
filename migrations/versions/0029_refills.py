"""What each runtime brought again after the database was restored, and which file it was restored from."""

from alembic import op

revision = "0029"
down_revision = "0026"

MINE = "tenant_id = (SELECT current_setting('app.tenant_id')::uuid)"


def upgrade() -> None:
    op.execute("ALTER TABLE store ADD COLUMN restored_from text")
    op.execute("GRANT SELECT ON store TO cp_operator")
    op.execute("""
        CREATE TABLE sync_refills (
            tenant_id uuid NOT NULL,
            runtime_id uuid NOT NULL,
            store_id uuid NOT NULL,
            mode text NOT NULL,
            epoch bigint NOT NULL,
            first_seq bigint NOT NULL,
            last_seq bigint NOT NULL,
            kept bigint NOT NULL,
            missing bigint NOT NULL,
            noticed_at timestamptz NOT NULL,
            compared_at timestamptz,
            anew bigint NOT NULL,
            CONSTRAINT pk_sync_refills PRIMARY KEY (tenant_id, runtime_id, store_id),
            CONSTRAINT ck_sync_refills_mode CHECK (mode IN ('resume', 'new_epoch')),
            CONSTRAINT fk_sync_refills_tenant_id FOREIGN KEY (tenant_id)
                REFERENCES tenants (tenant_id) ON DELETE CASCADE,
            CONSTRAINT fk_sync_refills_tenant_id_runtime_id FOREIGN KEY (tenant_id, runtime_id)
                REFERENCES runtimes (tenant_id, id) ON DELETE CASCADE
        )
    """)
    op.execute("ALTER TABLE sync_refills ENABLE ROW LEVEL SECURITY")
    op.execute("ALTER TABLE sync_refills FORCE ROW LEVEL SECURITY")
    op.execute(f"CREATE POLICY tenant ON sync_refills TO cp_app USING ({MINE}) WITH CHECK ({MINE})")
    op.execute("GRANT SELECT, INSERT, UPDATE, DELETE ON sync_refills TO cp_app")
    op.execute("GRANT SELECT ON sync_refills TO cp_operator")
