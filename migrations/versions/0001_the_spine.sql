-- The first tables. History: this file does not change any more once it is released.

CREATE TABLE accounts (
    id uuid NOT NULL,
    email text NOT NULL,
    email_norm text NOT NULL,
    name text NOT NULL,
    password_hash text,
    status text NOT NULL,
    created_at timestamptz NOT NULL,
    CONSTRAINT pk_accounts PRIMARY KEY (id),
    CONSTRAINT uq_accounts_email_norm UNIQUE (email_norm)
);

CREATE TABLE checkpoints (
    tenant_id uuid NOT NULL,
    id uuid NOT NULL,
    runtime_id uuid NOT NULL,
    project_id uuid NOT NULL,
    agent text NOT NULL,
    epoch bigint NOT NULL,
    seq bigint NOT NULL,
    received_at timestamptz NOT NULL,
    system text NOT NULL,
    session_id uuid NOT NULL,
    source_id text NOT NULL,
    type text NOT NULL,
    node text,
    next_node text,
    clean boolean NOT NULL,
    created_at timestamptz NOT NULL,
    CONSTRAINT pk_checkpoints PRIMARY KEY (tenant_id, id)
) PARTITION BY RANGE (id);
CREATE INDEX ix_checkpoints_tenant_id_session_id_created_at ON checkpoints (tenant_id, session_id, created_at);

CREATE TABLE chore_leases (
    name text NOT NULL,
    holder uuid NOT NULL,
    until timestamptz NOT NULL,
    ran_at timestamptz,
    outcome text DEFAULT '' NOT NULL,
    CONSTRAINT pk_chore_leases PRIMARY KEY (name)
);

CREATE TABLE cost_entries (
    tenant_id uuid NOT NULL,
    id uuid NOT NULL,
    runtime_id uuid NOT NULL,
    project_id uuid NOT NULL,
    agent text NOT NULL,
    epoch bigint NOT NULL,
    seq bigint NOT NULL,
    received_at timestamptz NOT NULL,
    system text NOT NULL,
    session_id uuid NOT NULL,
    source_id text NOT NULL,
    spent_at timestamptz NOT NULL,
    node text,
    attempt bigint NOT NULL,
    step bigint NOT NULL,
    type text NOT NULL,
    model text,
    tool text,
    input_tokens bigint NOT NULL,
    output_tokens bigint NOT NULL,
    micro_usd bigint NOT NULL,
    duration_ms bigint NOT NULL,
    flags json NOT NULL,
    CONSTRAINT pk_cost_entries PRIMARY KEY (tenant_id, id)
) PARTITION BY RANGE (id);
CREATE INDEX ix_cost_entries_tenant_id_session_id ON cost_entries (tenant_id, session_id);

CREATE TABLE platform_audit_events (
    seq BIGSERIAL NOT NULL,
    id uuid NOT NULL,
    occurred_us bigint NOT NULL,
    action text NOT NULL,
    outcome text NOT NULL,
    actor_kind text NOT NULL,
    actor_id text NOT NULL,
    target_kind text NOT NULL,
    target_id text NOT NULL,
    facts jsonb NOT NULL,
    request_id text NOT NULL,
    prev_hash bytea NOT NULL,
    hash bytea NOT NULL,
    CONSTRAINT pk_platform_audit_events PRIMARY KEY (seq),
    CONSTRAINT uq_platform_audit_events_prev_hash UNIQUE (prev_hash)
);

CREATE TABLE platform_audit_heads (
    single boolean NOT NULL,
    seq bigint NOT NULL,
    hash bytea NOT NULL,
    CONSTRAINT pk_platform_audit_heads PRIMARY KEY (single),
    CONSTRAINT ck_platform_audit_heads_single CHECK (single)
);

CREATE TABLE routes (
    kind text NOT NULL,
    key bytea NOT NULL,
    tenant_id uuid NOT NULL,
    CONSTRAINT pk_routes PRIMARY KEY (kind, key)
);
CREATE INDEX ix_routes_tenant_id ON routes (tenant_id);

CREATE TABLE runs (
    tenant_id uuid NOT NULL,
    id uuid NOT NULL,
    runtime_id uuid NOT NULL,
    project_id uuid NOT NULL,
    agent text NOT NULL,
    epoch bigint NOT NULL,
    seq bigint NOT NULL,
    received_at timestamptz NOT NULL,
    changed_at timestamptz NOT NULL,
    status text NOT NULL,
    waiting_for text,
    started_at timestamptz NOT NULL,
    input_tokens bigint NOT NULL,
    output_tokens bigint NOT NULL,
    told json NOT NULL,
    session_id uuid NOT NULL,
    source_id text NOT NULL,
    CONSTRAINT pk_runs PRIMARY KEY (tenant_id, id)
) PARTITION BY RANGE (id);
CREATE INDEX ix_runs_received_at ON runs USING brin (received_at) WITH (autosummarize = on);
CREATE INDEX ix_runs_tenant_id_status_id ON runs (tenant_id, status, id);

CREATE TABLE sessions (
    tenant_id uuid NOT NULL,
    id uuid NOT NULL,
    runtime_id uuid NOT NULL,
    project_id uuid NOT NULL,
    agent text NOT NULL,
    epoch bigint NOT NULL,
    seq bigint NOT NULL,
    received_at timestamptz NOT NULL,
    changed_at timestamptz NOT NULL,
    status text NOT NULL,
    waiting_for text,
    started_at timestamptz NOT NULL,
    input_tokens bigint NOT NULL,
    output_tokens bigint NOT NULL,
    told json NOT NULL,
    source_id text COLLATE "C" NOT NULL,
    detail json NOT NULL,
    CONSTRAINT pk_sessions PRIMARY KEY (tenant_id, id) INCLUDE (status, started_at)
) PARTITION BY RANGE (id);
CREATE INDEX ix_sessions_source_id ON sessions USING brin (source_id) WITH (autosummarize = on);
CREATE INDEX ix_sessions_tenant_id_agent_id ON sessions (tenant_id, agent, id);
CREATE INDEX ix_sessions_tenant_id_runtime_id_id ON sessions (tenant_id, runtime_id, id);
CREATE INDEX ix_sessions_tenant_id_status_id ON sessions (tenant_id, status, id);

CREATE TABLE store (
    single boolean NOT NULL,
    store_id uuid NOT NULL,
    made_at timestamptz NOT NULL,
    CONSTRAINT pk_store PRIMARY KEY (single),
    CONSTRAINT ck_store_single CHECK (single)
);

CREATE TABLE sync_batches (
    tenant_id uuid NOT NULL,
    id uuid NOT NULL,
    runtime_id uuid NOT NULL,
    epoch bigint NOT NULL,
    first_seq bigint NOT NULL,
    skip integer NOT NULL,
    last_seq bigint NOT NULL,
    prev_head bytea NOT NULL,
    head bytea NOT NULL,
    record_ids bytea NOT NULL,
    first_record uuid NOT NULL,
    last_record uuid NOT NULL,
    body bytea NOT NULL,
    protocol integer NOT NULL,
    received_at timestamptz NOT NULL,
    CONSTRAINT pk_sync_batches PRIMARY KEY (tenant_id, id)
) PARTITION BY RANGE (id);
CREATE INDEX ix_sync_batches_tenant_id_runtime_id_epoch_last_seq ON sync_batches (tenant_id, runtime_id, epoch, last_seq);

CREATE TABLE tenants (
    tenant_id uuid NOT NULL,
    slug text NOT NULL,
    name text NOT NULL,
    status text NOT NULL,
    status_reason text NOT NULL,
    created_at timestamptz NOT NULL,
    CONSTRAINT pk_tenants PRIMARY KEY (tenant_id)
);

CREATE TABLE account_tenants (
    account_id uuid NOT NULL,
    tenant_id uuid NOT NULL,
    CONSTRAINT pk_account_tenants PRIMARY KEY (account_id, tenant_id),
    CONSTRAINT fk_account_tenants_account_id FOREIGN KEY(account_id) REFERENCES accounts (id) ON DELETE CASCADE
);
CREATE INDEX ix_account_tenants_tenant_id ON account_tenants (tenant_id);

CREATE TABLE api_keys (
    tenant_id uuid NOT NULL,
    id uuid NOT NULL,
    name text NOT NULL,
    role text NOT NULL,
    key_hash bytea NOT NULL,
    hint text NOT NULL,
    created_by text NOT NULL,
    created_at timestamptz NOT NULL,
    expires_at timestamptz,
    last_used_at timestamptz,
    revoked_at timestamptz,
    CONSTRAINT pk_api_keys PRIMARY KEY (tenant_id, id),
    CONSTRAINT uq_api_keys_tenant_id_key_hash UNIQUE (tenant_id, key_hash),
    CONSTRAINT fk_api_keys_tenant_id FOREIGN KEY(tenant_id) REFERENCES tenants (tenant_id) ON DELETE CASCADE
);

CREATE TABLE audit_events (
    tenant_id uuid NOT NULL,
    seq bigint NOT NULL,
    id uuid NOT NULL,
    occurred_us bigint NOT NULL,
    action text NOT NULL,
    outcome text NOT NULL,
    actor_kind text NOT NULL,
    actor_id text NOT NULL,
    target_kind text NOT NULL,
    target_id text NOT NULL,
    facts jsonb NOT NULL,
    request_id text NOT NULL,
    prev_hash bytea NOT NULL,
    hash bytea NOT NULL,
    CONSTRAINT pk_audit_events PRIMARY KEY (tenant_id, seq),
    CONSTRAINT uq_audit_events_tenant_id_prev_hash UNIQUE (tenant_id, prev_hash),
    CONSTRAINT fk_audit_events_tenant_id FOREIGN KEY(tenant_id) REFERENCES tenants (tenant_id) ON DELETE RESTRICT
);

CREATE TABLE audit_heads (
    tenant_id uuid NOT NULL,
    seq bigint NOT NULL,
    hash bytea NOT NULL,
    CONSTRAINT pk_audit_heads PRIMARY KEY (tenant_id),
    CONSTRAINT fk_audit_heads_tenant_id FOREIGN KEY(tenant_id) REFERENCES tenants (tenant_id) ON DELETE CASCADE
);

CREATE TABLE browser_sessions (
    id uuid NOT NULL,
    token_hash bytea NOT NULL,
    account_id uuid NOT NULL,
    created_at timestamptz NOT NULL,
    seen_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    client text NOT NULL,
    CONSTRAINT pk_browser_sessions PRIMARY KEY (id),
    CONSTRAINT uq_browser_sessions_token_hash UNIQUE (token_hash),
    CONSTRAINT fk_browser_sessions_account_id FOREIGN KEY(account_id) REFERENCES accounts (id) ON DELETE CASCADE
);
CREATE INDEX ix_browser_sessions_account_id ON browser_sessions (account_id);

CREATE TABLE operator_keys (
    id uuid NOT NULL,
    account_id uuid NOT NULL,
    name text NOT NULL,
    key_hash bytea NOT NULL,
    hint text NOT NULL,
    created_at timestamptz NOT NULL,
    expires_at timestamptz,
    last_used_at timestamptz,
    revoked_at timestamptz,
    CONSTRAINT pk_operator_keys PRIMARY KEY (id),
    CONSTRAINT fk_operator_keys_account_id FOREIGN KEY(account_id) REFERENCES accounts (id) ON DELETE CASCADE,
    CONSTRAINT uq_operator_keys_key_hash UNIQUE (key_hash)
);

CREATE TABLE operators (
    account_id uuid NOT NULL,
    role text NOT NULL,
    created_at timestamptz NOT NULL,
    CONSTRAINT pk_operators PRIMARY KEY (account_id),
    CONSTRAINT fk_operators_account_id FOREIGN KEY(account_id) REFERENCES accounts (id) ON DELETE CASCADE
);

CREATE TABLE projects (
    tenant_id uuid NOT NULL,
    id uuid NOT NULL,
    slug text NOT NULL,
    name text NOT NULL,
    environment text NOT NULL,
    created_at timestamptz NOT NULL,
    CONSTRAINT pk_projects PRIMARY KEY (tenant_id, id),
    CONSTRAINT uq_projects_tenant_id_slug UNIQUE (tenant_id, slug),
    CONSTRAINT fk_projects_tenant_id FOREIGN KEY(tenant_id) REFERENCES tenants (tenant_id) ON DELETE CASCADE
);

CREATE TABLE sign_in_links (
    token_hash bytea NOT NULL,
    account_id uuid NOT NULL,
    created_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    CONSTRAINT pk_sign_in_links PRIMARY KEY (token_hash),
    CONSTRAINT fk_sign_in_links_account_id FOREIGN KEY(account_id) REFERENCES accounts (id) ON DELETE CASCADE
);

CREATE TABLE users (
    tenant_id uuid NOT NULL,
    id uuid NOT NULL,
    account_id uuid NOT NULL,
    email_norm text NOT NULL,
    name text NOT NULL,
    role text NOT NULL,
    status text NOT NULL,
    created_at timestamptz NOT NULL,
    CONSTRAINT pk_users PRIMARY KEY (tenant_id, id),
    CONSTRAINT uq_users_tenant_id_account_id UNIQUE (tenant_id, account_id),
    CONSTRAINT uq_users_tenant_id_email_norm UNIQUE (tenant_id, email_norm),
    CONSTRAINT fk_users_tenant_id FOREIGN KEY(tenant_id) REFERENCES tenants (tenant_id) ON DELETE CASCADE,
    CONSTRAINT fk_users_account_id FOREIGN KEY(account_id) REFERENCES accounts (id) ON DELETE CASCADE
);

CREATE TABLE join_tokens (
    tenant_id uuid NOT NULL,
    id uuid NOT NULL,
    project_id uuid NOT NULL,
    token_hash bytea NOT NULL,
    hint text NOT NULL,
    uses_allowed integer NOT NULL,
    uses integer NOT NULL,
    created_by text NOT NULL,
    created_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    revoked_at timestamptz,
    CONSTRAINT pk_join_tokens PRIMARY KEY (tenant_id, id),
    CONSTRAINT uq_join_tokens_tenant_id_token_hash UNIQUE (tenant_id, token_hash),
    CONSTRAINT fk_join_tokens_tenant_id_project_id FOREIGN KEY(tenant_id, project_id) REFERENCES projects (tenant_id, id) ON DELETE CASCADE,
    CONSTRAINT fk_join_tokens_tenant_id FOREIGN KEY(tenant_id) REFERENCES tenants (tenant_id) ON DELETE CASCADE
);

CREATE TABLE runtimes (
    tenant_id uuid NOT NULL,
    id uuid NOT NULL,
    project_id uuid NOT NULL,
    name text NOT NULL,
    public_key bytea NOT NULL,
    sealing_key bytea NOT NULL,
    generation integer NOT NULL,
    join_count bigint NOT NULL,
    join_nonce text NOT NULL,
    facts jsonb NOT NULL,
    labels jsonb NOT NULL,
    state text NOT NULL,
    state_reason text NOT NULL,
    state_since timestamptz NOT NULL,
    joined_at timestamptz NOT NULL,
    revoked_at timestamptz,
    left_at timestamptz,
    CONSTRAINT pk_runtimes PRIMARY KEY (tenant_id, id),
    CONSTRAINT uq_runtimes_tenant_id_name UNIQUE (tenant_id, name),
    CONSTRAINT fk_runtimes_tenant_id_project_id FOREIGN KEY(tenant_id, project_id) REFERENCES projects (tenant_id, id) ON DELETE CASCADE,
    CONSTRAINT fk_runtimes_tenant_id FOREIGN KEY(tenant_id) REFERENCES tenants (tenant_id) ON DELETE CASCADE
);

CREATE TABLE agents (
    tenant_id uuid NOT NULL,
    id uuid NOT NULL,
    runtime_id uuid NOT NULL,
    project_id uuid NOT NULL,
    name text NOT NULL,
    first_seen_at timestamptz NOT NULL,
    CONSTRAINT pk_agents PRIMARY KEY (tenant_id, id),
    CONSTRAINT fk_agents_tenant_id_runtime_id FOREIGN KEY(tenant_id, runtime_id) REFERENCES runtimes (tenant_id, id) ON DELETE CASCADE,
    CONSTRAINT fk_agents_tenant_id FOREIGN KEY(tenant_id) REFERENCES tenants (tenant_id) ON DELETE CASCADE
);
CREATE INDEX ix_agents_tenant_id_runtime_id ON agents (tenant_id, runtime_id);

CREATE TABLE runtime_reports (
    tenant_id uuid NOT NULL,
    runtime_id uuid NOT NULL,
    received_at timestamptz NOT NULL,
    epoch bigint NOT NULL,
    last_seq bigint NOT NULL,
    skew_ms bigint NOT NULL,
    report jsonb NOT NULL,
    CONSTRAINT pk_runtime_reports PRIMARY KEY (tenant_id, runtime_id),
    CONSTRAINT fk_runtime_reports_tenant_id_runtime_id FOREIGN KEY(tenant_id, runtime_id) REFERENCES runtimes (tenant_id, id) ON DELETE CASCADE,
    CONSTRAINT fk_runtime_reports_tenant_id FOREIGN KEY(tenant_id) REFERENCES tenants (tenant_id) ON DELETE CASCADE
);

CREATE TABLE sync_cursors (
    tenant_id uuid NOT NULL,
    runtime_id uuid NOT NULL,
    epoch bigint NOT NULL,
    last_seq bigint NOT NULL,
    head bytea NOT NULL,
    moved_at timestamptz,
    CONSTRAINT pk_sync_cursors PRIMARY KEY (tenant_id, runtime_id),
    CONSTRAINT fk_sync_cursors_tenant_id_runtime_id FOREIGN KEY(tenant_id, runtime_id) REFERENCES runtimes (tenant_id, id) ON DELETE CASCADE,
    CONSTRAINT fk_sync_cursors_tenant_id FOREIGN KEY(tenant_id) REFERENCES tenants (tenant_id) ON DELETE CASCADE
);

CREATE TABLE sync_losses (
    tenant_id uuid NOT NULL,
    id uuid NOT NULL,
    runtime_id uuid NOT NULL,
    kind text NOT NULL,
    epoch bigint NOT NULL,
    first_seq bigint NOT NULL,
    last_seq bigint NOT NULL,
    records bigint NOT NULL,
    reason text NOT NULL,
    detail text NOT NULL,
    noticed_at timestamptz NOT NULL,
    CONSTRAINT pk_sync_losses PRIMARY KEY (tenant_id, id),
    CONSTRAINT fk_sync_losses_tenant_id_runtime_id FOREIGN KEY(tenant_id, runtime_id) REFERENCES runtimes (tenant_id, id) ON DELETE CASCADE,
    CONSTRAINT fk_sync_losses_tenant_id FOREIGN KEY(tenant_id) REFERENCES tenants (tenant_id) ON DELETE CASCADE
);
CREATE INDEX ix_sync_losses_tenant_id_runtime_id_id ON sync_losses (tenant_id, runtime_id, id);
