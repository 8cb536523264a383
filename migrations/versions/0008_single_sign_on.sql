-- Domains, connections to identity providers, who is who there, and sessions that came from it.

ALTER TABLE tenants ADD COLUMN sso_enforced boolean DEFAULT false NOT NULL;

ALTER TABLE browser_sessions ADD COLUMN scope text DEFAULT 'account' NOT NULL;

CREATE TABLE domains (
    tenant_id uuid NOT NULL,
    id uuid NOT NULL,
    name text NOT NULL,
    challenge text NOT NULL,
    status text NOT NULL,
    created_by text NOT NULL,
    created_at timestamptz NOT NULL,
    verified_at timestamptz,
    checked_at timestamptz,
    check_due_at timestamptz,
    failed_checks integer NOT NULL,
    finding text NOT NULL,
    CONSTRAINT pk_domains PRIMARY KEY (tenant_id, id),
    CONSTRAINT uq_domains_tenant_id_name UNIQUE (tenant_id, name),
    CONSTRAINT fk_domains_tenant_id FOREIGN KEY(tenant_id) REFERENCES tenants (tenant_id) ON DELETE CASCADE
);
CREATE INDEX ix_domains_due ON domains (check_due_at) WHERE check_due_at IS NOT NULL;

CREATE TABLE sso_connections (
    tenant_id uuid NOT NULL,
    id uuid NOT NULL,
    name text NOT NULL,
    issuer text NOT NULL,
    client_id text NOT NULL,
    sealed_secret bytea NOT NULL,
    client_auth text NOT NULL,
    status text NOT NULL,
    enforced boolean NOT NULL,
    default_role text,
    trusts_addresses boolean NOT NULL,
    created_by text NOT NULL,
    created_at timestamptz NOT NULL,
    changed_at timestamptz NOT NULL,
    tested_at timestamptz,
    version integer NOT NULL,
    CONSTRAINT pk_sso_connections PRIMARY KEY (tenant_id, id),
    CONSTRAINT fk_sso_connections_tenant_id FOREIGN KEY(tenant_id) REFERENCES tenants (tenant_id) ON DELETE CASCADE
);
CREATE UNIQUE INDEX uq_sso_connections_active ON sso_connections (tenant_id) WHERE status = 'active';

CREATE TABLE sso_identities (
    tenant_id uuid NOT NULL,
    connection_id uuid NOT NULL,
    subject text NOT NULL,
    user_id uuid NOT NULL,
    created_at timestamptz NOT NULL,
    last_at timestamptz NOT NULL,
    CONSTRAINT pk_sso_identities PRIMARY KEY (tenant_id, connection_id, subject),
    CONSTRAINT fk_sso_identities_tenant_id FOREIGN KEY(tenant_id) REFERENCES tenants (tenant_id) ON DELETE CASCADE,
    CONSTRAINT fk_sso_identities_tenant_id_connection_id FOREIGN KEY(tenant_id, connection_id)
        REFERENCES sso_connections (tenant_id, id) ON DELETE CASCADE,
    CONSTRAINT fk_sso_identities_tenant_id_user_id FOREIGN KEY(tenant_id, user_id)
        REFERENCES users (tenant_id, id) ON DELETE CASCADE
);
CREATE INDEX ix_sso_identities_tenant_id_user_id ON sso_identities (tenant_id, user_id);

CREATE TABLE operator_identities (
    issuer text NOT NULL,
    subject text NOT NULL,
    account_id uuid NOT NULL,
    created_at timestamptz NOT NULL,
    CONSTRAINT pk_operator_identities PRIMARY KEY (issuer, subject),
    CONSTRAINT fk_operator_identities_account_id FOREIGN KEY(account_id)
        REFERENCES operators (account_id) ON DELETE CASCADE
);
CREATE INDEX ix_operator_identities_account_id ON operator_identities (account_id);

CREATE TABLE sso_flows (
    state_hash bytea NOT NULL,
    browser_hash bytea NOT NULL,
    purpose text NOT NULL,
    connection_id uuid,
    issuer text NOT NULL,
    session_id uuid,
    return_to text NOT NULL,
    begun_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    CONSTRAINT pk_sso_flows PRIMARY KEY (state_hash),
    CONSTRAINT fk_sso_flows_session_id FOREIGN KEY(session_id) REFERENCES browser_sessions (id) ON DELETE CASCADE
);

CREATE TABLE session_entries (
    session_id uuid NOT NULL,
    tenant_id uuid NOT NULL,
    connection_id uuid,
    subject_hash bytea,
    sid_hash bytea,
    sealed_token bytea,
    entered_at timestamptz NOT NULL,
    CONSTRAINT pk_session_entries PRIMARY KEY (session_id, tenant_id),
    CONSTRAINT fk_session_entries_session_id FOREIGN KEY(session_id) REFERENCES browser_sessions (id) ON DELETE CASCADE
);
CREATE INDEX ix_session_entries_connection_id ON session_entries (connection_id);

CREATE TABLE logout_tokens (
    token_hash bytea NOT NULL,
    expires_at timestamptz NOT NULL,
    CONSTRAINT pk_logout_tokens PRIMARY KEY (token_hash)
);
