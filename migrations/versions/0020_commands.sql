-- Commands. History: this file does not change any more once it is released.

CREATE TABLE commands (
    tenant_id uuid NOT NULL,
    id uuid NOT NULL,
    runtime_id uuid NOT NULL,
    number bigint NOT NULL,
    kind text NOT NULL,
    session_id uuid,
    agent text NOT NULL,
    source_id text NOT NULL,
    session_changed_at timestamptz,
    comment text NOT NULL,
    state text NOT NULL,
    code text NOT NULL,
    detail text NOT NULL,
    created_by text NOT NULL,
    created_at timestamptz NOT NULL,
    not_after timestamptz NOT NULL,
    delivered_at timestamptz,
    started_at timestamptz,
    ended_at timestamptz,
    superseded_by uuid,
    CONSTRAINT pk_commands PRIMARY KEY (tenant_id, id),
    CONSTRAINT ck_commands_state CHECK (
        state IN ('queued', 'delivered', 'running', 'succeeded', 'failed', 'expired', 'superseded')),
    CONSTRAINT fk_commands_tenant_id FOREIGN KEY (tenant_id) REFERENCES tenants (tenant_id) ON DELETE CASCADE,
    CONSTRAINT fk_commands_tenant_id_runtime_id FOREIGN KEY (tenant_id, runtime_id)
        REFERENCES runtimes (tenant_id, id) ON DELETE CASCADE,
    CONSTRAINT uq_commands_tenant_id_runtime_id_number UNIQUE (tenant_id, runtime_id, number)
);
CREATE INDEX ix_commands_tenant_id_runtime_id_id ON commands (tenant_id, runtime_id, id);
CREATE INDEX ix_commands_tenant_id_session_id_id ON commands (tenant_id, session_id, id);
CREATE INDEX ix_commands_open ON commands (tenant_id, runtime_id) WHERE ended_at IS NULL;
CREATE INDEX ix_commands_queued ON commands (not_after) WHERE state = 'queued';
