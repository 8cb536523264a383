-- Impersonation. History: this file does not change any more once it is released.

ALTER TABLE tenants ADD COLUMN impersonation_policy text NOT NULL DEFAULT 'ask',
    ADD CONSTRAINT ck_tenants_impersonation_policy CHECK (impersonation_policy IN ('never', 'ask', 'allow'));

ALTER TABLE audit_events ADD COLUMN impersonator text;

ALTER TABLE platform_audit_events ADD COLUMN impersonator text;

CREATE TABLE impersonations (
    tenant_id uuid NOT NULL,
    id uuid NOT NULL,
    user_id uuid NOT NULL,
    operator_id uuid NOT NULL,
    reason text NOT NULL,
    ticket text NOT NULL,
    mode text NOT NULL,
    minutes smallint NOT NULL,
    requested_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    consented_at timestamptz,
    consented_by text NOT NULL,
    started_at timestamptz,
    ends_at timestamptz,
    ended_at timestamptz,
    ended_by text NOT NULL,
    outcome text NOT NULL,
    CONSTRAINT pk_impersonations PRIMARY KEY (tenant_id, id),
    CONSTRAINT ck_impersonations_minutes CHECK (minutes BETWEEN 1 AND 60),
    CONSTRAINT ck_impersonations_mode CHECK (mode IN ('read_only', 'full')),
    CONSTRAINT ck_impersonations_time_box CHECK ((started_at IS NULL) = (ends_at IS NULL)),
    CONSTRAINT fk_impersonations_tenant_id FOREIGN KEY(tenant_id) REFERENCES tenants (tenant_id) ON DELETE CASCADE
);
CREATE INDEX ix_impersonations_open ON impersonations (tenant_id) WHERE ended_at IS NULL;

CREATE TABLE impersonation_sessions (
    session_id uuid NOT NULL,
    token_hash bytea NOT NULL,
    tenant uuid NOT NULL,
    impersonation_id uuid NOT NULL,
    ends_at timestamptz NOT NULL,
    CONSTRAINT pk_impersonation_sessions PRIMARY KEY (session_id),
    CONSTRAINT uq_impersonation_sessions_token_hash UNIQUE (token_hash),
    CONSTRAINT fk_impersonation_sessions_session_id FOREIGN KEY(session_id)
        REFERENCES browser_sessions (id) ON DELETE CASCADE
);
CREATE INDEX ix_impersonation_sessions_tenant ON impersonation_sessions (tenant);
CREATE INDEX ix_impersonation_sessions_impersonation_id ON impersonation_sessions (impersonation_id)
