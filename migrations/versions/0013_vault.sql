-- The vault: apps, connections, and the way there. History: this file does not change any more once it is released.

CREATE TABLE oauth_apps (
    tenant_id uuid NOT NULL,
    id uuid NOT NULL,
    provider text NOT NULL,
    name text NOT NULL,
    client_id text NOT NULL,
    secret_blob bytea,
    secret_version integer NOT NULL,
    client_auth text,
    variables jsonb NOT NULL,
    scopes text[] NOT NULL,
    state text NOT NULL,
    state_reason text NOT NULL,
    failures integer NOT NULL,
    paused_until timestamptz,
    version integer NOT NULL,
    created_by text NOT NULL,
    created_at timestamptz NOT NULL,
    changed_at timestamptz NOT NULL,
    overrides jsonb NOT NULL,
    CONSTRAINT pk_oauth_apps PRIMARY KEY (tenant_id, id),
    CONSTRAINT ck_oauth_apps_state CHECK (state IN ('ok', 'broken')),
    CONSTRAINT fk_oauth_apps_tenant_id FOREIGN KEY (tenant_id) REFERENCES tenants (tenant_id) ON DELETE CASCADE
);

CREATE TABLE platform_oauth_apps (
    id uuid NOT NULL,
    provider text NOT NULL,
    name text NOT NULL,
    client_id text NOT NULL,
    secret_blob bytea,
    secret_version integer NOT NULL,
    client_auth text,
    variables jsonb NOT NULL,
    scopes text[] NOT NULL,
    state text NOT NULL,
    state_reason text NOT NULL,
    failures integer NOT NULL,
    paused_until timestamptz,
    version integer NOT NULL,
    created_by text NOT NULL,
    created_at timestamptz NOT NULL,
    changed_at timestamptz NOT NULL,
    CONSTRAINT pk_platform_oauth_apps PRIMARY KEY (id),
    CONSTRAINT ck_platform_oauth_apps_state CHECK (state IN ('ok', 'broken'))
);

CREATE TABLE connections (
    tenant_id uuid NOT NULL,
    id uuid NOT NULL,
    provider text NOT NULL,
    auth text NOT NULL,
    name text NOT NULL,
    project_id uuid,
    owner_ref text NOT NULL,
    labels jsonb NOT NULL,
    account_key text,
    account_name text NOT NULL,
    account_email text NOT NULL,
    requested_scopes text[] NOT NULL,
    granted_scopes text[] NOT NULL,
    endpoints jsonb NOT NULL,
    facts jsonb NOT NULL,
    state text NOT NULL,
    state_reason text NOT NULL,
    state_at timestamptz NOT NULL,
    confirm_until timestamptz,
    cred_version integer NOT NULL,
    access_blob bytea,
    refresh_blob bytea,
    prev_refresh_blob bytea,
    access_exp timestamptz,
    refresh_exp timestamptz,
    next_refresh_at timestamptz,
    fence bigint NOT NULL,
    rstate text NOT NULL,
    rdeadline timestamptz,
    rowner text,
    fail_class text,
    fail_count integer NOT NULL,
    refreshed_at timestamptz,
    last_used_at timestamptz,
    created_by text NOT NULL,
    created_at timestamptz NOT NULL,
    changed_at timestamptz NOT NULL,
    app_id uuid,
    platform_app_id uuid,
    CONSTRAINT pk_connections PRIMARY KEY (tenant_id, id),
    CONSTRAINT fk_connections_tenant_id_app_id FOREIGN KEY (tenant_id, app_id) REFERENCES oauth_apps (tenant_id, id),
    CONSTRAINT fk_connections_platform_app_id FOREIGN KEY (platform_app_id) REFERENCES platform_oauth_apps (id),
    CONSTRAINT ck_connections_one_app CHECK (num_nonnulls(app_id, platform_app_id) <= 1),
    CONSTRAINT fk_connections_tenant_id_project_id FOREIGN KEY (tenant_id, project_id) REFERENCES projects (tenant_id, id),
    CONSTRAINT ck_connections_state CHECK (state IN ('pending_confirm', 'active', 'refresh_failing', 'needs_reauth', 'disabled', 'revoking', 'deleted')),
    CONSTRAINT ck_connections_rstate CHECK (rstate IN ('idle', 'in_flight')),
    CONSTRAINT ck_connections_confirm_until CHECK ((state = 'pending_confirm') = (confirm_until IS NOT NULL)),
    CONSTRAINT fk_connections_tenant_id FOREIGN KEY (tenant_id) REFERENCES tenants (tenant_id) ON DELETE CASCADE
);
CREATE INDEX ix_connections_due ON connections (next_refresh_at) WHERE next_refresh_at IS NOT NULL;
CREATE INDEX ix_connections_tenant_id_provider_account_key ON connections (tenant_id, provider, account_key);
CREATE INDEX ix_connections_unconfirmed ON connections (confirm_until) WHERE confirm_until IS NOT NULL;

CREATE TABLE refresh_orphans (
    tenant_id uuid NOT NULL,
    id uuid NOT NULL,
    connection_id uuid NOT NULL,
    from_version integer NOT NULL,
    fence bigint NOT NULL,
    access_blob bytea NOT NULL,
    refresh_blob bytea,
    access_exp timestamptz,
    refresh_exp timestamptz,
    granted_scopes text[] NOT NULL,
    taken boolean NOT NULL,
    created_at timestamptz NOT NULL,
    CONSTRAINT pk_refresh_orphans PRIMARY KEY (tenant_id, id),
    CONSTRAINT fk_refresh_orphans_tenant_id_connection_id FOREIGN KEY (tenant_id, connection_id) REFERENCES connections (tenant_id, id) ON DELETE CASCADE,
    CONSTRAINT fk_refresh_orphans_tenant_id FOREIGN KEY (tenant_id) REFERENCES tenants (tenant_id) ON DELETE CASCADE
);
CREATE INDEX ix_refresh_orphans_tenant_id_connection_id_from_version ON refresh_orphans (tenant_id, connection_id, from_version);

CREATE TABLE connection_events (
    tenant_id uuid NOT NULL,
    id uuid NOT NULL,
    connection_id uuid NOT NULL,
    type text NOT NULL,
    actor_kind text NOT NULL,
    actor_id text NOT NULL,
    cred_version integer NOT NULL,
    facts jsonb NOT NULL,
    occurred_at timestamptz NOT NULL,
    CONSTRAINT pk_connection_events PRIMARY KEY (tenant_id, id),
    CONSTRAINT fk_connection_events_tenant_id_connection_id FOREIGN KEY (tenant_id, connection_id) REFERENCES connections (tenant_id, id) ON DELETE CASCADE,
    CONSTRAINT fk_connection_events_tenant_id FOREIGN KEY (tenant_id) REFERENCES tenants (tenant_id) ON DELETE CASCADE
);
CREATE INDEX ix_connection_events_tenant_id_connection_id_id ON connection_events (tenant_id, connection_id, id);

CREATE TABLE connect_sessions (
    tenant_id uuid NOT NULL,
    id uuid NOT NULL,
    token_hash bytea NOT NULL,
    provider text NOT NULL,
    variables jsonb NOT NULL,
    scopes text[] NOT NULL,
    name text NOT NULL,
    project_id uuid,
    owner_ref text NOT NULL,
    labels jsonb NOT NULL,
    return_url text NOT NULL,
    connection_id uuid,
    other_account boolean NOT NULL,
    person_id uuid,
    state text NOT NULL,
    failure text NOT NULL,
    made_id uuid,
    created_by text NOT NULL,
    created_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    used_at timestamptz,
    app_id uuid,
    platform_app_id uuid,
    CONSTRAINT pk_connect_sessions PRIMARY KEY (tenant_id, id),
    CONSTRAINT fk_connect_sessions_tenant_id_app_id FOREIGN KEY (tenant_id, app_id) REFERENCES oauth_apps (tenant_id, id),
    CONSTRAINT fk_connect_sessions_platform_app_id FOREIGN KEY (platform_app_id) REFERENCES platform_oauth_apps (id),
    CONSTRAINT ck_connect_sessions_one_app CHECK (num_nonnulls(app_id, platform_app_id) <= 1),
    CONSTRAINT fk_connect_sessions_tenant_id_project_id FOREIGN KEY (tenant_id, project_id) REFERENCES projects (tenant_id, id),
    CONSTRAINT fk_connect_sessions_tenant_id_connection_id FOREIGN KEY (tenant_id, connection_id) REFERENCES connections (tenant_id, id) ON DELETE CASCADE,
    CONSTRAINT ck_connect_sessions_state CHECK (state IN ('open', 'away', 'connected', 'failed')),
    CONSTRAINT fk_connect_sessions_tenant_id FOREIGN KEY (tenant_id) REFERENCES tenants (tenant_id) ON DELETE CASCADE
);

CREATE TABLE login_transactions (
    tenant_id uuid NOT NULL,
    id uuid NOT NULL,
    state_hash bytea NOT NULL,
    session_id uuid NOT NULL,
    pkce_blob bytea,
    issuer text,
    endpoints jsonb NOT NULL,
    redirect_uri text NOT NULL,
    cookie_hash bytea NOT NULL,
    begun_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    consumed_at timestamptz,
    CONSTRAINT pk_login_transactions PRIMARY KEY (tenant_id, id),
    CONSTRAINT fk_login_transactions_tenant_id_session_id FOREIGN KEY (tenant_id, session_id) REFERENCES connect_sessions (tenant_id, id) ON DELETE CASCADE,
    CONSTRAINT fk_login_transactions_tenant_id FOREIGN KEY (tenant_id) REFERENCES tenants (tenant_id) ON DELETE CASCADE
);
CREATE INDEX ix_login_transactions_expires_at ON login_transactions (expires_at);
CREATE UNIQUE INDEX ix_login_transactions_tenant_id_state_hash ON login_transactions (tenant_id, state_hash);

CREATE TABLE connection_revocations (
    tenant_id uuid NOT NULL,
    id uuid NOT NULL,
    connection_id uuid NOT NULL,
    provider text NOT NULL,
    endpoints jsonb NOT NULL,
    cred_version integer NOT NULL,
    access_blob bytea,
    refresh_blob bytea,
    reason text NOT NULL,
    state text NOT NULL,
    attempts integer NOT NULL,
    next_at timestamptz,
    last_error text NOT NULL,
    created_at timestamptz NOT NULL,
    ended_at timestamptz,
    app_id uuid,
    platform_app_id uuid,
    CONSTRAINT pk_connection_revocations PRIMARY KEY (tenant_id, id),
    CONSTRAINT fk_connection_revocations_tenant_id_app_id FOREIGN KEY (tenant_id, app_id) REFERENCES oauth_apps (tenant_id, id),
    CONSTRAINT fk_connection_revocations_platform_app_id FOREIGN KEY (platform_app_id) REFERENCES platform_oauth_apps (id),
    CONSTRAINT ck_connection_revocations_one_app CHECK (num_nonnulls(app_id, platform_app_id) <= 1),
    CONSTRAINT ck_connection_revocations_state CHECK (state IN ('pending', 'done', 'failed', 'unsupported')),
    CONSTRAINT ck_connection_revocations_next_at CHECK ((state = 'pending') = (next_at IS NOT NULL)),
    CONSTRAINT fk_connection_revocations_tenant_id FOREIGN KEY (tenant_id) REFERENCES tenants (tenant_id) ON DELETE CASCADE
);
CREATE INDEX ix_connection_revocations_due ON connection_revocations (next_at) WHERE next_at IS NOT NULL;

CREATE TABLE return_urls (
    tenant_id uuid NOT NULL,
    url text NOT NULL,
    created_by text NOT NULL,
    created_at timestamptz NOT NULL,
    CONSTRAINT pk_return_urls PRIMARY KEY (tenant_id, url),
    CONSTRAINT fk_return_urls_tenant_id FOREIGN KEY (tenant_id) REFERENCES tenants (tenant_id) ON DELETE CASCADE
)
