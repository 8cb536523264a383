-- Logs on demand. History: this file does not change any more once it is released.

CREATE TABLE log_tails (
    tenant_id uuid NOT NULL,
    id uuid NOT NULL,
    runtime_id uuid NOT NULL,
    session_id uuid NOT NULL,
    agent text NOT NULL,
    source_id text NOT NULL,
    log text NOT NULL,
    path text NOT NULL,
    first_byte bigint NOT NULL,
    follow boolean NOT NULL,
    most bigint NOT NULL,
    opened_by text NOT NULL,
    opened_at timestamptz NOT NULL,
    not_after timestamptz NOT NULL,
    until timestamptz NOT NULL,
    CONSTRAINT pk_log_tails PRIMARY KEY (tenant_id, id),
    CONSTRAINT fk_log_tails_tenant_id FOREIGN KEY (tenant_id) REFERENCES tenants (tenant_id) ON DELETE CASCADE,
    CONSTRAINT fk_log_tails_tenant_id_runtime_id FOREIGN KEY (tenant_id, runtime_id)
        REFERENCES runtimes (tenant_id, id) ON DELETE CASCADE
);
CREATE INDEX ix_log_tails_tenant_id_runtime_id ON log_tails (tenant_id, runtime_id);
