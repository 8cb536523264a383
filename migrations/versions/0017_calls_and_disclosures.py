"""Calls that are made for runtimes, what was called stands with the read; and credentials that two people look at."""

from alembic import op

revision = "0017"
down_revision = "0016"

MINE = "tenant_id = (SELECT current_setting('app.tenant_id')::uuid)"

POLICY = """
ALTER TABLE tenants ADD COLUMN disclosure_policy text NOT NULL DEFAULT 'never',
    ADD CONSTRAINT ck_tenants_disclosure_policy CHECK (disclosure_policy IN ('never', 'two_people'))
"""

DISCLOSURES = """
CREATE TABLE disclosures (
    tenant_id uuid NOT NULL,
    id uuid NOT NULL,
    connection_id uuid NOT NULL,
    reason text NOT NULL,
    requested_by uuid NOT NULL,
    requested_at timestamptz NOT NULL,
    approved_by uuid,
    approved_at timestamptz,
    expires_at timestamptz NOT NULL,
    read_at timestamptz,
    ended_at timestamptz,
    ended_by text NOT NULL,
    outcome text NOT NULL,
    CONSTRAINT pk_disclosures PRIMARY KEY (tenant_id, id),
    CONSTRAINT ck_disclosures_two_people CHECK (approved_by <> requested_by),
    CONSTRAINT ck_disclosures_approved CHECK ((approved_by IS NULL) = (approved_at IS NULL)),
    CONSTRAINT ck_disclosures_read CHECK (read_at IS NULL OR approved_at IS NOT NULL),
    CONSTRAINT fk_disclosures_tenant_id FOREIGN KEY (tenant_id) REFERENCES tenants (tenant_id) ON DELETE CASCADE
)
"""


def upgrade() -> None:
    op.execute("ALTER TABLE vault_reads ADD COLUMN call text")
    op.execute(POLICY)
    op.execute(DISCLOSURES)
    op.execute("CREATE INDEX ix_disclosures_tenant_id_connection_id_id ON disclosures (tenant_id, connection_id, id)")
    op.execute("ALTER TABLE disclosures ENABLE ROW LEVEL SECURITY")
    op.execute("ALTER TABLE disclosures FORCE ROW LEVEL SECURITY")
    op.execute(f"CREATE POLICY tenant ON disclosures TO cp_app USING ({MINE}) WITH CHECK ({MINE})")
    op.execute("GRANT SELECT, INSERT, UPDATE, DELETE ON disclosures TO cp_app")
    op.execute("GRANT SELECT ON disclosures TO cp_operator")
