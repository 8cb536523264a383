-- The audit log. History: this file does not change any more once it is released.

ALTER TABLE audit_events ADD COLUMN sealed bytea;
ALTER TABLE audit_events ALTER COLUMN action TYPE text COLLATE "C";
CREATE INDEX ix_audit_events_tenant_id_occurred_us ON audit_events (tenant_id, occurred_us);
CREATE INDEX ix_audit_events_tenant_id_action_seq ON audit_events (tenant_id, action, seq);
CREATE INDEX ix_audit_events_tenant_id_actor_id_seq ON audit_events (tenant_id, actor_id, seq);
CREATE INDEX ix_audit_events_tenant_id_target_id_seq ON audit_events (tenant_id, target_id, seq);

ALTER TABLE platform_audit_events ADD COLUMN sealed bytea;
ALTER TABLE platform_audit_events ALTER COLUMN action TYPE text COLLATE "C";

ALTER TABLE audit_heads ADD COLUMN prev_hash bytea NOT NULL DEFAULT '\x';
ALTER TABLE audit_heads ALTER COLUMN prev_hash DROP DEFAULT;
ALTER TABLE platform_audit_heads ADD COLUMN prev_hash bytea NOT NULL DEFAULT '\x';
ALTER TABLE platform_audit_heads ALTER COLUMN prev_hash DROP DEFAULT;

CREATE TABLE audit_checkpoints (
    tenant_id uuid NOT NULL,
    size bigint NOT NULL,
    hash bytea NOT NULL,
    edge bytea[] NOT NULL,
    note text NOT NULL,
    made_at timestamptz NOT NULL,
    CONSTRAINT pk_audit_checkpoints PRIMARY KEY (tenant_id, size),
    CONSTRAINT fk_audit_checkpoints_tenant_id FOREIGN KEY(tenant_id) REFERENCES tenants (tenant_id) ON DELETE CASCADE
);

CREATE TABLE platform_audit_checkpoints (
    size bigint NOT NULL,
    hash bytea NOT NULL,
    edge bytea[] NOT NULL,
    note text NOT NULL,
    made_at timestamptz NOT NULL,
    CONSTRAINT pk_platform_audit_checkpoints PRIMARY KEY (size)
);

CREATE TABLE audit_verdicts (
    tenant_id uuid NOT NULL,
    through bigint NOT NULL,
    verified_at timestamptz NOT NULL,
    whole_at timestamptz,
    damages jsonb NOT NULL,
    CONSTRAINT pk_audit_verdicts PRIMARY KEY (tenant_id),
    CONSTRAINT fk_audit_verdicts_tenant_id FOREIGN KEY(tenant_id) REFERENCES tenants (tenant_id) ON DELETE CASCADE
);

CREATE TABLE audit_retention (
    tenant_id uuid NOT NULL,
    days integer,
    held text,
    changed_at timestamptz NOT NULL,
    CONSTRAINT pk_audit_retention PRIMARY KEY (tenant_id),
    CONSTRAINT fk_audit_retention_tenant_id FOREIGN KEY(tenant_id) REFERENCES tenants (tenant_id) ON DELETE CASCADE
);

CREATE TABLE audit_streams (
    tenant_id uuid NOT NULL,
    sink text NOT NULL,
    seq bigint NOT NULL,
    CONSTRAINT pk_audit_streams PRIMARY KEY (tenant_id, sink),
    CONSTRAINT fk_audit_streams_tenant_id FOREIGN KEY(tenant_id) REFERENCES tenants (tenant_id) ON DELETE CASCADE
);

CREATE TABLE platform_audit_streams (
    sink text NOT NULL,
    seq bigint NOT NULL,
    CONSTRAINT pk_platform_audit_streams PRIMARY KEY (sink)
)
